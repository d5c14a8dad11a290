package simulation

import (
	"context"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/dedupe/dedupetest"
	"github.com/vendstream/vendstream/internal/purchase"
)

// claims is a process's view of Redis.
type claims struct {
	process *process
	redis   *dedupetest.Memory
}

func reach[T any](p *process, name string, do func() (T, error)) (T, error) {
	var got T
	err := p.effect(name, func() (err error) {
		got, err = do()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return got, nil
}

func (c *claims) Claim(ctx context.Context, all []dedupe.Claim) ([]dedupe.Answer, error) {
	return reach(c.process, "claim", func() ([]dedupe.Answer, error) { return c.redis.Claim(ctx, all) })
}

func (c *claims) Release(ctx context.Context, one dedupe.Claim, attempts int, sent bool) (bool, error) {
	return reach(c.process, "release", func() (bool, error) { return c.redis.Release(ctx, one, attempts, sent) })
}

func (c *claims) Reopen(ctx context.Context, one dedupe.Claim, from purchase.ClaimState) (dedupe.Answer, error) {
	return reach(c.process, "reopen", func() (dedupe.Answer, error) { return c.redis.Reopen(ctx, one, from) })
}

func (c *claims) Extend(ctx context.Context, all []dedupe.Claim) ([]bool, error) {
	return reach(c.process, "extend", func() ([]bool, error) { return c.redis.Extend(ctx, all) })
}

func (c *claims) MarkSent(ctx context.Context, one dedupe.Claim) (bool, error) {
	return reach(c.process, "mark sent", func() (bool, error) { return c.redis.MarkSent(ctx, one) })
}

func (c *claims) MarkPending(ctx context.Context, k dedupe.Key, d purchase.Digest, id string, attempts int) (purchase.ClaimState, error) {
	return reach(c.process, "mark pending", func() (purchase.ClaimState, error) { return c.redis.MarkPending(ctx, k, d, id, attempts) })
}

func (c *claims) MarkSettled(ctx context.Context, k dedupe.Key, d purchase.Digest) (purchase.ClaimState, error) {
	return reach(c.process, "mark settled", func() (purchase.ClaimState, error) { return c.redis.MarkSettled(ctx, k, d) })
}

func (c *claims) HoldPost(ctx context.Context, one dedupe.Claim, lease time.Duration) (bool, error) {
	return reach(c.process, "hold post", func() (bool, error) { return c.redis.HoldPost(ctx, one, lease) })
}

func (c *claims) Ping(ctx context.Context) error {
	return c.process.effect("ping", func() error { return nil })
}
