// Package audit proves promise 1 of the contract over a period: every request
// has exactly one end, or is known to be open.
//
// For each request it looks for, in this order: a result with its digest
// (settled), a hand-off with its digest (pending), the result once more, since the
// poller stores it before it removes the hand-off, and a dead letter under its own
// sequence (dead). One that has none is waiting, where it is above the ack floor of
// the consumers of its subject: somebody has yet to end it. The floors are read
// before anything else, and a request is acknowledged only after its end is stored,
// so that one at or below the floor without an end is an accusation. It is looked
// at once more before it is made.
//
// What says "there is one" may come from any replica; "there is none" is only
// believed of a stream's leader.
//
// # Repair
//
// Repair publishes an unaccounted request again, with its body and headers. It can
// be done at any time, by anybody, more than once: the message is a request like
// any other. If a result or hand-off turns up after all, the message is a repeat
// and leaves nothing behind. If not, it is claimed and posted under its own
// reference, for which the vendor returns the original transaction where there was
// one. Since nobody knows whether it was sent before, the consumer takes a message
// with Vendstream-Repairs for one that may have been: it does not expire, is not
// refused by the catalog or a look-up, and a 403 does not end it. A request that has
// already expired is not repaired: sending it may be against its sender's will, and
// failing it may be untrue. A message that can have no result is buried under its
// own sequence instead, where the stream takes one dead letter and no more.
// What contradicts itself is listed and never touched.
package audit
