// Package consumer is the consumer pool: it takes purchase requests, claims them,
// calls the vendor, and stores what follows.
//
// The order of effects is always the same, and nothing is acknowledged before
// what follows from it is stored:
//
//	terminal:   publish the result, settle the claim, ack
//	in flight:  publish the hand-off, mark the claim pending, ack
//	unknown:    the same, and the hand-off says so
//	no result:  publish the dead letter, ack
//
// A claim in Redis is a hint. Before the vendor is called for a purchase that
// Redis does not know, and before a repeat is acknowledged because Redis knows
// it, the streams are asked.
package consumer
