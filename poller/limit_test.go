package poller

import (
	"context"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// The purchase limit holds for the poller, too. A short wait is waited for, one
// that outlasts the right to post is left to the schedule.
func TestLimit(t *testing.T) {
	tests := map[string]struct {
		left    int
		wait    time.Duration
		effects string
		again   time.Duration
	}{
		"a permit":    {1, 0, "poll, hold, post, result, settled, ack", 5 * time.Second},
		"short wait":  {0, 3 * time.Second, "poll, hold, post, result, settled, ack", 5 * time.Second},
		"longer wait": {0, 31 * time.Second, "poll, hold", 5 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				l := newLimiter(t, test.left, test.wait)
				w.config.Limiter = l
				m := w.open(purchase.OpenUnknown, "")
				w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{failed}
				_, stop := w.start()
				w.pass(6 * time.Second)
				l.mu.Lock()
				if name == "short wait" {
					l.left = 1
				}
				l.mu.Unlock()
				w.pass(3 * time.Second)
				stop()
				if got := w.writes(); got != test.effects || m.again[len(m.again)-1] != test.again || l.left != 0 {
					t.Errorf("effects: %s, again after %v, %d permits left", got, m.again, l.left)
				}
			})
		})
	}
	t.Run("error", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			l := newLimiter(t, 1, 0)
			l.failing = errInjected
			w.config.Limiter = l
			m := w.open(purchase.OpenUnknown, "")
			w.looks = []purchase.Outcome{outcome(purchase.NotFound)}
			w.run(6 * time.Second)
			if len(w.bodies) != 0 || m.again[1] != awayRetry {
				t.Errorf("%d posts, again after %v", len(w.bodies), m.again)
			}
		})
	})
	t.Run("429", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			l := newLimiter(t, 2, 0)
			w.config.Limiter = l
			w.open(purchase.OpenUnknown, "")
			w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{outcome(purchase.Limited)}
			w.once("post", func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.failing = errInjected // reported, and no more
			})
			w.run(6 * time.Second)
			if len(l.penalties) != 1 || l.penalties[0] != time.Second || len(w.reports) != 1 {
				t.Errorf("penalties %v, reported %v", l.penalties, w.reports)
			}
		})
	})
}

// A stop while it waits for a permit, for the receipt or for its turn: nothing
// is posted any more, and the hand-off is given to another at once.
func TestStop(t *testing.T) {
	tests := map[string]struct {
		looks purchase.Outcome
		left  int
		posts int
	}{
		"unknown, waiting for a permit": {outcome(purchase.NotFound), 0, 0},
		"receipt, waiting for a permit": {completed(""), 0, 0},
		"receipt, in the backoff":       {completed(""), 10, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.config.Limiter = newLimiter(t, test.left, 20*time.Second)
				m := w.open(purchase.OpenUnknown, "")
				w.looks, w.posts = []purchase.Outcome{test.looks}, []purchase.Outcome{outcome(purchase.Unknown)}
				w.run(5500 * time.Millisecond)
				if len(w.bodies) != test.posts || m.acked || len(m.again) != 2 || m.again[1] != 0 {
					t.Errorf("%d posts, acked %v, again after %v", len(w.bodies), m.acked, m.again)
				}
			})
		})
	}
	t.Run("right before the call", func(t *testing.T) {
		for _, limited := range []bool{false, true} {
			bubble(t, func(t *testing.T, w *world) {
				if limited {
					w.config.Limiter = newLimiter(t, 1, 0)
				}
				m := w.open(purchase.OpenUnknown, "")
				stopped, stop := context.WithCancel(t.Context())
				stop()
				if end := New(w.config).newJob(&m.Delivery).repost(t.Context(), stopped); end.IsDone() || end.After() != 0 || len(w.bodies) != 0 {
					t.Errorf("ended as %+v after %d posts", end, len(w.bodies))
				}
			})
		}
	})
	t.Run("paused by another's answer", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			m := w.open(purchase.OpenUnknown, "")
			p := New(w.config)
			w.config.Gate.Call(func() purchase.Outcome { return outcome(purchase.Limited) })
			if end := p.newJob(&m.Delivery).repost(t.Context(), t.Context()); end.IsDone() || end.After() != 5*time.Second || len(w.bodies) != 0 {
				t.Errorf("ended as %+v after %d posts", end, len(w.bodies))
			}
		})
	})
}
