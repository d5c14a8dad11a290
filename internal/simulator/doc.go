// Package simulator is a vendor to test against: the API that is written down in
// pagamio-api.md, as an http.Handler, strict where the vendor is strict, and
// with faults to order. Comments that name a heading mean that file.
//
// It is an oracle and so shares no code with the program that it tests. It keeps
// a ledger of what was really vended, and audits that no purchase is posted
// again while it is open.
//
// # Faults
//
// A fault is a sequence of steps for the calls that match it. Faults are ordered
// by Order, in the configuration, or at run time by POST /_simulator/faults:
//
//	{"match":{"reference":"r-1"},"steps":[{"status":503},{"answer":"reset","stored":"completed"}]}
//	{"match":{"prefix":"load-"},"use":"pending","each_reference":true}
//
// # The reference convention
//
// A merchantReference that contains "sim-" and a name from this list orders the
// fault for itself. It strikes once, on the first call; "-xN" behind the name
// makes it N calls, "-x0" all of them. "before" means that nothing is stored,
// "after" that the purchase is completed and the answer is lost. "A while" is
// the configuration's open_for.
//
//	flat, enveloped             success in that shape
//	failed, failed-enveloped    failure 1203 in that shape
//	rejected                    failure 1203 with rejectionCode and rejectionReason
//	fail-CODE                   failure of any code, stored as such
//	answer-CODE                 the same answer, but the purchase is completed
//	code-CODE                   the code with what usually lies behind it: 1200 to
//	                            1202 store nothing, 1006, 1204, 1205 and codes
//	                            outside the table hide a completed purchase, all
//	                            others are stored as failures
//	slow                        the answer comes after a while
//	pending, processing         in flight for a while, then completed
//	pending-failed, processing-failed
//	                            the same, then failed with 1203
//	pending-enveloped           the same in the enveloped shape
//	pending-forever             in flight until End is called
//	pending-late                in flight, and at first not in /transactions
//	accepted, accepted-failed   HTTP 202 with a body, then completed or failed
//	accepted-empty              HTTP 202 without a body, then completed
//	late                        reset after, and not in /transactions for a while
//	receipt-repost              in flight; its receipt only by posting again
//	receipt-none                in flight; it has no receipt at all
//	reset, timeout              before: connection reset, no answer at all
//	reset-after, timeout-after  after
//	reset-after-failed, reset-after-pending
//	                            reset, with that stored
//	401, 403, 409, 429, 5NN     that HTTP status, before (any of 400 to 599)
//	409-after, 5NN-after        that HTTP status, after (any of 400 to 599)
//	garbage, truncated, empty, oversized
//	                            200 with such a body, after
//	garbage-before              the same, before
//	redirect                    307 to a page that counts its visitors, before
//	contradiction, contradiction-failed
//	                            successful:true with code 1203; completed or failed
//	forget                      every repeat vends again: broken idempotency
//	poll-NAME                   the purchase is in flight for a while, and the fault
//	                            strikes the /transactions call that asks for it
package simulator
