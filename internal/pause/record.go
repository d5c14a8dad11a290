// Package pause keeps whether an account may purchase, as all its processes see
// it: paused by an operator, or by the pipeline itself where the vendor refuses
// the account as a whole. The records lie in a JetStream key-value bucket.
//
// A pause by the pipeline is probed: one call, of one of the processes, from time
// to time. It ends by itself when that call succeeds. An operator's ends by an
// operator.
package pause

import (
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Cause is why an account is paused.
type Cause string

// The causes.
const (
	// None: the account is not paused.
	None Cause = ""
	// Operator: somebody paused it.
	Operator Cause = "operator"
	// Unauthorized: the vendor refuses the credentials.
	Unauthorized Cause = "unauthorized"
	// Forbidden: the vendor answers 403 to one purchase after the other.
	Forbidden Cause = "forbidden"
	// Balance: the vendor reports insufficient balance (1103), and the account is
	// configured to hold its purchases then.
	Balance Cause = "balance"
)

// Pipeline is who pauses and resumes where no operator does.
const Pipeline = "vendstream"

// Record is what the bucket holds of an account: its pause, or how the last one
// ended. The zero Record is an account that was never paused.
type Record struct {
	Cause  Cause  `json:"cause,omitempty"`
	Reason string `json:"reason,omitempty"` // in words, for people
	By     string `json:"by,omitempty"`     // who paused, or resumed; Pipeline or a person
	// Since is when the account was paused or, where Cause is None, resumed.
	Since time.Time `json:"since,omitzero"`
	// ProbeAt is when the next probe may be made. Zero: never.
	ProbeAt time.Time `json:"probe_at,omitzero"`
	// PollAt is the same for the pollers. They have turns of their own: whoever looks
	// first takes one, also with nothing to call for, and among consumers, or among
	// pollers, that is who the next message goes to. Zero: at once.
	PollAt time.Time `json:"poll_at,omitzero"`
}

// Paused reports whether the account is paused.
func (r Record) Paused() bool { return r.Cause != None }

// Probed reports whether the pause ends by itself.
func (r Record) Probed() bool { return r.Paused() && r.Cause != Operator }

// pausedBy is an account that somebody pauses. A pause that is there is
// replaced, so that an operator's word counts.
func pausedBy(who, reason string, now time.Time) Record {
	return Record{Cause: Operator, Reason: reason, By: who, Since: now.UTC()}
}

func resumedBy(who, reason string, now time.Time) Record {
	return Record{Reason: reason, By: who, Since: now.UTC()}
}

// tripped is the record after the pipeline has found a cause. False: the account
// is paused already, and stays so for the cause that it has.
func (r Record) tripped(cause Cause, now time.Time) (Record, bool) {
	if r.Paused() {
		return r, false
	}
	next := now.Add(probeEvery).UTC()
	return Record{Cause: cause, Reason: reasons[cause], By: Pipeline, Since: now.UTC(), ProbeAt: next, PollAt: next}, true
}

// probing is the record for whoever takes the right to the next probe. False: it
// is not due.
func (r Record) probing(poller bool, now time.Time) (Record, bool) {
	at := &r.ProbeAt
	if poller {
		at = &r.PollAt
	}
	if !r.Probed() || now.Before(*at) {
		return r, false
	}
	*at = now.Add(probeEvery).UTC()
	return r, true
}

// recovered is the record after a probe. False: the pause goes on.
func (r Record) recovered(o purchase.Outcome, now time.Time) (Record, bool) {
	if !r.Probed() || !r.Cause.endedBy(o) {
		return r, false
	}
	return resumedBy(Pipeline, "a probe succeeded", now), true
}

var reasons = map[Cause]string{
	Unauthorized: "the vendor refused the credentials twice: check username and password",
	Forbidden:    "the vendor answered 403 to one purchase after the other: check the role and the activation of products",
	Balance:      "the vendor reports insufficient balance: top the account up",
}

// endedBy reports whether a call that was made during the pause shows that its
// cause is gone.
func (c Cause) endedBy(o purchase.Outcome) bool {
	switch c {
	case Unauthorized:
		return authenticated(o)
	case Forbidden:
		return authenticated(o) && o.Kind != purchase.Forbidden && o.Kind != purchase.NotFound
	case Balance:
		return o.Kind == purchase.Completed || o.Kind == purchase.InFlight
	default:
		return false
	}
}

// authenticated reports whether the vendor answered a call of the account's.
func authenticated(o purchase.Outcome) bool {
	switch o.Kind {
	case purchase.Completed, purchase.Failed, purchase.InFlight, purchase.Transient, purchase.LookUp, purchase.Forbidden, purchase.NotFound:
		return true
	default:
		return false
	}
}

// HoldsBalance reports whether a purchase that met insufficient balance waits for
// the account's pause to end. before says that it had met it in an earlier
// handling, published is when it was asked for, and succeeded when this process
// last saw another one succeed. It waits unless it met the same again after
// another one had succeeded: the vendor then repeats its answer to the reference,
// and will for ever.
func (r Record) HoldsBalance(before bool, published, succeeded, now time.Time) bool {
	switch {
	case r.Paused() || !before:
		return true
	case now.Sub(succeeded) < Delay:
		return false // the earlier handling was a Delay ago, or longer
	default:
		return r.By != Pipeline || r.Since.Before(published)
	}
}

// Delay is how long a purchase that the account's pause keeps from its end stays
// on the stream before it is taken up again, when it may be.
const Delay = probeEvery

// ProbeTime is how long the right to a probe is good for. One that no purchase
// came for is lost before the next is due.
const ProbeTime = probeEvery / 2
