package failpoint

import (
	"context"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/poller"
	"github.com/vendstream/vendstream/publisher"
)

// Poller puts points around every effect of a poller.
func (s *Set) Poller(c poller.Config) poller.Config {
	a := at{s, rolePoller}
	c.Source = source{a, c.Source}
	c.Vendor = pollVendor{a, c.Vendor}
	c.Records = pollRecords{a, c.Records}
	c.Ledger = ledger{a, c.Ledger}
	c.Writer = pollWriter{a, c.Writer}
	c.Dead = pollDead{a, c.Dead}
	if c.Limiter != nil {
		c.Limiter = pollLimiter{a, c.Limiter}
	}
	c.Hold = holding(a, c.Hold)
	return c
}

type pollRecords struct {
	at
	next poller.Records
}

func (r pollRecords) MarkPending(ctx context.Context, k dedupe.Key, d purchase.Digest, transactionID string, attempts int) (purchase.ClaimState, error) {
	return value(r.at, "records.markpending", func() (purchase.ClaimState, error) {
		return r.next.MarkPending(r.ctx(ctx), k, d, transactionID, attempts)
	})
}

func (r pollRecords) MarkSettled(ctx context.Context, k dedupe.Key, d purchase.Digest) (purchase.ClaimState, error) {
	return value(r.at, "records.marksettled", func() (purchase.ClaimState, error) {
		return r.next.MarkSettled(r.ctx(ctx), k, d)
	})
}

func (r pollRecords) HoldPost(ctx context.Context, c dedupe.Claim, lease time.Duration) (dedupe.Hold, error) {
	return value(r.at, "records.holdpost", func() (dedupe.Hold, error) { return r.next.HoldPost(r.ctx(ctx), c, lease) })
}

type pollDead struct {
	at
	next poller.Undertaker
}

func (d pollDead) Original(ctx context.Context, account string, sequence uint64) (publisher.DeadLetter, error) {
	return value(d.at, "dead.original", func() (publisher.DeadLetter, error) {
		return d.next.Original(d.ctx(ctx), account, sequence)
	})
}

func (d pollDead) PublishDead(ctx context.Context, letter publisher.DeadLetter) error {
	return publishDead(ctx, d.at, d.next.PublishDead, letter)
}
