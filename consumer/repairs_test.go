package consumer

import (
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// A request that is repaired may have been sent before its end was lost: neither
// its expiry nor a 403 is the truth about it.
func TestRepairedRequestMayHaveBeenSent(t *testing.T) {
	t.Run("it does not expire", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.script["ref"] = []purchase.Outcome{completed}
			w.publish(body("ref", "50"), publisher.HeaderRepairs, "1",
				publisher.HeaderExpiresAt, time.Now().Add(-time.Minute).Format(time.RFC3339))
			w.run(time.Second)
			if r := w.results["ref"]; len(w.calls) != 1 || r.Status != purchase.StatusCompleted {
				t.Errorf("%d calls, %+v", len(w.calls), r)
			}
		})
	})
	t.Run("a 403 says nothing of it", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.script["ref"] = []purchase.Outcome{outcome(purchase.Forbidden)}
			w.publish(body("ref", "50"), publisher.HeaderRepairs, "1")
			w.run(time.Second)
			if _, failed := w.results["ref"]; failed || w.handoffs["ref"].State != purchase.OpenUnknown {
				t.Errorf("results %v, hand-offs %v", w.results, w.handoffs)
			}
		})
	})
}
