package poller

import (
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// EventKind names what happened.
type EventKind string

// What an Observer is told.
const (
	// EventPolled: /transactions was asked; Outcome says what it knew.
	EventPolled EventKind = "polled"
	// EventReposted: the purchase was posted again; Outcome says what came of it.
	EventReposted EventKind = "reposted"
	// EventHeld: posted again, it met insufficient balance, and waits for the
	// account's pause to end; Message says how.
	EventHeld EventKind = "held"
	// EventSettled: this process stored the result.
	EventSettled EventKind = "settled"
	// EventEscalated: the purchase is open for too long; told once by each
	// process. It is polled on.
	EventEscalated EventKind = "escalated"
	// EventBuried: the reference turned out to be another purchase's.
	EventBuried EventKind = "buried"
	// EventPutBack: something other than the vendor kept the poll from being
	// finished; Err says what.
	EventPutBack EventKind = "put_back"
	// EventContradiction: two terminal statements that cannot both be true. An
	// incident: what is stored stays, and somebody has to look.
	EventContradiction EventKind = "contradiction"
)

// Event is something that happened to one hand-off. It names the purchase by its
// sequence in the requests stream, never by its reference.
type Event struct {
	Kind     EventKind
	Account  string
	Sequence uint64
	Outcome  purchase.OutcomeKind
	State    purchase.OpenState
	Result   *purchase.Result
	Age      time.Duration // since the purchase was submitted
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
