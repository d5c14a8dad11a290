package consumer

import (
	"fmt"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// The streams are asked once for a whole chunk; each message has its own answer.
func TestAChunkIsLookedUpAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.place(t, "result", "50", "")
		w.place(t, "hand-off", "60", purchase.OpenInFlight) // of another payload, as the result decides
		for i := range 5 {
			w.buy(fmt.Sprintf("new-%d", i), completed)
		}
		repeat := w.buy("ref", completed)
		w.run(time.Second)
		if w.count("read hand-off") != 1 || w.count("read result") != 1 || w.count("claim") != 1 {
			t.Errorf("effects: %v", w.effects)
		}
		if len(w.calls) != 5 || len(w.results) != 6 || !repeat.acked {
			t.Errorf("%d calls, %d results, repeat acked %v", len(w.calls), len(w.results), repeat.acked)
		}
	})
}

// What was read for the chunk is good for half a second and for one look.
func TestWhatTheChunkSaidGetsOld(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.buy("ref", completed)
		w.once("read result", func() {
			time.Sleep(2 * lookAgain)
			w.PublishHandoff(t.Context(), &purchase.Handoff{
				Account: "acme", MerchantReference: "ref", State: purchase.OpenInFlight,
				RequestDigest: w.request(body("ref", "50")).Digest,
			}, "")
		})
		w.run(5 * time.Second)
		if len(w.calls) != 0 || !m.acked {
			t.Errorf("%d calls under what was read before the hand-off, acked %v", len(w.calls), m.acked)
		}
	})
}
