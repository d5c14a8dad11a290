package poller

import "github.com/vendstream/vendstream/internal/purchase"

// step is what follows from one look at /transactions.
type step uint8

const (
	// stepLater: still open; the schedule asks again.
	stepLater step = iota
	// stepSettle: the outcome is the end of the purchase.
	stepSettle
	// stepReceipt: completed, and the receipt is to be fetched.
	stepReceipt
	// stepUpgrade: open, and more is known of it than the hand-off says.
	stepUpgrade
	// stepRepost: not known to the vendor, and never answered: post it again.
	stepRepost
)

// decide is the whole of the poller's judgement about an answer of /transactions
// (pagamio-api.md, "Transactions" and "ASSUMED"; contract, promise 2). Not found
// is not failure: the purchase may show up late.
func decide(o purchase.Outcome, h purchase.Handoff) step {
	switch o.Kind {
	case purchase.Completed:
		if len(o.Receipt) == 0 {
			return stepReceipt
		}
		return stepSettle
	case purchase.Failed:
		return stepSettle
	case purchase.InFlight:
		if h.State == purchase.OpenUnknown || (h.TransactionID == "" && o.TransactionID != "") {
			return stepUpgrade
		}
		return stepLater
	case purchase.NotFound, purchase.Forbidden:
		// The answer came and does not know the purchase. One that was answered
		// before is never posted again while it is open.
		if h.State == purchase.OpenUnknown && h.TransactionID == "" {
			return stepRepost
		}
		return stepLater
	default:
		return stepLater
	}
}
