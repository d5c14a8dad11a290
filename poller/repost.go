package poller

import (
	"context"
	"errors"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

var (
	errStopping  = errors.New("poller: stopping")
	errHeld      = errors.New("poller: another worker may be posting this purchase")
	errNotCalled = errors.New("poller: the vendor may not be called now")
)

// answered says that Redis names a transaction of which the hand-off knows nothing.
type answered struct{ transactionID string }

func (*answered) Error() string {
	return "poller: Redis names a transaction of this purchase, and the hand-off names none"
}

// movedOn says that the purchase is no longer this hand-off's to post.
type movedOn struct{ end worker.Disposition }

func (*movedOn) Error() string { return "poller: the purchase has moved on" }

// repost posts a purchase of unknown outcome again, under its reference, and
// stores what came of it.
func (j *job) repost(work, stop context.Context) worker.Disposition {
	if !j.p.beginPost(j.key()) {
		return j.notPosted(errHeld)
	}
	defer j.p.endPost(j.key()) // when what came of it is stored
	if end, over, err := j.superseded(work); err != nil {
		return j.putBack(awayRetry, err)
	} else if over {
		return end
	}
	// decide saw no transaction in the hand-off. Where Redis names one the vendor has
	// answered since, and NATS has said so before, whatever it says now: the hand-off is
	// brought back to that, so that the poller can ask for the transaction.
	outcome, err := j.post(work, stop, true)
	if known := (*answered)(nil); errors.As(err, &known) {
		return j.upgrade(work, purchase.Outcome{Kind: purchase.InFlight, TransactionID: known.transactionID})
	}
	if err != nil {
		return j.notPosted(err)
	}
	if j.holdsBalance(outcome) {
		j.p.config.Hold(pause.Balance)
		j.memory.held = true
		j.p.remember(j.delivery.Sequence, j.memory)
		j.observe(Event{Kind: EventHeld, Outcome: outcome.Kind, Message: outcome.Message})
		return j.later()
	}
	switch outcome.Kind {
	case purchase.Completed, purchase.Failed:
		return j.settle(work, outcome, purchase.SourcePurchase)
	case purchase.InFlight:
		return j.upgrade(work, outcome)
	case purchase.LookUp:
		if outcome.TransactionID != "" {
			return j.upgrade(work, outcome)
		}
	}
	return j.later()
}

// holdsBalance reports whether the account is to be paused for the outcome, and
// the purchase to be posted again after that.
func (j *job) holdsBalance(o purchase.Outcome) bool {
	c := j.p.config
	return c.Hold != nil && o.Kind == purchase.Failed && o.Class == purchase.ClassBalance &&
		c.Gate.HoldsBalance(j.memory.held, j.handoff.RequestedAt)
}

// notPosted ends a look after which no call was made.
func (j *job) notPosted(why error) worker.Disposition {
	var moved *movedOn
	switch {
	case errors.As(why, &moved):
		return moved.end
	case errors.Is(why, errStopping):
		return j.putBack(0, why)
	case errors.Is(why, errNotCalled), errors.Is(why, errHeld):
		return j.later()
	default:
		return j.putBack(awayRetry, why)
	}
}

// superseded reports whether the purchase has moved on since this hand-off was
// stored: it has a result, or a newer hand-off.
func (j *job) superseded(work context.Context) (end worker.Disposition, over bool, err error) {
	c, h := j.p.config, j.handoff
	result, err := c.Ledger.Result(work, h.Account, h.MerchantReference)
	if err != nil {
		return end, false, err
	}
	if result != nil {
		return j.settled(work, nil, result), true, nil
	}
	_, newest, err := c.Ledger.Handoff(work, h.Account, h.MerchantReference)
	if err != nil {
		return end, false, err
	}
	switch {
	case newest > j.delivery.Sequence:
		return j.done(), true, nil
	case newest < j.delivery.Sequence:
		return end, false, errNotSeen
	}
	return end, false, nil
}

// errNotSeen is a hand-off that is in hand and was not found on the stream, with no
// result either. A leader that was stopped and has not noticed that it is one no
// longer answers so, from before the hand-off. It is no proof of an end: an ack would
// remove the only trace of the purchase.
var errNotSeen = errors.New("poller: NATS does not know the hand-off that it delivered, nor a result")

// post makes one purchase call under the account's limit, with the sole right to
// it; unanswered as in dedupe.Claim. The error says why no call was made.
func (j *job) post(work, stop context.Context, unanswered bool) (purchase.Outcome, error) {
	c := j.p.config
	if !c.Gate.MayRepost(work) {
		return purchase.Outcome{}, errNotCalled
	}
	claim := dedupe.Claim{Key: j.key(), Digest: j.handoff.RequestDigest, Owner: c.Owner, Unanswered: unanswered}
	held, err := c.Records.HoldPost(work, claim, c.PostLease)
	if err != nil {
		return purchase.Outcome{}, err
	}
	switch {
	case held.TransactionID != "":
		return purchase.Outcome{}, &answered{held.TransactionID}
	case !held.Ours:
		return purchase.Outcome{}, errHeld
	}
	start := time.Now()
	for c.Limiter != nil {
		granted, wait, err := c.Limiter.Take(stop, 1)
		if stop.Err() != nil {
			return purchase.Outcome{}, errStopping
		}
		if err != nil {
			return purchase.Outcome{}, err
		}
		if granted.Use() {
			break
		}
		// A wait that would outlast the right to post is left to the schedule.
		if time.Since(start)+wait > c.PostLease/2 {
			return purchase.Outcome{}, errNotCalled
		}
		if !worker.Sleep(stop, wait) {
			return purchase.Outcome{}, errStopping
		}
	}
	if stop.Err() != nil {
		return purchase.Outcome{}, errStopping
	}
	// Once more, as the last thing before the call: the wait for a permit may have been
	// long, and somebody else may have stored an answer or the result since.
	if end, over, err := j.superseded(work); err != nil {
		return purchase.Outcome{}, err
	} else if over {
		return purchase.Outcome{}, &movedOn{end}
	}
	outcome, called := c.Gate.Purchase(func() purchase.Outcome {
		return c.Vendor.Purchase(work, j.handoff.MerchantReference, j.request.VendorBody())
	})
	if !called {
		return purchase.Outcome{}, errNotCalled
	}
	if outcome.Kind.MayHaveActed() {
		j.memory.attempts++
		j.p.remember(j.delivery.Sequence, j.memory)
	}
	if outcome.Kind == purchase.Limited && c.Limiter != nil {
		if err := c.Limiter.Penalize(work, c.Gate.Pause()); err != nil {
			c.Report(err)
		}
	}
	j.observe(Event{Kind: EventReposted, Outcome: outcome.Kind, Err: outcome.Cause})
	return outcome, nil
}

// fetchReceipt asks for the receipt of a completed purchase by posting it again,
// which returns the original's answer. /transactions has settled the purchase:
// where no receipt is to be had, the result goes out without.
func (j *job) fetchReceipt(work, stop context.Context, completed purchase.Outcome) worker.Disposition {
	if !j.p.beginPost(j.key()) {
		return j.notPosted(errHeld)
	}
	defer j.p.endPost(j.key())
	if end, over, err := j.superseded(work); err != nil {
		return j.putBack(awayRetry, err)
	} else if over {
		return end
	}
	policy := j.p.config.BackOff()
	for tries := 1; ; tries++ {
		outcome, err := j.post(work, stop, false)
		if err != nil {
			return j.notPosted(err)
		}
		if !outcome.Kind.MayHaveActed() {
			return j.later() // nothing was asked, so nothing is used up
		}
		if outcome.Kind == purchase.Completed {
			return j.settle(work, j.withReceipt(completed, outcome), purchase.SourcePoll)
		}
		if outcome.Kind == purchase.Failed {
			j.observe(Event{Kind: EventContradiction, Outcome: outcome.Kind,
				Err: errors.New("/transactions says COMPLETED and the same purchase posted again says FAILED: look at both")})
		}
		// A terminal answer would be the same again: there is no receipt to be had.
		if outcome.Kind.Terminal() || tries >= j.p.config.Attempts {
			return j.settle(work, completed, purchase.SourcePoll)
		}
		if !worker.Sleep(stop, policy.NextBackOff()) {
			return j.putBack(0, errStopping)
		}
	}
}

// withReceipt adds what the purchase's own answer says to what /transactions
// said. An answer about another transaction adds nothing.
func (j *job) withReceipt(completed, answer purchase.Outcome) purchase.Outcome {
	if completed.TransactionID == "" {
		completed.TransactionID = j.handoff.TransactionID
	}
	if completed.TransactionID != "" && answer.TransactionID != "" && completed.TransactionID != answer.TransactionID {
		j.observe(Event{Kind: EventContradiction, Outcome: answer.Kind,
			Err: errors.New("the same purchase posted again answered with another transaction: it may have been vended twice, look at both")})
		return completed
	}
	completed.Receipt = answer.Receipt
	if completed.Message == "" {
		completed.Message = answer.Message
	}
	if completed.TransactionID == "" {
		completed.TransactionID = answer.TransactionID
	}
	return completed
}
