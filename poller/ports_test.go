package poller

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/publisher"
)

// This file is world's vendor, Redis and streams, and a limiter.

func next(answers *[]purchase.Outcome) (o purchase.Outcome) {
	if len(*answers) == 0 {
		return o
	}
	o = (*answers)[0]
	if len(*answers) > 1 {
		*answers = (*answers)[1:]
	}
	return o
}

func (w *world) Transaction(_ context.Context, transactionID, reference string) (o purchase.Outcome) {
	_ = w.do("poll", func() {
		w.asked = append(w.asked, transactionID+"/"+reference)
		w.polls = append(w.polls, time.Since(w.began))
		o = next(&w.looks)
	})
	return o
}

func (w *world) Purchase(_ context.Context, _ string, body []byte) (o purchase.Outcome) {
	_ = w.do("post", func() {
		w.bodies = append(w.bodies, string(body))
		o = next(&w.posts)
	})
	return o
}

func (w *world) Observe(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *world) MarkPending(ctx context.Context, k dedupe.Key, d purchase.Digest, id string, attempts int) (was purchase.ClaimState, err error) {
	err = w.do("pending", func() { was, _ = w.redis.MarkPending(ctx, k, d, id, attempts) })
	return was, err
}

func (w *world) MarkSettled(ctx context.Context, k dedupe.Key, d purchase.Digest) (was purchase.ClaimState, err error) {
	err = w.do("settled", func() { was, _ = w.redis.MarkSettled(ctx, k, d) })
	return was, err
}

func (w *world) HoldPost(ctx context.Context, c dedupe.Claim, lease time.Duration) (hold dedupe.Hold, err error) {
	err = w.do("hold", func() { hold, _ = w.redis.HoldPost(ctx, c, lease) })
	return hold, err
}

func (w *world) Result(context.Context, string, string) (found *purchase.Result, err error) {
	err = w.do("read result", func() {
		if r, ok := w.results["ref"]; ok && !w.stale {
			found = &r
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (w *world) Handoff(context.Context, string, string) (found *purchase.Handoff, sequence uint64, err error) {
	err = w.do("read hand-off", func() {
		if !w.stale {
			found, sequence = w.newest()
		}
	})
	if err != nil {
		return nil, 0, err
	}
	return found, sequence, nil
}

func (w *world) PublishResult(_ context.Context, r *purchase.Result, _ string) (there *purchase.Result, err error) {
	err = w.do("result", func() {
		if old, ok := w.results["ref"]; ok {
			there = &old
			return
		}
		w.results["ref"] = *r
	})
	if err != nil {
		return nil, err
	}
	return there, nil
}

func (w *world) ReplaceHandoff(_ context.Context, h *purchase.Handoff, _ string, sequence uint64) (there *purchase.Handoff, err error) {
	gone := false
	err = w.do("replace", func() {
		switch last, at := w.newest(); {
		case last == nil || w.stale: // refused, and read back from before
			gone = true
		case at != sequence:
			there = last
		default:
			w.add(*h)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case gone:
		return nil, publisher.ErrGone
	}
	return there, nil
}

func (w *world) Original(_ context.Context, account string, sequence uint64) (d publisher.DeadLetter, err error) {
	err = w.do("read original", func() {
		d = w.original
		d.Account, d.Sequence = account, sequence
	})
	return d, err
}

func (w *world) PublishDead(_ context.Context, d publisher.DeadLetter) error {
	return w.do("dead", func() { w.dead[d.Sequence] = d })
}

// limiter grants real permits out of a number of them. Redis is played by the
// client's hook: it says yes to what the limiter was told to ask for.
type limiter struct {
	inner *quota.Limiter

	mu        sync.Mutex
	left      int
	wait      time.Duration
	penalties []time.Duration
	failing   error
}

func newLimiter(t *testing.T, left int, wait time.Duration) *limiter {
	client := redis.NewClient(&redis.Options{
		Addr:                     "127.0.0.1:1", // never dialled
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = client.Close() })
	client.AddHook(yes{})
	return &limiter{left: left, wait: wait, inner: quota.New(client, "test", "acme", quota.Limit{Requests: 1000})}
}

func (l *limiter) Take(ctx context.Context, most int) (quota.Permits, time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return quota.Permits{}, 0, ctx.Err()
	}
	if l.failing != nil {
		return quota.Permits{}, 0, l.failing
	}
	if l.left == 0 {
		return quota.Permits{}, l.wait, nil
	}
	l.left--
	return l.inner.Take(ctx, min(most, 1))
}

func (l *limiter) Penalize(_ context.Context, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.penalties = append(l.penalties, d)
	return l.failing
}

type yes struct{}

func (yes) DialHook(next redis.DialHook) redis.DialHook { return next }
func (yes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (yes) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		cmd.(*redis.Cmd).SetVal([]any{int64(1), int64(0)})
		return nil
	}
}
