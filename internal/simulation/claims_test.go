package simulation

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/dedupe/dedupetest"
	"github.com/vendstream/vendstream/internal/purchase"
)

// redisModel is a Redis with a clock of its own.
type redisModel struct {
	*dedupetest.Memory
	ahead atomic.Int64 // nanoseconds before the processes' clock
}

func newRedis() *redisModel {
	r := &redisModel{Memory: dedupetest.NewMemory(lease, 168*time.Hour)}
	r.Now = func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }
	return r
}

// claims is a process's view of Redis.
type claims struct {
	process *process
	redis   *redisModel
}

func atRedis[T any](ctx context.Context, c *claims, name, key string, do func() (T, error)) (T, error) {
	return reach(ctx, c.process, "redis", name, key, do)
}

// references are the keys of a pipeline, for the history's trace.
func references(all []dedupe.Claim) string {
	text := ""
	for _, c := range all {
		text += c.Key.Reference + " "
	}
	return text
}

func (c *claims) Claim(ctx context.Context, all []dedupe.Claim) ([]dedupe.Answer, error) {
	return atRedis(ctx, c, "claim", references(all), func() ([]dedupe.Answer, error) { return c.redis.Claim(ctx, all) })
}

func (c *claims) Release(ctx context.Context, one dedupe.Claim, attempts int, sent bool) (bool, error) {
	return atRedis(ctx, c, "release", one.Key.Reference, func() (bool, error) { return c.redis.Release(ctx, one, attempts, sent) })
}

func (c *claims) Reopen(ctx context.Context, one dedupe.Claim, from purchase.ClaimState) (dedupe.Answer, error) {
	return atRedis(ctx, c, "reopen", one.Key.Reference, func() (dedupe.Answer, error) { return c.redis.Reopen(ctx, one, from) })
}

func (c *claims) Extend(ctx context.Context, all []dedupe.Claim) ([]bool, error) {
	key := ""
	if len(all) == 1 {
		key = all[0].Key.Reference
	}
	return atRedis(ctx, c, "extend", key, func() ([]bool, error) { return c.redis.Extend(ctx, all) })
}

func (c *claims) MarkSent(ctx context.Context, one dedupe.Claim) (bool, error) {
	return atRedis(ctx, c, "mark sent", one.Key.Reference, func() (bool, error) { return c.redis.MarkSent(ctx, one) })
}

func (c *claims) MarkPending(ctx context.Context, k dedupe.Key, d purchase.Digest, id string, attempts int) (purchase.ClaimState, error) {
	return atRedis(ctx, c, "mark pending", k.Reference, func() (purchase.ClaimState, error) {
		return c.redis.MarkPending(ctx, k, d, id, attempts)
	})
}

func (c *claims) MarkSettled(ctx context.Context, k dedupe.Key, d purchase.Digest) (purchase.ClaimState, error) {
	return atRedis(ctx, c, "mark settled", k.Reference, func() (purchase.ClaimState, error) { return c.redis.MarkSettled(ctx, k, d) })
}

func (c *claims) HoldPost(ctx context.Context, one dedupe.Claim, lease time.Duration) (dedupe.Hold, error) {
	return atRedis(ctx, c, "hold post", one.Key.Reference, func() (dedupe.Hold, error) { return c.redis.HoldPost(ctx, one, lease) })
}

func (c *claims) Ping(ctx context.Context) error {
	_, err := atRedis(ctx, c, "ping", "", func() (bool, error) { return true, nil })
	return err
}
