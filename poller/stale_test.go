package poller

import (
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// A leader that was stopped and woke up answers from before the hand-off, for as long
// as it has not noticed that it is a leader no longer: that nothing is there is no
// proof of an end, and an ack would remove the only trace of the purchase.
func TestAStaleLeaderEndsNothing(t *testing.T) {
	inFlight := purchase.Outcome{Kind: purchase.InFlight, TransactionID: tx, Code: "PROCESSING"}
	tests := map[string]struct {
		state purchase.OpenState
		look  purchase.Outcome // while the leader is stale
	}{
		"posting again":         {purchase.OpenUnknown, outcome(purchase.NotFound)},
		"fetching the receipt":  {purchase.OpenInFlight, completed("")},
		"storing what is known": {purchase.OpenUnknown, inFlight},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				m := w.open(test.state, "")
				w.looks = []purchase.Outcome{test.look, completed(`{"pin":1}`)}
				w.once("poll", func() {
					w.mu.Lock()
					w.stale = true
					w.mu.Unlock()
					w.once("retry", func() {
						w.mu.Lock()
						defer w.mu.Unlock()
						if m.acked {
							t.Errorf("acknowledged without a trace: %s", w.effects)
						}
						w.stale = false
					})
				})
				w.run(time.Minute)
				if r, there := w.results["ref"]; !there || r.Status != purchase.StatusCompleted || !m.acked {
					t.Errorf("%+v, acked %v; effects: %s", r, m.acked, w.writes())
				}
			})
		})
	}
}
