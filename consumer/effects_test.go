package consumer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// before reports whether the first effect named a that worked comes before the
// first ack, sent or not.
func (w *world) before(a string) bool {
	first := slices.Index(w.effects, a)
	ack := slices.IndexFunc(w.effects, func(name string) bool { return strings.HasPrefix(name, "ack") })
	return first >= 0 && first < ack
}

// Whatever effect fails, done or not: nothing is acknowledged before what
// follows from the message is stored, and the message comes again and ends once.
func TestEveryEffectFails(t *testing.T) {
	ends := map[string]struct {
		effects []string
		publish func(*world)
		stored  []string // before the ack
		calls   int      // without a fault
	}{
		"completed": {
			effects: []string{"claim", "read hand-off", "read result", "result", "settled", "ack", "retry", "release"},
			publish: func(w *world) { w.buy("ref", completed) },
			stored:  []string{"result", "settled"}, calls: 1,
		},
		"expiring": {
			effects: []string{"claim", "read hand-off", "read result", "sent", "result", "settled", "ack"},
			publish: func(w *world) { w.expiring(time.Hour, completed) },
			stored:  []string{"result", "settled"}, calls: 1,
		},
		"refused": {
			effects: []string{"claim", "read hand-off", "read result", "result", "settled", "ack"},
			publish: func(w *world) { w.publish(body("ref", "0")) },
			stored:  []string{"result", "settled"},
		},
		"in flight": {
			effects: []string{"claim", "read hand-off", "read result", "hand-off", "pending", "ack"},
			publish: func(w *world) { w.buy("ref", outcome(purchase.InFlight)) },
			stored:  []string{"hand-off", "pending"}, calls: 1,
		},
		"unknown": {
			effects: []string{"claim", "read hand-off", "read result", "hand-off", "pending", "ack"},
			publish: func(w *world) { w.buy("ref", outcome(purchase.Unknown)) },
			stored:  []string{"hand-off", "pending"}, calls: 3,
		},
		"buried": {
			effects: []string{"dead", "ack"},
			publish: func(w *world) { w.publish("{") },
			stored:  []string{"dead"},
		},
	}
	for end, test := range ends {
		for _, effect := range test.effects {
			for what, name := range map[fault]string{fails: "fails", lost: "loses its answer"} {
				t.Run(end+"/"+effect+" "+name, func(t *testing.T) {
					bubble(t, func(t *testing.T, w *world) {
						test.publish(w)
						w.faults[effect] = []fault{what}
						w.run(5 * time.Minute)
						for _, stored := range test.stored {
							if !w.before(stored) && !(what == lost && effect == stored && w.before(stored+"!")) {
								t.Errorf("acknowledged before %q: %v", stored, w.effects)
							}
						}
						if !w.messages[0].acked {
							t.Errorf("never acknowledged: %v", w.effects)
						}
						if n := len(w.results) + len(w.handoffs) + len(w.dead); n != 1 {
							t.Errorf("%d ends", n)
						}
						// Only where nothing was stored is the vendor asked a second time.
						again := effect == "result" || effect == "hand-off"
						if what == lost {
							again = false
						}
						if most := test.calls * 2; len(w.calls) != test.calls && !(again && len(w.calls) <= most) {
							t.Errorf("%d calls, want %d: %v", len(w.calls), test.calls, w.effects)
						}
						if record := w.redis.At(w.key("ref")); end != "buried" && record.State != purchase.Settled && record.State != purchase.Pending {
							t.Errorf("Redis holds %+v", record)
						}
					})
				})
			}
		}
	}
}

// An error that lasts is met with patience, not with a loop.
func TestStreamsAreAway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.buy("ref", completed)
		w.faults["result"] = slices.Repeat([]fault{fails}, 10)
		w.run(time.Minute)
		for _, after := range m.again {
			if after != awayRetry {
				t.Errorf("again after %v", after)
			}
		}
		if len(m.again) != 10 || !m.acked || len(w.results) != 1 {
			t.Errorf("put back %d times, acked %v", len(m.again), m.acked)
		}
		if put := w.seen(EventPutBack); len(put) != 10 || !strings.Contains(put[0].Err.Error(), "result") {
			t.Errorf("told: %+v", put)
		}
	})
}

// A purchase that was called and put back is not a new one to whoever takes it
// up: neither a failed look at the streams nor a stop makes it forget.
func TestPutBackRemembersTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.buy("ref", outcome(purchase.Unknown), outcome(purchase.Forbidden))
		w.run(500 * time.Millisecond) // one call, and a stop
		for range 2 {
			w.faults["read hand-off"] = w.failing("read hand-off")
			w.run(time.Second)
			time.Sleep(awayRetry)
		}
		w.run(time.Second)
		h := w.handoffs["ref"]
		if len(w.results) != 0 || h.State != purchase.OpenUnknown || h.Attempts != 2 {
			t.Errorf("%d results, hand-off %+v: a 403 says nothing of a purchase that may have been vended", len(w.results), h)
		}
	})
}

// The trace of the request goes with everything that is published; here only
// that the header is read whatever its case.
func TestTraceIsRead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.publish("{", "Traceparent", "00-trace")
		c := New(w.config)
		if j := c.newJob(t.Context(), &m.Delivery); j.trace != "00-trace" {
			t.Errorf("trace %q for %s", j.trace, publisher.HeaderTraceParent)
		}
	})
}
