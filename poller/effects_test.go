package poller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// before reports whether an effect that worked, or lost its answer, comes before
// the first ack, sent or not.
func (w *world) before(effect string) bool {
	first := slices.IndexFunc(w.effects, func(name string) bool { return strings.TrimSuffix(name, "!") == effect })
	ack := slices.IndexFunc(w.effects, func(name string) bool { return strings.HasPrefix(name, "ack") })
	return first >= 0 && first < ack
}

// Whatever effect fails, done or not: the hand-off is not acknowledged before
// what follows is stored, and it comes again and ends once.
func TestEveryEffectFails(t *testing.T) {
	ends := map[string]struct {
		effects []string
		open    func(*world)
		stored  []string
		result  bool
	}{
		"settled": {
			effects: []string{"result", "settled", "ack", "retry"},
			open: func(w *world) {
				w.open(purchase.OpenInFlight, tx)
				w.looks = []purchase.Outcome{completed(`{}`)}
			},
			stored: []string{"result", "settled"}, result: true,
		},
		"posted again": {
			effects: []string{"read result", "read hand-off", "hold", "result", "settled", "ack"},
			open: func(w *world) {
				w.open(purchase.OpenUnknown, "")
				w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{failed}
			},
			stored: []string{"result", "settled"}, result: true,
		},
		"receipt": {
			effects: []string{"read result", "read hand-off", "hold", "result", "settled", "ack"},
			open: func(w *world) {
				w.open(purchase.OpenInFlight, tx)
				w.looks, w.posts = []purchase.Outcome{completed("")}, []purchase.Outcome{completed(`{}`)}
			},
			stored: []string{"result", "settled"}, result: true,
		},
		"upgraded": {
			effects: []string{"replace", "pending", "ack"},
			open: func(w *world) {
				w.open(purchase.OpenUnknown, "")
				w.looks = []purchase.Outcome{{Kind: purchase.InFlight, TransactionID: tx}}
			},
			stored: []string{"replace", "pending"},
		},
		"buried": {
			effects: []string{"result", "settled", "read original", "dead", "ack"},
			open: func(w *world) {
				w.open(purchase.OpenInFlight, tx)
				w.results["ref"], _ = w.request("60").Settle(failed, purchase.Ending{})
				w.looks = []purchase.Outcome{failed}
			},
			stored: []string{"settled", "dead"}, result: true,
		},
	}
	for end, test := range ends {
		for _, effect := range test.effects {
			for what, name := range map[fault]string{fails: "fails", lost: "loses its answer"} {
				t.Run(end+"/"+effect+" "+name, func(t *testing.T) {
					bubble(t, func(t *testing.T, w *world) {
						test.open(w)
						w.faults[effect] = []fault{what}
						p, stop := w.start()
						w.pass(3 * time.Minute)
						stop()
						for _, stored := range test.stored {
							if !w.before(stored) {
								t.Errorf("acknowledged before %q: %v", stored, w.effects)
							}
						}
						// What failed and was not done is done before the ack.
						if at := slices.Index(w.effects, effect+"!"); what == fails && effect != "ack" && effect != "retry" {
							if again := slices.Index(w.effects, effect); again < at || again > slices.Index(w.effects, "ack") {
								t.Errorf("%s was not done again before the ack: %v", effect, w.effects)
							}
						}
						if !w.messages[0].acked {
							t.Errorf("never acknowledged: %v", w.effects)
						}
						if _, ok := w.results["ref"]; ok != test.result {
							t.Errorf("result: %v", ok)
						}
						h, sequence := w.newest()
						if open := h != nil; open == test.result || open && (sequence != 2 || h.State != purchase.OpenInFlight || h.TransactionID != tx) {
							t.Errorf("hand-off %d: %+v", sequence, h)
						}
						if d := w.dead[31]; (end == "buried") != (d.Reason == purchase.ReasonConflict) {
							t.Errorf("dead letter %+v", d)
						}
						if put := w.seen(EventPutBack); effect != "ack" && effect != "retry" && len(put) != 1 {
							t.Errorf("told %+v", put)
						}
						if test.result && p.Escalated()+len(p.open) != 0 {
							t.Errorf("%d hand-offs are remembered that have ended", len(p.open))
						}
					})
				})
			}
		}
	}
}

// One put back for Redis or NATS is taken up again soon, whatever the schedule.
func TestAway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.open(purchase.OpenInFlight, tx)
		w.looks = []purchase.Outcome{failed}
		w.faults["result"] = slices.Repeat([]fault{fails}, 5)
		w.run(20 * time.Second)
		if want := []time.Duration{5 * time.Second, awayRetry, awayRetry, awayRetry, awayRetry, awayRetry}; !slices.Equal(m.again, want) || !m.acked {
			t.Errorf("again after %v, acked %v", m.again, m.acked)
		}
	})
}
