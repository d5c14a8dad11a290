package consumer

import "github.com/vendstream/vendstream/internal/purchase"

// step is what follows from one call to the vendor.
type step uint8

const (
	// stepSettle: the outcome is the end of the purchase.
	stepSettle step = iota + 1
	// stepHandOver: the poller finds out.
	stepHandOver
	// stepAgain: call again, after the backoff.
	stepAgain
	// stepWait: call again once the account may; it does not count as a try.
	stepWait
	// stepPutBack: leave the purchase on the stream for later.
	stepPutBack
)

// decide is the whole of the consumer's judgement about a purchase call
// (pagamio-api.md, "Retry rules"). tries counts the calls of this handling, this
// one included; acted says that an earlier call may have reached the vendor.
func decide(kind purchase.OutcomeKind, tries, most int, acted bool) step {
	switch kind {
	case purchase.Completed, purchase.Failed:
		return stepSettle
	case purchase.InFlight, purchase.LookUp:
		// Never posted again before /transactions was asked.
		return stepHandOver
	case purchase.Limited:
		return stepWait
	case purchase.Unauthorized:
		return stepPutBack
	case purchase.Forbidden:
		// A 403 speaks of this call only. Where an earlier one may have vended
		// it says nothing about the purchase.
		if acted {
			return stepHandOver
		}
		return stepSettle
	case purchase.Unreachable:
		switch {
		case tries < most:
			return stepAgain
		case acted:
			return stepHandOver
		default:
			return stepPutBack
		}
	default: // Unknown, Transient, and what a later version may add
		if tries < most {
			return stepAgain
		}
		return stepHandOver
	}
}

// asFailure is a refusal by role or activation as the terminal failure it is
// where nothing came before it.
func asFailure(o purchase.Outcome) purchase.Outcome {
	if o.Kind == purchase.Forbidden {
		o.Kind, o.Class = purchase.Failed, purchase.ClassAuthorization
		if o.Code == "" {
			o.Code = purchase.CodeForbidden
		}
	}
	return o
}
