package failpoint

import (
	"context"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// Consumer puts points around every effect of a consumer.
func (s *Set) Consumer(c consumer.Config) consumer.Config {
	a := at{s, roleConsumer}
	c.Source = source{a, c.Source}
	c.Vendor = consumerVendor{pollVendor{a, c.Vendor}, c.Vendor}
	c.Claims = claimer{a, c.Claims}
	c.Leases = leaser{a, c.Leases}
	c.Records = recorder{a, c.Records}
	c.Ledger = consumerLedger{looker{a, c.Ledger}, c.Ledger}
	c.Writer = consumerWriter{pollWriter{a, c.Writer}, c.Writer}
	c.Dead = consumerDead{a, c.Dead}
	if c.Limiter != nil {
		c.Limiter = consumerLimiter{pollLimiter{a, c.Limiter}, c.Limiter}
	}
	if c.Catalog != nil {
		c.Catalog = catalog{a, c.Catalog}
	}
	c.Hold = holding(a, c.Hold)
	return c
}

// Strays puts points around every effect of the burial of strays.
func (s *Set) Strays(c *consumer.Strays) *consumer.Strays {
	a := at{s, roleStrays}
	c.Requests = requests{a, c.Requests}
	c.Ledger = looker{a, c.Ledger}
	c.Dead = consumerDead{a, c.Dead}
	return c
}

type claimer struct {
	at
	next consumer.Claimer
}

func (c claimer) Claim(ctx context.Context, claims []dedupe.Claim) ([]dedupe.Answer, error) {
	return value(c.at, "claims.claim", func() ([]dedupe.Answer, error) {
		return c.next.Claim(c.ctx(ctx), claims)
	})
}

func (c claimer) Release(ctx context.Context, claim dedupe.Claim, attempts int, sent bool) (bool, error) {
	return value(c.at, "claims.release", func() (bool, error) {
		return c.next.Release(c.ctx(ctx), claim, attempts, sent)
	})
}

func (c claimer) Reopen(ctx context.Context, claim dedupe.Claim, from purchase.ClaimState) (dedupe.Answer, error) {
	return value(c.at, "claims.reopen", func() (dedupe.Answer, error) {
		return c.next.Reopen(c.ctx(ctx), claim, from)
	})
}

type leaser struct {
	at
	next consumer.Leaser
}

func (l leaser) Extend(ctx context.Context, claims []dedupe.Claim) ([]bool, error) {
	return value(l.at, "leases.extend", func() ([]bool, error) { return l.next.Extend(l.ctx(ctx), claims) })
}

func (l leaser) MarkSent(ctx context.Context, c dedupe.Claim) (bool, error) {
	return value(l.at, "leases.marksent", func() (bool, error) { return l.next.MarkSent(l.ctx(ctx), c) })
}

type recorder struct {
	at
	next consumer.Recorder
}

func (r recorder) MarkPending(ctx context.Context, k dedupe.Key, d purchase.Digest, transactionID string, attempts int) (purchase.ClaimState, error) {
	return value(r.at, "records.markpending", func() (purchase.ClaimState, error) {
		return r.next.MarkPending(r.ctx(ctx), k, d, transactionID, attempts)
	})
}

func (r recorder) MarkSettled(ctx context.Context, k dedupe.Key, d purchase.Digest) (purchase.ClaimState, error) {
	return value(r.at, "records.marksettled", func() (purchase.ClaimState, error) {
		return r.next.MarkSettled(r.ctx(ctx), k, d)
	})
}

func (r recorder) Ping(ctx context.Context) error {
	return r.effect("records.ping", func() error { return r.next.Ping(r.ctx(ctx)) })
}

type consumerDead struct {
	at
	next consumer.Undertaker
}

func (d consumerDead) PublishDead(ctx context.Context, letter publisher.DeadLetter) error {
	return publishDead(ctx, d.at, d.next.PublishDead, letter)
}

func (d consumerDead) DeadSequences(ctx context.Context, account string) (map[uint64]bool, error) {
	return value(d.at, "dead.deadsequences", func() (map[uint64]bool, error) {
		return d.next.DeadSequences(d.ctx(ctx), account)
	})
}

type catalog struct {
	at
	next consumer.Catalog
}

func (c catalog) Check(ctx context.Context, r *purchase.Request) *purchase.Refusal {
	refusal, _ := value(c.at, "catalog.check", func() (*purchase.Refusal, error) {
		return c.next.Check(c.ctx(ctx), r), nil
	})
	return refusal
}

func (c catalog) Stale() {
	_ = c.effect("catalog.stale", func() error { c.next.Stale(); return nil })
}

type requests struct {
	at
	next consumer.Requests
}

func (r requests) Accounts(ctx context.Context) ([]string, error) {
	return value(r.at, "requests.accounts", func() ([]string, error) { return r.next.Accounts(r.ctx(ctx)) })
}

func (r requests) Served(ctx context.Context, account string) (bool, error) {
	return value(r.at, "requests.served", func() (bool, error) { return r.next.Served(r.ctx(ctx), account) })
}

func (r requests) Next(ctx context.Context, account string, from uint64) (*worker.Delivery, error) {
	return value(r.at, "requests.next", func() (*worker.Delivery, error) {
		return r.next.Next(r.ctx(ctx), account, from)
	})
}
