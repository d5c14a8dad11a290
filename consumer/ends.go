package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

func (j *job) ending(source purchase.Source) purchase.Ending {
	return purchase.Ending{
		Source:      source,
		Attempts:    j.attempts,
		RequestedAt: j.delivery.Time,
		ResolvedAt:  time.Now(),
	}
}

func (j *job) refuse(refusal *purchase.Refusal) purchase.Result {
	return j.request.Refuse(refusal, j.ending(refusal.Source))
}

func (j *job) settleOutcome(work context.Context, o purchase.Outcome) worker.Disposition {
	if o.Code == purchase.CodeNotAvailable && j.c.config.Catalog != nil {
		j.c.config.Catalog.Stale() // pagamio-api.md, "Error codes": re-fetch the catalog
	}
	unsent := o.Kind == purchase.Forbidden
	o = j.withReceipt(work, asFailure(o))
	result, err := j.request.Settle(o, j.ending(purchase.SourcePurchase))
	if err != nil {
		return j.putBackHeld(work, awayRetry, err)
	}
	if unsent {
		return j.settleUnsent(work, result)
	}
	return j.settle(work, result)
}

// settleUnsent settles a purchase of which nothing was bought, as far as this
// handling knows. Another worker that has taken it over since may know better, and
// then this is not the truth: so the streams are asked again where some time has
// passed, and storing it must not outlast the claim.
func (j *job) settleUnsent(work context.Context, result purchase.Result) worker.Disposition {
	if end, over, err := j.overtaken(work, false); err != nil {
		return j.putBackHeld(work, busyRetry, err)
	} else if over {
		return end
	}
	left, lost := j.hold.state()
	if lost {
		return j.putBackHeld(work, busyRetry, errClaimLost)
	}
	held, cancel := context.WithTimeout(work, left)
	defer cancel()
	return j.settle(held, result)
}

// withReceipt asks /transactions once for the receipt that the answer to a
// purchase lacks: the integration guide says that it is to be had there too.
// The purchase is settled either way.
func (j *job) withReceipt(work context.Context, o purchase.Outcome) purchase.Outcome {
	if o.Kind != purchase.Completed || len(o.Receipt) > 0 || o.TransactionID == "" {
		return o
	}
	shown, called := j.c.config.Gate.Call(func() purchase.Outcome {
		return j.c.config.Vendor.Transaction(work, o.TransactionID, j.request.Reference)
	})
	if called && shown.Kind == purchase.Completed {
		o.Receipt = shown.Receipt
	}
	return o
}

// notInCatalog is the catalog's refusal of a purchase that was never sent.
func (j *job) notInCatalog(work context.Context) *purchase.Refusal {
	if j.c.config.Catalog == nil || j.acted {
		return nil
	}
	return j.c.config.Catalog.Check(work, j.request)
}

// settle stores the result, settles the claim, and acknowledges: in this order.
func (j *job) settle(work context.Context, result purchase.Result) worker.Disposition {
	c := j.c.config
	result.Lookup = j.lookup
	there, err := c.Writer.PublishResult(work, &result, j.trace)
	if err != nil {
		return j.putBackHeld(work, awayRetry, err)
	}
	digest := j.request.Digest
	agreement := purchase.Agree
	if there != nil {
		agreement, digest = result.Compare(there), there.RequestDigest
	}
	if _, err := c.Records.MarkSettled(work, j.hold.claim.Key, digest); err != nil {
		// The result is stored. The message comes again and settles the claim.
		return j.putBack(awayRetry, err)
	}
	switch agreement {
	case purchase.OtherPurchase:
		return j.bury(work, conflictRejection)
	case purchase.Contradict:
		j.observe(Event{Kind: EventContradiction, Result: there, Err: fmt.Errorf(
			"the ledger says %s and the vendor now says %s: the ledger stays, look at both", there.Status, result.Status)})
		return worker.Done()
	}
	if there == nil {
		j.observe(Event{Kind: EventSettled, Result: &result, Elapsed: time.Since(j.delivery.Time)})
	}
	return worker.Done()
}

// handOver stores the hand-off, marks the claim pending, and acknowledges.
func (j *job) handOver(work context.Context, o purchase.Outcome) worker.Disposition {
	c := j.c.config
	handoff := j.request.HandOver(o, purchase.Submission{
		Attempts:        j.attempts,
		RequestSequence: j.delivery.Sequence,
		RequestedAt:     j.delivery.Time,
		SubmittedAt:     time.Now(),
	})
	handoff.Lookup = j.lookup
	there, err := c.Writer.PublishHandoff(work, &handoff, j.trace)
	if err != nil {
		return j.putBackHeld(work, awayRetry, err)
	}
	if there != nil && there.RequestDigest == handoff.RequestDigest && there.State == purchase.OpenUnknown && handoff.State == purchase.OpenInFlight {
		// Another worker handed it over knowing less. What is known now forbids
		// a further purchase call, so it must be what is stored.
		if there, err = j.upgrade(work, &handoff); err != nil {
			return j.putBackHeld(work, awayRetry, err)
		}
	}
	if there != nil {
		handoff = *there
	}
	if _, err := c.Records.MarkPending(work, j.hold.claim.Key, handoff.RequestDigest, handoff.TransactionID, handoff.Attempts); err != nil {
		return j.putBack(awayRetry, err)
	}
	if handoff.RequestDigest != j.request.Digest {
		return j.bury(work, conflictRejection)
	}
	j.observe(Event{Kind: EventHandedOver, Outcome: o.Kind, Err: o.Cause})
	return worker.Done()
}

var errMoved = errors.New("consumer: the hand-off was moved on by another worker")

func (j *job) upgrade(work context.Context, handoff *purchase.Handoff) (*purchase.Handoff, error) {
	there, sequence, err := j.c.config.Ledger.Handoff(work, handoff.Account, handoff.MerchantReference)
	if err != nil {
		return nil, err
	}
	if there == nil {
		return nil, errMoved
	}
	// An empty 202 names no transaction; what the other worker learned stays.
	if handoff.TransactionID == "" {
		handoff.TransactionID = there.TransactionID
	}
	handoff.Attempts = max(handoff.Attempts, there.Attempts)
	return j.c.config.Writer.ReplaceHandoff(work, handoff, j.trace, sequence)
}
