package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// job is the handling of one delivery: one owner of one claim.
type job struct {
	c        *Consumer
	delivery *worker.Delivery
	trace    string

	request   *purchase.Request   // nil where it was rejected
	rejection *purchase.Rejection // nil where it can have a result
	refusal   *purchase.Refusal   // nil where it may be sent
	expires   time.Time           // zero: never

	buried bool // a dead letter of it is stored
	fault  error
	answer dedupe.Answer
	hold   hold
	permit quota.Permits

	// acted: a call of this or an earlier handling may have reached the vendor.
	acted bool
	// actedBefore is acted as this handling found it.
	actedBefore bool
	// marked: Redis knows that a call may have been made.
	marked bool
	// answered: the vendor gave a non-terminal answer; no further call is made.
	answered bool
	attempts int
	lookup   json.RawMessage  // what the customer's look-up said
	looked   time.Time        // when the streams were last asked
	known    *publisher.Known // what they said to the whole chunk; nil: to be asked
}

// newJob reads the message. All that is decided from its body and headers alone
// is decided here.
func (c *Consumer) newJob(ctx context.Context, d *worker.Delivery) *job {
	j := &job{c: c, delivery: d, trace: publisher.Header(d.Header, publisher.HeaderTraceParent), permit: c.permits.one(ctx)}
	request, err := purchase.Parse(d.Body, c.config.Account)
	if err != nil {
		if !errors.As(err, &j.rejection) {
			j.fault = err
		}
		return j
	}
	j.request = request
	if j.refusal = request.Validate(); j.refusal == nil {
		j.expires, j.refusal = purchase.Expiry(publisher.Values(d.Header, publisher.HeaderExpiresAt))
	}
	j.hold.claim = dedupe.Claim{
		Key:    dedupe.Key{Account: request.Account, Reference: request.Reference},
		Digest: request.Digest,
		Owner:  c.config.Owner + "/" + strconv.FormatUint(c.serial.Add(1), 10),
		// A repeat of the purchase may expire though this message does not.
		Sends: j.refusal == nil && j.expires.IsZero(),
	}
	return j
}

// claim claims the purchases of all jobs in one pipeline.
func (c *Consumer) claim(ctx context.Context, jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	claims := make([]dedupe.Claim, len(jobs))
	for i, j := range jobs {
		claims[i] = j.hold.claim
	}
	start := time.Now()
	answers, err := c.config.Claims.Claim(ctx, claims)
	if err != nil {
		c.redisAway(err)
	}
	for i, j := range jobs {
		if err != nil {
			j.fault = err
			c.notes.change(j.delivery, func(n *note) { n.unclaimed++ })
			continue
		}
		j.answer = answers[i]
		j.hold.renew(start.Add(c.config.Lease))
	}
}

// look asks the streams for the purchases of all jobs at once, after their claims.
// Those whose claim is another's are not asked for. Where it fails each job asks
// for itself, and says what is wrong.
func (c *Consumer) look(ctx context.Context, jobs []*job) {
	references := make([]string, 0, len(jobs))
	asked := make([]*job, 0, len(jobs))
	for _, j := range jobs {
		if j.fault == nil && j.answer.Verdict != purchase.ClaimInFlight {
			asked = append(asked, j)
			references = append(references, j.request.Reference)
		}
	}
	if len(asked) == 0 {
		return
	}
	now := time.Now()
	known, err := c.config.Ledger.Look(ctx, c.config.Account.Name, references)
	if err != nil {
		return
	}
	for i, j := range asked {
		j.known, j.looked = &known[i], now
	}
}

// task is the job as the pool runs it.
func (j *job) task(work, stop context.Context) worker.Disposition {
	defer j.returnPermit(work)
	end := j.handle(work, stop)
	if end.IsDone() {
		j.c.notes.forget(j.delivery)
	}
	return end
}

func (j *job) handle(work, stop context.Context) worker.Disposition {
	switch {
	case j.buried:
		return worker.Done()
	case j.rejection != nil:
		return j.bury(work, j.rejection)
	case j.fault != nil:
		return j.putBack(awayRetry, j.fault)
	}
	j.observe(Event{Kind: EventClaimed, Verdict: j.answer.Verdict})
	switch j.answer.Verdict {
	case purchase.ClaimInFlight:
		return worker.RetryAfter(max(busyRetry, j.answer.Wait))
	case purchase.ClaimConflict:
		return j.conflict(work)
	case purchase.ClaimPending, purchase.ClaimSettled:
		return j.repeat(work, stop)
	default:
		return j.held(work, stop)
	}
}

// conflict is a reference that Redis holds for another payload. A claim alone is
// no proof: it may have been made after Redis lost this purchase's own, whose
// worker still goes on. So the message waits until the streams tell which of the
// two came to an end. A hand-off or result that Redis remembers is proof.
func (j *job) conflict(work context.Context) worker.Disposition {
	end, found, err := j.adopt(work)
	switch {
	case err != nil:
		return j.putBack(awayRetry, err)
	case found:
		return end
	case j.answer.State == purchase.Pending || j.answer.State == purchase.Settled:
		return j.bury(work, conflictRejection)
	default:
		return worker.RetryAfter(min(conflictRetry, busyRetry<<min(j.delivery.Count, 10)))
	}
}

var conflictRejection = &purchase.Rejection{
	Reason: purchase.ReasonConflict,
	Detail: "the merchantReference was used before with another payload; that purchase is untouched. A new purchase needs a new reference",
}

var errNotSeen = errors.New("consumer: Redis knows an end of the purchase that the streams do not show: they are asked again in half a minute")

// repeat is a purchase that Redis holds as handed over or settled. It leaves
// nothing behind where the streams say so too.
func (j *job) repeat(work, stop context.Context) worker.Disposition {
	end, found, err := j.adopt(work)
	if err != nil {
		return j.putBack(awayRetry, err)
	}
	if found {
		return end
	}
	// Redis knows more than the streams. Where they have a result that says that
	// nothing was bought, a purchase now would make it a lie: so they are asked once
	// more, when nobody answers for them who is not their leader any longer.
	note := j.c.notes.change(j.delivery, func(n *note) {
		if n.unseen.IsZero() {
			n.unseen = time.Now()
		}
	})
	if wait := formerLeader - time.Since(note.unseen); wait > 0 {
		return j.putBack(wait, errNotSeen)
	}
	// They lost it, or it is older than they remember. The purchase is taken up again
	// under the same reference.
	was, start := j.answer, time.Now()
	if j.answer, err = j.c.config.Claims.Reopen(work, j.hold.claim, was.State); err != nil {
		return j.putBack(awayRetry, err)
	}
	if !j.answer.Verdict.Held() {
		return worker.RetryAfter(max(busyRetry, j.answer.Wait))
	}
	j.hold.renew(start.Add(j.c.config.Lease))
	j.answer.Sent = true
	j.answer.Attempts = max(j.answer.Attempts, was.Attempts)
	if was.TransactionID != "" {
		j.answer.TransactionID = was.TransactionID
	}
	j.answered = was.State == purchase.Pending
	j.c.notes.forget(j.delivery)
	return j.held(work, stop)
}

// held is a purchase that is this job's to end.
func (j *job) held(work, stop context.Context) worker.Disposition {
	j.c.leases.add(&j.hold)
	defer j.c.leases.remove(&j.hold)

	// Before anything can go wrong: a release hands on what is known of calls.
	j.attempts = j.answer.Attempts
	j.acted = j.mayHaveActed()
	j.actedBefore = j.acted
	j.marked = j.answer.Sent
	// A transaction is the vendor's answer, whoever got it: the poller asks for it.
	j.answered = j.answered || j.answer.TransactionID != ""
	end, found, err := j.adopt(work)
	if err != nil {
		return j.putBackHeld(work, awayRetry, err)
	}
	if found {
		return end
	}
	switch {
	case j.answered:
		return j.handOver(work, purchase.Outcome{Kind: purchase.InFlight, TransactionID: j.answer.TransactionID})
	case j.refusal != nil && !j.answer.Sent:
		return j.settleUnsent(work, j.refuse(j.refusal))
	}
	if refusal := j.notInCatalog(work); refusal != nil {
		return j.settleUnsent(work, j.refuse(refusal))
	}
	return j.vend(work, stop)
}

// mayHaveActed says whether an earlier handling may have called the vendor. A
// message that expires is marked in Redis before its first call, and any other
// by its claim, so that what Redis says is enough; where Redis has forgotten and
// the message was delivered before, it is not.
func (j *job) mayHaveActed() bool {
	if j.answer.Sent || publisher.Repairs(j.delivery.Header) > 0 {
		return true // nobody knows what became of a request that is repaired
	}
	if j.refusal != nil {
		return false // no delivery of it has called, and of others the claim tells
	}
	if !j.expires.IsZero() && j.answer.State != purchase.Absent {
		return false
	}
	// The state and not the verdict: where the answer to a claim was lost and
	// asked for again, the claim reads as held by this very owner.
	if j.answer.State != purchase.Absent {
		return j.answer.State == purchase.Claimed
	}
	// Deliveries that this process itself has put back without a claim have not called.
	return j.delivery.Count-1 > j.c.notes.get(j.delivery).unclaimed
}

// adopt asks the streams for the purchase. What is found ends the message: as a
// repeat, or as a conflict.
func (j *job) adopt(work context.Context) (end worker.Disposition, found bool, err error) {
	known, err := j.ask(work)
	if err != nil {
		return end, false, err
	}
	handoff, result := known.Handoff, known.Result
	switch {
	// A result decides over another payload's hand-off, which the poller will
	// find out: it may be this very message's, stored before it could be acked.
	case handoff != nil && (handoff.RequestDigest == j.request.Digest || result == nil):
		return j.adopted(work, handoff.RequestDigest, purchase.Pending, func() (purchase.ClaimState, error) {
			return j.c.config.Records.MarkPending(work, j.hold.claim.Key, handoff.RequestDigest, handoff.TransactionID, handoff.Attempts)
		}), true, nil
	case result != nil:
		return j.adopted(work, result.RequestDigest, purchase.Settled, func() (purchase.ClaimState, error) {
			return j.c.config.Records.MarkSettled(work, j.hold.claim.Key, result.RequestDigest)
		}), true, nil
	}
	return end, false, nil
}

// ask is what the streams hold of the purchase: what was read for the whole
// chunk, once, and after that what is read anew.
func (j *job) ask(work context.Context) (publisher.Known, error) {
	if known := j.known; known != nil {
		j.known = nil
		return *known, nil
	}
	j.looked = time.Now()
	all, err := j.c.config.Ledger.Look(work, j.request.Account, []string{j.request.Reference})
	if err != nil {
		return publisher.Known{}, err
	}
	return all[0], nil
}

// adopted mends Redis where it held something else, or a claim that was granted
// in the meantime, and ends the message.
func (j *job) adopted(work context.Context, digest purchase.Digest, state purchase.ClaimState, record func() (purchase.ClaimState, error)) worker.Disposition {
	verdict := j.answer.Verdict
	if j.answer.State != state || verdict.Held() || verdict == purchase.ClaimConflict && digest == j.request.Digest {
		if _, err := record(); err != nil {
			return j.putBack(awayRetry, err)
		}
		j.observe(Event{Kind: EventRestored})
	}
	if digest != j.request.Digest {
		return j.bury(work, conflictRejection)
	}
	return worker.Done()
}

// bury stores the dead letter.
func (j *job) bury(work context.Context, why *purchase.Rejection) worker.Disposition {
	err := j.c.config.Dead.PublishDead(work, publisher.DeadLetter{
		Account:  j.c.config.Account.Name,
		Sequence: j.delivery.Sequence,
		Reason:   why.Reason,
		Detail:   why.Detail,
		Header:   j.delivery.Header,
		Body:     j.delivery.Body,
	})
	if err != nil {
		return j.putBack(awayRetry, err)
	}
	j.observe(Event{Kind: EventBuried, Reason: why.Reason})
	return worker.Done()
}

// putBack leaves the message for later.
func (j *job) putBack(after time.Duration, why error) worker.Disposition {
	j.observe(Event{Kind: EventPutBack, Err: why})
	return worker.RetryAfter(after)
}

// putBackHeld is putBack for a claim that is held: it is released, so that the
// next one need not wait for the lease, and remembers what may have been sent.
func (j *job) putBackHeld(work context.Context, after time.Duration, why error) worker.Disposition {
	// Also where the work was cut short: what is known of calls must not be lost.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), releaseTimeout)
	defer cancel()
	if _, err := j.c.config.Claims.Release(ctx, j.hold.claim, j.attempts, j.acted); err != nil {
		why = errors.Join(why, err)
	}
	return j.putBack(after, why)
}

func (j *job) returnPermit(work context.Context) {
	if j.c.config.Limiter == nil || j.permit.Unused() == 0 {
		return
	}
	if err := j.c.config.Limiter.GiveBack(work, j.permit); err != nil {
		j.c.config.Report(err)
	}
}

func (j *job) observe(e Event) {
	e.Sequence, e.Count = j.delivery.Sequence, j.delivery.Count
	j.c.observe(e)
}
