package consumer

import (
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// EventKind names what happened.
type EventKind string

// What an Observer is told.
const (
	// EventClaimed: a request was claimed, or not; Verdict says.
	EventClaimed EventKind = "claimed"
	// EventSettled: this process stored the result.
	EventSettled EventKind = "settled"
	// EventHandedOver: the purchase is the poller's now; Outcome says why.
	EventHandedOver EventKind = "handed_over"
	// EventBuried: a dead letter was stored; Reason says why.
	EventBuried EventKind = "buried"
	// EventPutBack: the message comes again later; Err says why.
	EventPutBack EventKind = "put_back"
	// EventHeld: the vendor refused the account and not the purchase, which waits
	// for the account's pause to end; Outcome and Message say how.
	EventHeld EventKind = "held"
	// EventRetried: the vendor is called again for the same purchase.
	EventRetried EventKind = "retried"
	// EventContradiction: the ledger holds another end for this very purchase.
	// An incident: what is stored stays, and somebody has to look.
	EventContradiction EventKind = "contradiction"
	// EventRestored: Redis held something else than the streams and was mended.
	EventRestored EventKind = "restored"
)

// Event is something that happened to one message. It names the message by its
// sequence in the requests stream, never by its reference, which may be a
// customer's number.
type Event struct {
	Kind     EventKind
	Account  string
	Sequence uint64
	Count    int // deliveries of the message so far
	Verdict  purchase.Verdict
	Outcome  purchase.OutcomeKind
	Reason   purchase.Reason
	Result   *purchase.Result
	Elapsed  time.Duration // since the request was published
	// Message is the vendor's, with EventHeld. It may hold a balance: it is for
	// operators.
	Message string
	Err     error
}

// Observer is told of events, by many goroutines at once. It must not block.
type Observer interface {
	Observe(Event)
}
