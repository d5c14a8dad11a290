package purchase

import "encoding/json"

// OutcomeKind is what one call to the vendor proved. The set is closed, and its
// zero value is Unknown: what is not proven is unknown.
type OutcomeKind uint8

const (
	// Unknown: the vendor may or may not have acted. A time-out, a reset after
	// the request was sent, a 5xx, an answer that cannot be read or contradicts
	// itself. Resolved by the same reference, never guessed.
	Unknown OutcomeKind = iota
	// Completed: the vendor states success. Terminal.
	Completed
	// Failed: the vendor states a terminal failure. Terminal.
	Failed
	// InFlight: the vendor has taken the purchase and not ended it. Never posted
	// again while it is open; TransactionID may be empty.
	InFlight
	// Transient: the vendor answered with a provider error that passes (1200 to
	// 1202). Tried again with the same reference.
	Transient
	// LookUp: the purchase may have been processed before (409, 1006, 1205) or
	// its end is unknown to the vendor itself (1204). Looked up before any retry.
	LookUp
	// Limited: refused by the purchase limit (429). Nothing happened.
	Limited
	// Unauthorized: 401 after a refresh and a new login. Nothing happened.
	Unauthorized
	// Forbidden: 403, the role or the product is not activated. This call did
	// nothing; an earlier one may have.
	Forbidden
	// Unreachable: the connection could not be made. Nothing happened.
	Unreachable
	// NotFound: /transactions shows no such purchase. It may not be visible yet,
	// so this proves nothing.
	NotFound
)

var outcomeNames = [...]string{
	"unknown", "completed", "failed", "in_flight", "transient", "look_up",
	"limited", "unauthorized", "forbidden", "unreachable", "not_found",
}

// String is the kind's name, as metrics and logs give it.
func (k OutcomeKind) String() string {
	if int(k) < len(outcomeNames) {
		return outcomeNames[k]
	}
	return outcomeNames[Unknown]
}

// Terminal reports whether the vendor has stated the end of the purchase.
func (k OutcomeKind) Terminal() bool { return k == Completed || k == Failed }

// MayHaveActed reports whether the vendor may have acted on the call, which is
// what a result counts as an attempt (contract: 401 and 429 do not count).
func (k OutcomeKind) MayHaveActed() bool {
	switch k {
	case Limited, Unauthorized, Unreachable, NotFound:
		return false
	default:
		return true
	}
}

// Outcome is what one call to the vendor said. Code and Message are the
// vendor's; Receipt is its JSON, untouched. Cause explains an outcome that is
// not an answer, for logs: it holds no secret, number or reference.
type Outcome struct {
	Kind          OutcomeKind
	TransactionID string
	Code          string
	Message       string
	Class         Class // of a Failed outcome
	Receipt       json.RawMessage
	Cause         error
}
