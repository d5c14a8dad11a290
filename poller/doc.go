// Package poller settles what the vendor left open. It works through the
// hand-offs of an account on a schedule, asks /transactions, and stores the
// result once the vendor states one.
//
// The order of effects is always the same: publish the result, settle the claim,
// ack. A purchase is posted again in two cases only: its outcome is unknown and
// /transactions does not know it; or it is completed and its receipt is to be
// fetched (contract, promise 2).
package poller
