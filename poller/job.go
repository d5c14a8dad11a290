package poller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// job is one look at one open purchase.
type job struct {
	p        *Poller
	delivery *worker.Delivery
	trace    string
	handoff  purchase.Handoff
	request  *purchase.Request
	memory   memory
	fault    error
}

func (p *Poller) newJob(d *worker.Delivery) *job {
	j := &job{p: p, delivery: d, trace: publisher.Header(d.Header, publisher.HeaderTraceParent), memory: p.remembered(d.Sequence)}
	if err := json.Unmarshal(d.Body, &j.handoff); err != nil {
		j.fault = fmt.Errorf("poller: hand-off %d cannot be read: %w", d.Sequence, err)
		return j
	}
	if j.request, j.fault = j.handoff.Purchase(); j.fault != nil {
		j.fault = fmt.Errorf("poller: the request in hand-off %d cannot be read: %w", d.Sequence, j.fault)
	}
	return j
}

// task is the job as the pool runs it.
func (j *job) task(work, stop context.Context) worker.Disposition {
	if j.fault != nil {
		return j.putBack(unreadableRetry, j.fault)
	}
	if stop.Err() != nil {
		return worker.RetryAfter(0)
	}
	if due := j.p.config.Schedule.Due(j.age()); due > 0 && j.delivery.Count <= 1 {
		return worker.RetryAfter(due)
	}
	outcome, called := j.p.config.Gate.Call(func() purchase.Outcome {
		return j.p.config.Vendor.Transaction(work, j.handoff.TransactionID, j.handoff.MerchantReference)
	})
	if !called {
		j.escalate(purchase.Outcome{Cause: errNotCalled})
		return j.later()
	}
	j.observe(Event{Kind: EventPolled, Outcome: outcome.Kind, Err: outcome.Cause})
	if !outcome.Kind.Terminal() {
		j.escalate(outcome)
	}
	switch decide(outcome, j.handoff) {
	case stepSettle:
		return j.settle(work, outcome, purchase.SourcePoll)
	case stepReceipt:
		return j.fetchReceipt(work, stop, outcome)
	case stepUpgrade:
		return j.upgrade(work, outcome)
	case stepRepost:
		return j.repost(work, stop)
	default:
		return j.later()
	}
}

func (j *job) age() time.Duration { return time.Since(j.handoff.SubmittedAt) }

// later leaves the purchase open until the schedule asks again.
func (j *job) later() worker.Disposition {
	return worker.RetryAfter(j.p.config.Schedule.Every(j.age()))
}

// escalate tells once that the purchase is open for too long, and what the last
// look said.
func (j *job) escalate(last purchase.Outcome) {
	if j.memory.escalated || j.age() < j.p.config.EscalateAfter {
		return
	}
	j.memory.escalated = true
	j.p.remember(j.delivery.Sequence, j.memory)
	j.observe(Event{Kind: EventEscalated, State: j.handoff.State, Outcome: last.Kind, Err: last.Cause})
}

// settle stores the result, settles the claim, and acknowledges: in this order.
func (j *job) settle(work context.Context, o purchase.Outcome, source purchase.Source) worker.Disposition {
	c := j.p.config
	if o.TransactionID == "" {
		o.TransactionID = j.handoff.TransactionID
	}
	result, err := j.request.Settle(o, purchase.Ending{
		Source:      source,
		Attempts:    j.handoff.Attempts + j.memory.attempts,
		RequestedAt: j.handoff.RequestedAt,
		ResolvedAt:  time.Now(),
	})
	if err != nil {
		return j.putBack(awayRetry, err)
	}
	result.Lookup = j.handoff.Lookup
	there, err := c.Writer.PublishResult(work, &result, j.trace)
	if err != nil {
		return j.putBack(awayRetry, err)
	}
	if there == nil {
		j.observe(Event{Kind: EventSettled, Result: &result, Elapsed: time.Since(j.handoff.RequestedAt)})
		there = &result
	}
	return j.settled(work, &result, there)
}

// settled ends a hand-off whose purchase has a result in the ledger. result is
// what this job would have said, or nil.
func (j *job) settled(work context.Context, result, there *purchase.Result) worker.Disposition {
	if _, err := j.p.config.Records.MarkSettled(work, j.key(), there.RequestDigest); err != nil {
		return j.putBack(awayRetry, err)
	}
	if there.RequestDigest != j.handoff.RequestDigest {
		return j.bury(work)
	}
	if result != nil && result.Compare(there) == purchase.Contradict {
		j.observe(Event{Kind: EventContradiction, Result: there, Err: fmt.Errorf(
			"the ledger says %s and the vendor now says %s: the ledger stays, look at both", there.Status, result.Status)})
	}
	return j.done()
}

// bury ends a hand-off whose reference has the result of another payload: the
// request itself becomes the dead letter.
func (j *job) bury(work context.Context) worker.Disposition {
	dead, err := j.p.config.Dead.Original(work, j.handoff.Account, j.handoff.RequestSequence)
	if err != nil {
		return j.putBack(awayRetry, err)
	}
	if dead.Body == nil {
		dead.Body = j.handoff.Request
	}
	dead.Reason = purchase.ReasonConflict
	dead.Detail = "the merchantReference has the result of another payload, which is untouched. A new purchase needs a new reference"
	if err := j.p.config.Dead.PublishDead(work, dead); err != nil {
		return j.putBack(awayRetry, err)
	}
	j.observe(Event{Kind: EventBuried})
	return j.done()
}

// upgrade stores what more is known of an open purchase as a hand-off that
// takes the place of this one.
func (j *job) upgrade(work context.Context, o purchase.Outcome) worker.Disposition {
	next := j.handoff
	next.Attempts += j.memory.attempts
	next.LastCode = o.Code
	if o.TransactionID != "" {
		next.TransactionID = o.TransactionID
	}
	if o.Kind == purchase.InFlight {
		next.State = purchase.OpenInFlight
	}
	there, err := j.p.config.Writer.ReplaceHandoff(work, &next, j.trace, j.delivery.Sequence)
	if errors.Is(err, publisher.ErrGone) {
		return j.gone(work)
	}
	if err != nil {
		return j.putBack(awayRetry, err)
	}
	if there == nil {
		there = &next
	}
	if _, err := j.p.config.Records.MarkPending(work, j.key(), there.RequestDigest, there.TransactionID, there.Attempts); err != nil {
		return j.putBack(awayRetry, err)
	}
	return j.done()
}

// gone ends a hand-off that is no longer on the stream: somebody else has stored the
// result before. Only that result proves it.
func (j *job) gone(work context.Context) worker.Disposition {
	result, err := j.p.config.Ledger.Result(work, j.handoff.Account, j.handoff.MerchantReference)
	switch {
	case err != nil:
		return j.putBack(awayRetry, err)
	case result == nil:
		return j.putBack(awayRetry, errNotSeen)
	}
	return j.settled(work, nil, result)
}

func (j *job) key() dedupe.Key {
	return dedupe.Key{Account: j.handoff.Account, Reference: j.handoff.MerchantReference}
}

func (j *job) done() worker.Disposition {
	j.p.forget(j.delivery.Sequence)
	return worker.Done()
}

func (j *job) putBack(after time.Duration, why error) worker.Disposition {
	j.observe(Event{Kind: EventPutBack, Err: why})
	return worker.RetryAfter(after)
}

func (j *job) observe(e Event) {
	e.Account, e.Sequence, e.Age = j.p.config.Account, j.handoff.RequestSequence, j.age()
	j.p.config.Observer.Observe(e)
}
