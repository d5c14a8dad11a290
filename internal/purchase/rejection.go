package purchase

// Reason says why a message can have no result (contract, "Dead letters").
type Reason string

// Where several reasons apply, the first in this order is given.
const (
	ReasonTooLarge         Reason = "too_large"
	ReasonMalformed        Reason = "malformed"
	ReasonInvalidReference Reason = "invalid_reference"
	ReasonUnknownAccount   Reason = "unknown_account"
	ReasonConflict         Reason = "conflict"
)

// Rejection is the error for a message that can have no result. Detail never
// holds a value of the body.
type Rejection struct {
	Reason Reason
	Detail string
}

func (r *Rejection) Error() string { return string(r.Reason) + ": " + r.Detail }

func reject(reason Reason, detail string) *Rejection {
	return &Rejection{Reason: reason, Detail: detail}
}
