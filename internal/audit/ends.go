package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// doubled looks at the dead letters of the period: none may have a result too, and
// none may be of a message that can have one.
func (r *run) doubled(ctx context.Context) error {
	var batch []*worker.Delivery
	flush := func() error {
		findings := make([]Finding, len(batch))
		err := parallel(ctx, len(batch), r.Parallel, func(ctx context.Context, i int) (err error) {
			findings[i], err = r.deadLetter(ctx, batch[i])
			return err
		})
		if err != nil {
			return err
		}
		for _, f := range findings {
			if f.State != "" {
				r.report.add(f)
			}
		}
		batch = batch[:0]
		return nil
	}
	reading := broker.Reading{Stream: r.Subjects.DeadStream(), Subjects: r.subjects(r.Subjects.AllDead), Since: r.scope.Since}
	err := r.Streams.Read(ctx, reading, func(d *worker.Delivery) error {
		if d.Time.After(r.scope.Until) {
			return broker.ErrEnough
		}
		if batch = append(batch, d); len(batch) == 256 {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// deadLetter is what is wrong with a dead letter; the zero Finding: nothing.
func (r *run) deadLetter(ctx context.Context, d *worker.Delivery) (Finding, error) {
	if publisher.Header(d.Header, publisher.HeaderTruncated) != "" {
		return Finding{}, nil // too large for any result
	}
	sequence, err := strconv.ParseUint(d.Subject[strings.LastIndexByte(d.Subject, '.')+1:], 10, 64)
	if err != nil {
		return Finding{}, nil // nobody's
	}
	account := r.Subjects.AccountOf(d.Subject)
	parsed, err := purchase.Parse(d.Body, r.Account(account))
	if err != nil {
		_, err = rejection(err)
		return Finding{}, err
	}
	request := Request{Account: account, Sequence: sequence, Time: d.Time, Reference: parsed.Reference, Digest: parsed.Digest}
	reason := purchase.Reason(publisher.Header(d.Header, publisher.HeaderReason))
	if reason != purchase.ReasonConflict && reason != purchase.ReasonUnknownAccount {
		return request.finding(Misburied, fmt.Sprintf("its dead letter says %q, and it can have a result", reason)), nil
	}
	result, err := retried(ctx, func() (*purchase.Result, error) { return r.Ends.Result(ctx, account, request.Reference) })
	if err != nil || result == nil {
		return Finding{}, err
	}
	j := judgement{Config: r.Config, ctx: ctx, r: request}
	if ours, err := j.same(result.RequestDigest, result.Channel()); !ours || err != nil {
		return Finding{}, err
	}
	// The same payload. A result of a request that was sent later is that one's: an
	// account that was not known then is known now.
	original, err := r.request(ctx, request)
	if err != nil || original == nil {
		return Finding{}, err
	}
	request.Time = original.Time
	own := result.RequestedAt.Equal(original.Time)
	repeat := result.RequestDigest == request.Digest && result.RequestedAt.Before(original.Time)
	if own || repeat {
		return request.finding(Doubled, fmt.Sprintf("it has a result and a dead letter (%s)", reason)), nil
	}
	return Finding{}, nil
}

// lingering looks at the open hand-offs of the period: none may stay open for long
// beside its result, and all must be readable.
func (r *run) lingering(ctx context.Context) error {
	accounts := r.scope.Accounts
	if len(accounts) == 0 {
		accounts = []string{"*"}
	}
	for _, account := range accounts {
		err := r.Seeker.Walk(ctx, r.Subjects.PendingStream(), r.Subjects.AllPending(account), func(d *worker.Delivery) error {
			return r.handoff(ctx, d)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) handoff(ctx context.Context, d *worker.Delivery) error {
	account := r.Subjects.AccountOf(d.Subject)
	var h purchase.Handoff
	if err := json.Unmarshal(d.Body, &h); err != nil {
		r.report.add(Request{Account: account, Time: d.Time}.finding(Unreadable,
			fmt.Sprintf("hand-off %d on the pending stream cannot be read", d.Sequence)))
		return nil
	}
	now := r.ground.Now
	if h.RequestedAt.Before(r.scope.Since) || h.RequestedAt.After(r.scope.Until) || now.Sub(h.SubmittedAt) < r.LingerAfter {
		return nil
	}
	result, err := retried(ctx, func() (*purchase.Result, error) { return r.Ends.Result(ctx, account, h.MerchantReference) })
	if err != nil || result == nil || now.Sub(result.ResolvedAt) < r.LingerAfter {
		return err
	}
	r.report.add(Request{Account: account, Sequence: h.RequestSequence, Time: h.RequestedAt, Reference: h.MerchantReference}.finding(Lingering,
		"its hand-off is open, and there is a result since "+result.ResolvedAt.UTC().Format(time.RFC3339)+": does a poller run?"))
	return nil
}

// unclaimed keeps a result that went by without its request, if that should be in
// the period.
func (r *run) unclaimed(p passing) {
	if p.requestedAt.Before(r.scope.Since) || p.requestedAt.After(r.scope.Until) || len(r.orphans) >= mostFindings {
		return
	}
	r.orphans = append(r.orphans, p)
}

// withoutRequest looks for the requests of such results one by one.
func (r *run) withoutRequest(ctx context.Context) error {
	if len(r.orphans) == 0 {
		return nil
	}
	requests, err := r.Streams.Stream(ctx, r.Subjects.RequestsStream())
	if err != nil {
		return err
	}
	orphan := make([]bool, len(r.orphans))
	err = parallel(ctx, len(r.orphans), r.Parallel, func(ctx context.Context, i int) (err error) {
		orphan[i], err = r.orphaned(ctx, r.orphans[i], requests)
		return err
	})
	if err != nil {
		return err
	}
	for i, p := range r.orphans {
		if orphan[i] {
			r.report.add(Request{Account: p.account, Reference: p.reference, Time: p.requestedAt}.finding(Orphan,
				"there is a result, and no request of its time"))
		}
	}
	return nil
}

// orphaned looks for the request of a result: a result bears the time at which its
// request was stored, and requests are in order of that time. Where all requests
// of the account that are left are younger, it was purged.
func (r *run) orphaned(ctx context.Context, p passing, requests broker.Stream) (bool, error) {
	next := func(from uint64) (*worker.Delivery, error) {
		return retried(ctx, func() (*worker.Delivery, error) {
			return r.Seeker.Next(ctx, r.Subjects.RequestsStream(), r.Subjects.Requests(p.account), from)
		})
	}
	first, err := next(requests.First)
	if err != nil || first == nil || first.Time.After(p.requestedAt) {
		return false, err
	}
	lo, hi := first.Sequence, requests.Last+1
	for lo < hi {
		middle := lo + (hi-lo)/2
		d, err := next(middle)
		switch {
		case err != nil:
			return false, err
		case d == nil || d.Sequence >= hi || !d.Time.Before(p.requestedAt):
			hi = middle
		default:
			lo = d.Sequence + 1
		}
	}
	for {
		d, err := next(lo)
		if err != nil {
			return false, err
		}
		if d == nil || d.Time.After(p.requestedAt) {
			return true, nil
		}
		if request, err := r.Read(d); err != nil || request.Reference == p.reference {
			return false, err
		}
		lo = d.Sequence + 1
	}
}
