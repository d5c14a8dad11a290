package failpoint

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/poller"
	"github.com/vendstream/vendstream/publisher"
)

// What consumer and poller have in common. A decorator spells out every method
// of its port, so that a new method does not compile until it has its points.

func outcome(a at, name string, do func() purchase.Outcome) purchase.Outcome {
	o, err := value(a, name, func() (purchase.Outcome, error) { return do(), nil })
	switch {
	case errors.Is(err, errLost):
		return purchase.Outcome{Kind: purchase.Unknown, Cause: err}
	case err != nil:
		return purchase.Outcome{Kind: purchase.Unreachable, Cause: err}
	}
	return o
}

type pollVendor struct {
	at
	next poller.Vendor
}

func (v pollVendor) Transaction(ctx context.Context, transactionID, reference string) purchase.Outcome {
	return outcome(v.at, "vendor.transaction", func() purchase.Outcome {
		return v.next.Transaction(v.ctx(ctx), transactionID, reference)
	})
}

func (v pollVendor) Purchase(ctx context.Context, reference string, body []byte) purchase.Outcome {
	return outcome(v.at, "vendor.purchase", func() purchase.Outcome {
		return v.next.Purchase(v.ctx(ctx), reference, body)
	})
}

type consumerVendor struct {
	pollVendor
	next consumer.Vendor
}

func (v consumerVendor) Lookup(ctx context.Context, kind purchase.LookupKind, body []byte) (purchase.Outcome, json.RawMessage) {
	var said json.RawMessage
	o := outcome(v.at, "vendor.lookup", func() (o purchase.Outcome) {
		o, said = v.next.Lookup(v.ctx(ctx), kind, body)
		return o
	})
	if errors.Is(o.Cause, ErrOrdered) {
		said = nil
	}
	return o, said
}

type looker struct {
	at
	next consumer.Looker
}

func (l looker) Look(ctx context.Context, account string, references []string) ([]publisher.Known, error) {
	return value(l.at, "ledger.look", func() ([]publisher.Known, error) {
		return l.next.Look(l.ctx(ctx), account, references)
	})
}

type consumerLedger struct {
	looker
	next consumer.Ledger
}

func (l consumerLedger) Handoff(ctx context.Context, account, reference string) (*purchase.Handoff, uint64, error) {
	return handoff(ctx, l.at, l.next.Handoff, account, reference)
}

type ledger struct {
	at
	next poller.Ledger
}

func (l ledger) Result(ctx context.Context, account, reference string) (*purchase.Result, error) {
	return value(l.at, "ledger.result", func() (*purchase.Result, error) {
		return l.next.Result(l.ctx(ctx), account, reference)
	})
}

func (l ledger) Handoff(ctx context.Context, account, reference string) (*purchase.Handoff, uint64, error) {
	return handoff(ctx, l.at, l.next.Handoff, account, reference)
}

func handoff(ctx context.Context, a at, read func(context.Context, string, string) (*purchase.Handoff, uint64, error), account, reference string) (*purchase.Handoff, uint64, error) {
	var sequence uint64
	h, err := value(a, "ledger.handoff", func() (h *purchase.Handoff, err error) {
		h, sequence, err = read(a.ctx(ctx), account, reference)
		return h, err
	})
	if err != nil {
		return nil, 0, err
	}
	return h, sequence, nil
}

type pollWriter struct {
	at
	next poller.Writer
}

func (w pollWriter) PublishResult(ctx context.Context, r *purchase.Result, traceParent string) (*purchase.Result, error) {
	return value(w.at, "writer.publishresult", func() (*purchase.Result, error) {
		return w.next.PublishResult(w.ctx(ctx), r, traceParent)
	})
}

func (w pollWriter) ReplaceHandoff(ctx context.Context, h *purchase.Handoff, traceParent string, sequence uint64) (*purchase.Handoff, error) {
	return value(w.at, "writer.replacehandoff", func() (*purchase.Handoff, error) {
		return w.next.ReplaceHandoff(w.ctx(ctx), h, traceParent, sequence)
	})
}

type consumerWriter struct {
	pollWriter
	next consumer.Writer
}

func (w consumerWriter) PublishHandoff(ctx context.Context, h *purchase.Handoff, traceParent string) (*purchase.Handoff, error) {
	return value(w.at, "writer.publishhandoff", func() (*purchase.Handoff, error) {
		return w.next.PublishHandoff(w.ctx(ctx), h, traceParent)
	})
}

type pollLimiter struct {
	at
	next poller.Limiter
}

func (l pollLimiter) Take(ctx context.Context, most int) (quota.Permits, time.Duration, error) {
	var wait time.Duration
	granted, err := value(l.at, "limiter.take", func() (granted quota.Permits, err error) {
		granted, wait, err = l.next.Take(l.ctx(ctx), most)
		return granted, err
	})
	if err != nil {
		return quota.Permits{}, 0, err
	}
	return granted, wait, nil
}

func (l pollLimiter) Penalize(ctx context.Context, d time.Duration) error {
	return l.effect("limiter.penalize", func() error { return l.next.Penalize(l.ctx(ctx), d) })
}

type consumerLimiter struct {
	pollLimiter
	next consumer.Limiter
}

func (l consumerLimiter) GiveBack(ctx context.Context, p quota.Permits) error {
	return l.effect("limiter.giveback", func() error { return l.next.GiveBack(l.ctx(ctx), p) })
}

func publishDead(ctx context.Context, a at, next func(context.Context, publisher.DeadLetter) error, d publisher.DeadLetter) error {
	return a.effect("dead.publishdead", func() error { return next(a.ctx(ctx), d) })
}
