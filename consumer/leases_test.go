package consumer

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
)

// slow makes the first call to the vendor take that long, with something
// happening right when it begins.
func (w *world) slow(d time.Duration, meanwhile func()) {
	w.once("post", func() {
		if meanwhile != nil {
			meanwhile()
		}
		time.Sleep(d)
	})
}

// A long call keeps its claim: it is extended every third of a lease.
func TestLeaseIsExtended(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.buy("ref", completed)
		w.slow(5*lease+time.Second, nil)
		c, stop := w.start()
		var most time.Duration
		least := lease
		for range 5 * int(lease/time.Second) {
			w.pass(time.Second)
			left := time.Until(w.redis.At(w.key("ref")).Lease)
			most, least = max(most, left), min(least, left)
		}
		if c.InFlight() != 1 {
			t.Errorf("%d in flight", c.InFlight())
		}
		if least < lease*2/3-time.Second || most > lease {
			t.Errorf("the lease was between %v and %v", least, most)
		}
		w.pass(time.Minute)
		if n := w.count("extend"); n != 15 || c.InFlight() != 0 {
			t.Errorf("extended %d times, %d in flight", n, c.InFlight())
		}
		stop()
		w.wantCompleted(t, 1)
	})
}

// A claim that is lost forbids further calls. What a call says that was under
// way is still the truth, and is stored.
func TestClaimIsLost(t *testing.T) {
	tests := map[string]struct {
		answer  purchase.Outcome
		effects string
	}{
		"terminal":  {completed, "post, result, settled, ack"},
		"in flight": {outcome(purchase.InFlight), "post, hand-off, pending, ack"},
		"unknown":   {outcome(purchase.Unknown), "post, release, retry, retry"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				m := w.buy("ref", test.answer)
				w.slow(lease/2, func() {
					w.redis.Flush()
					w.redis.Claim(context.Background(), []dedupe.Claim{{Key: w.key("ref"), Digest: w.request(string(m.Body)).Digest, Owner: "other"}})
				})
				w.run(lease/2 + 5*time.Second)
				if got := w.writes(); got != test.effects {
					t.Errorf("effects: %s", got)
				}
				if put := w.seen(EventPutBack); name == "unknown" && (len(put) != 1 || !errors.Is(put[0].Err, errClaimLost) || m.again[0] != busyRetry) {
					t.Errorf("told %+v, again after %v", put, m.again)
				}
			})
		})
	}
}

// While Redis is away nothing is known of the claim: no call is made, and none
// is made under a lease that has run out.
func TestNoCallWithoutALease(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.buy("ref", outcome(purchase.Unknown), completed)
		w.slow(lease+time.Second, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, effect := range []string{"extend", "release", "claim", "ping"} {
				w.faults[effect] = slices.Repeat([]fault{fails}, 100)
			}
		})
		w.run(lease + 10*time.Second)
		if len(w.calls) != 1 {
			t.Errorf("%d calls: %v", len(w.calls), w.effects)
		}
		if len(w.reports) != 4 || !errors.Is(w.reports[0], errInjected) {
			t.Errorf("reported %v", w.reports)
		}
	})
}

func TestFresh(t *testing.T) {
	tests := map[string]struct {
		age      time.Duration
		prepare  func(*world, *hold)
		want     error
		extended int
	}{
		"holds":               {lease - time.Second, nil, nil, 0},
		"ran out, still ours": {lease, nil, nil, 1},
		"ran out and lost":    {lease, func(w *world, _ *hold) { w.redis.Flush() }, errClaimLost, 1},
		"known to be lost":    {0, func(_ *world, h *hold) { h.lose() }, errClaimLost, 0},
		"Redis away":          {lease, func(w *world, _ *hold) { w.faults["extend"] = []fault{fails} }, errInjected, 0},
		"Redis too slow":      {lease, func(w *world, _ *hold) { w.hooks["extend"] = func() { time.Sleep(lease) } }, errClaimLost, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				h := &hold{claim: dedupe.Claim{Key: w.key("ref"), Digest: "d", Owner: "one"}}
				w.redis.Claim(t.Context(), []dedupe.Claim{h.claim})
				h.renew(time.Now().Add(lease))
				w.pass(test.age)
				if test.prepare != nil {
					test.prepare(w, h)
				}
				l := newLeases(w, lease, w.config.Report)
				if err := l.fresh(t.Context(), h); !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if n := w.count("extend"); n != test.extended {
					t.Errorf("extended %d times, want %d", n, test.extended)
				}
			})
		})
	}
}

// Redis is not asked where nothing is held.
func TestNothingToExtend(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.run(5 * lease)
		if n := w.count("extend"); n != 0 {
			t.Errorf("extended %d times", n)
		}
	})
}

// The mark before the first call of a purchase that expires finds the claim gone.
func TestMarkFindsTheClaimLost(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.expiring(time.Hour, completed)
		w.once("sent", w.redis.Flush)
		w.run(time.Second)
		if put := w.seen(EventPutBack); len(put) != 1 || !errors.Is(put[0].Err, errClaimLost) || m.again[0] != busyRetry {
			t.Errorf("told %+v, again after %v", put, m.again)
		}
		w.wantCompleted(t, 1)
	})
}
