package consumer

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
)

// Nothing is pulled while Redis is away, readiness says so, and it goes on once
// Redis answers.
func TestRedisAway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.buy("a", completed)
		w.faults["claim"] = []fault{fails}
		w.faults["ping"] = slices.Repeat([]fault{fails}, 10)
		c, stop := w.start()
		w.pass(time.Second)
		b := w.buy("b", completed)
		w.pass(3 * time.Second)
		if !errors.Is(c.Ready(), errRedisAway) || b.Count != 0 || len(w.calls) != 0 {
			t.Errorf("ready: %v, pulled %d times, %d calls", c.Ready(), b.Count, len(w.calls))
		}
		w.pass(3 * time.Second)
		if c.Ready() != nil || len(w.results) != 2 || len(w.reports) != 1 {
			t.Errorf("ready: %v, %d results, reported %v", c.Ready(), len(w.results), w.reports)
		}
		if n := w.count("ping!"); n != 10 {
			t.Errorf("%d pings", n)
		}
		stop()
	})
	bubble(t, func(t *testing.T, w *world) { // a stop while it is away
		w.buy("a", completed)
		w.faults["claim"] = []fault{fails}
		w.faults["ping"] = slices.Repeat([]fault{fails}, 1000)
		w.run(10 * time.Second)
		if len(w.calls) != 0 {
			t.Errorf("%d calls", len(w.calls))
		}
	})
}

// The vendor is away: the breaker stops the pulling and one purchase probes.
func TestBreaker(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		refs := []string{"a", "b", "c", "d", "e"}
		for _, ref := range refs {
			w.buy(ref, outcome(purchase.Unreachable))
		}
		_, stop := w.start()
		w.pass(5 * time.Second)
		if len(w.calls) != 10 {
			t.Fatalf("%d calls, want 10 and then none", len(w.calls))
		}
		opened := w.calls[9].at
		pulled := w.count("claim")
		w.pass(2 * time.Second)
		if n := w.count("claim"); n != pulled {
			t.Errorf("%d pulls while the breaker is open", n-pulled)
		}
		w.pass(20 * time.Second)
		for _, c := range w.calls[10:] {
			if c.at-opened < 8*time.Second {
				t.Errorf("a call %v after the breaker opened", c.at-opened)
			}
		}
		if n := len(w.calls) - 10; n < 1 || n > 3 {
			t.Errorf("%d probes in 22 s", n)
		}
		w.mu.Lock()
		for _, ref := range refs {
			w.script[ref] = []purchase.Outcome{completed}
		}
		w.mu.Unlock()
		w.pass(30 * time.Second)
		stop()
		if len(w.results) != 5 {
			t.Errorf("%d results", len(w.results))
		}
	})
}

// A breaker that opens between two calls of a purchase puts it back.
func TestBreakerOpensInBetween(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Attempts = 20
		w.config.BackOff = func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) }
		m := w.buy("ref", outcome(purchase.Unknown))
		w.run(12 * time.Second)
		if len(w.calls) != 10 || len(m.again) != 1 || m.again[0] != awayRetry {
			t.Fatalf("%d calls, again after %v", len(w.calls), m.again)
		}
		if record := w.redis.At(w.key("ref")); record.State != purchase.Released || !record.Sent || record.Attempts != 10 {
			t.Errorf("Redis holds %+v", record)
		}
		if put := w.seen(EventPutBack); !errors.Is(put[0].Err, errVendorAway) {
			t.Errorf("told %+v", put)
		}
	})
}

func TestAdmitGrantsExactly(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 3)
		w.config.Limiter = l
		c := New(w.config)
		c.permits.taken, c.permits.handed = 4, 4
		if n := c.Admit(t.Context(), 8); n != 3 || l.left != 0 {
			t.Errorf("admitted %d, %d left", n, l.left)
		}
		// One came: the others are given back before more are taken.
		c.permits.one(t.Context())
		if n := c.Admit(t.Context(), 1); n != 1 || l.back != 2 || l.left != 1 {
			t.Errorf("admitted %d, %d given back, %d left", n, l.back, l.left)
		}
		start := time.Now()
		c.permits.granted, c.permits.handed, l.left = c.permits.granted.Split(0), 1, 0
		if n := c.Admit(t.Context(), 2); n != 0 || time.Since(start) != time.Second+mostYield {
			t.Errorf("admitted %d after %v; want to be asked again in a second", n, time.Since(start))
		}
		l.failing["take"] = errInjected
		if n := c.Admit(t.Context(), 2); n != 0 || !errors.Is(c.Ready(), errRedisAway) || len(w.reports) != 1 {
			t.Errorf("admitted %d, ready: %v, reported %v", n, c.Ready(), w.reports)
		}
	})
	bubble(t, func(t *testing.T, w *world) {
		if n := New(w.config).Admit(t.Context(), 8); n != 8 {
			t.Errorf("admitted %d of 8 without a limit", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if n := New(w.config).Admit(ctx, 8); n != 0 {
			t.Errorf("admitted %d after the stop", n)
		}
	})
}

// A pull takes permits for twice the messages that the one before had, so that an
// idle consumer leaves nearly all of them to others.
func TestPermitsFollowTheWork(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Limiter = newLimiter(t, 1000)
		c := New(w.config)
		for i, step := range []struct{ come, want int }{
			{1, 1}, {2, 2}, {4, 4}, {8, 8}, {16, 16}, {3, 20}, {0, 6}, {0, 1}, {1, 1}, {0, 2}, {0, 1},
		} {
			if n := c.Admit(t.Context(), 20); n != step.want {
				t.Fatalf("step %d: admitted %d, want %d", i, n, step.want)
			}
			for range step.come {
				c.permits.one(t.Context())
			}
		}
	})
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 10)
		w.config.Limiter = l
		_, stop := w.start()
		w.pass(10 * time.Second)
		l.mu.Lock()
		if l.left != 10 || l.taken != 0 {
			t.Errorf("an idle consumer leaves %d permits of 10, and has asked for %d", l.left, l.taken)
		}
		l.mu.Unlock()
		stop()
	})
}

// The permits of the last pull before an account has nothing to do go back, though
// their validity is over by then.
func TestIdleKeepsNoPermit(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 10)
		w.config.Limiter = l
		c := New(w.config)
		c.permits.taken, c.permits.handed = 4, 4
		if n := c.Admit(t.Context(), 20); n != 8 {
			t.Fatalf("admitted %d", n)
		}
		time.Sleep(quota.Validity + time.Second)
		if n := c.Admit(t.Context(), 20); n != 1 || l.back != 8 {
			t.Errorf("admitted %d, %d given back", n, l.back)
		}
	})
}

// A permit is used up by each call, and only by calls.
func TestOnePermitForEachCall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 100)
		w.config.Limiter = l
		w.buy("a", outcome(purchase.Unknown), outcome(purchase.Unknown), completed)
		w.buy("b", completed)
		w.publish(body("b", "50"))
		w.publish(body("c", "0"))
		w.publish("{")
		w.run(10 * time.Second)
		if len(w.calls) != 4 || l.used() != 4 {
			t.Errorf("%d calls and %d permits used of %d", len(w.calls), l.used(), l.taken)
		}
	})
}

// A 429 holds up all processes for as long as this one waits.
func TestPenalize(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 100)
		w.config.Limiter = l
		w.buy("ref", outcome(purchase.Limited), outcome(purchase.Limited), completed)
		w.run(10 * time.Second)
		w.wantCompleted(t, 3)
		if !slices.Equal(l.penalties, []time.Duration{time.Second, 2 * time.Second}) {
			t.Errorf("penalties %v", l.penalties)
		}
	})
}

// With fewer permits than purchases no more calls are made than permits.
func TestPermitsRunOut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 2)
		w.config.Limiter = l
		for _, ref := range []string{"a", "b", "c", "d"} {
			w.buy(ref, completed)
		}
		_, stop := w.start()
		w.pass(30 * time.Second)
		if len(w.calls) != 2 || w.messages[2].Count+w.messages[3].Count != 0 {
			t.Errorf("%d calls, pulled %d and %d times", len(w.calls), w.messages[2].Count, w.messages[3].Count)
		}
		l.mu.Lock()
		l.left = 10
		l.mu.Unlock()
		w.pass(5 * time.Second)
		stop()
		if len(w.calls) != 4 || l.left != 8 {
			t.Errorf("%d calls, %d permits left", len(w.calls), l.left)
		}
	})
}

// A permit whose time is over is not used: another one is taken.
func TestPermitIsOver(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 100)
		w.config.Limiter = l
		w.buy("ref", completed)
		w.once("read result", func() { time.Sleep(2 * time.Second) })
		var takes atomic.Int64
		l.before = func() { takes.Add(1) }
		w.run(4 * time.Second)
		w.wantCompleted(t, 1)
		if n := takes.Load(); n < 2 {
			t.Errorf("%d takes", n)
		}
	})
	// Over at the very moment of the call: asked again, not posted.
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 100)
		w.config.Limiter = l
		w.expiring(time.Hour, completed)
		w.once("sent", func() { time.Sleep(2 * time.Second) })
		w.run(4 * time.Second)
		w.wantCompleted(t, 1)
		if n := w.count("sent"); n != 2 || w.calls[0].at < 2*time.Second {
			t.Errorf("marked %d times, called at %v", n, w.calls[0].at)
		}
	})
}

// The limiter's Redis is away, or there is no permit, for a further call.
func TestNoPermitForAFurtherCall(t *testing.T) {
	t.Run("error", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			l := newLimiter(t, 100)
			w.config.Limiter = l
			m := w.buy("ref", outcome(purchase.Unknown), completed)
			w.hooks["post"] = func() { l.failing["take"], l.failing["penalize"] = errInjected, errInjected }
			w.run(2 * time.Second)
			if len(w.calls) != 1 || m.again[0] != awayRetry || w.redis.At(w.key("ref")).State != purchase.Released {
				t.Errorf("%d calls, again after %v", len(w.calls), m.again)
			}
		})
	})
	t.Run("wait", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			l := newLimiter(t, 1)
			w.config.Limiter = l
			w.config.Slots = 1
			w.buy("ref", outcome(purchase.Unknown), completed)
			_, stop := w.start()
			w.pass(5 * time.Second)
			if len(w.calls) != 1 {
				t.Errorf("%d calls", len(w.calls))
			}
			l.mu.Lock()
			l.left = 1
			l.mu.Unlock()
			w.pass(10 * time.Second)
			stop()
			w.wantCompleted(t, 2)
		})
	})
	t.Run("stop", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			l := newLimiter(t, 1)
			w.config.Limiter = l
			m := w.buy("ref", outcome(purchase.Unknown), completed)
			w.run(5 * time.Second)
			if len(w.calls) != 1 || m.again[0] != 0 || w.redis.At(w.key("ref")).State != purchase.Released {
				t.Errorf("%d calls, again after %v", len(w.calls), m.again)
			}
		})
	})
}

// What the limiter could not be told is reported, and stops nothing.
func TestLimiterErrorsAreReported(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 100)
		w.config.Limiter = l
		l.failing["penalize"], l.failing["give back"] = errInjected, errInjected
		w.buy("ref", outcome(purchase.Limited), completed)
		w.publish("{")
		w.run(3 * time.Second)
		w.wantCompleted(t, 2)
		if len(w.reports) < 3 {
			t.Errorf("reported %v", w.reports)
		}
	})
}
