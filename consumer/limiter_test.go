package consumer

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/vendstream/vendstream/internal/quota"
)

// limiter grants real permits out of a number of them. Redis is played by the
// client's hook: it says yes to what the limiter was told to ask for.
type limiter struct {
	inner *quota.Limiter

	mu        sync.Mutex
	left      int
	grant     int // what the hook answers
	wait      time.Duration
	taken     int
	back      int
	penalties []time.Duration
	failing   map[string]error
	before    func() // runs first in Take
}

func newLimiter(t *testing.T, left int) *limiter {
	client := redis.NewClient(&redis.Options{
		Addr:                     "127.0.0.1:1", // never dialled
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = client.Close() })
	l := &limiter{left: left, wait: 10 * time.Second, failing: map[string]error{}}
	client.AddHook(l)
	l.inner = quota.New(client, "test", "acme", quota.Limit{Requests: 1000})
	return l
}

func (l *limiter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *limiter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *limiter) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		cmd.(*redis.Cmd).SetVal([]any{int64(l.grant), int64(1)})
		return nil
	}
}

func (l *limiter) Take(ctx context.Context, most int) (quota.Permits, time.Duration, error) {
	if l.before != nil {
		l.before()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.failing["take"]; err != nil {
		return quota.Permits{}, 0, err
	}
	if l.grant = min(most, l.left); l.grant == 0 {
		return quota.Permits{}, l.wait, nil
	}
	l.left -= l.grant
	l.taken += l.grant
	return l.inner.Take(ctx, l.grant)
}

func (l *limiter) GiveBack(ctx context.Context, p quota.Permits) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.failing["give back"]; err != nil {
		return err
	}
	l.left += p.Unused()
	l.back += p.Unused()
	l.grant = 0
	return l.inner.GiveBack(ctx, p)
}

func (l *limiter) Penalize(_ context.Context, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.penalties = append(l.penalties, d)
	return l.failing["penalize"]
}

// used are the permits that were neither given back nor are still held.
func (l *limiter) used() int { return l.taken - l.back }
