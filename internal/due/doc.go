// Package due decides when each open purchase of an account is looked at next,
// for accounts with so many of them that the delayed redelivery of a JetStream
// consumer costs too much: its work grows with what is open, that of this package
// with what is due.
//
// The stream of hand-offs is the truth: what is on it is open. When each is due
// stands in a sorted set in Redis, shared by all pollers of the account, which may
// be lost at any time: it is made again by reading the stream. Nothing here is
// exclusive. A hand-off may be given out twice, as a consumer does after its ack
// wait, and whoever works on it must bear that.
package due
