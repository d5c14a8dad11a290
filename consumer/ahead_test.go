package consumer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// While as many purchases are at the vendor as may be, the next ones are made ready,
// and no more of them than that.
func TestTheNextPurchasesAreMadeReady(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Slots = 4
		for i := range 20 {
			w.buy(fmt.Sprintf("ref-%02d", i), completed)
		}
		atOnce, most := 0, 0
		w.hooks["post"] = func() {
			w.mu.Lock()
			atOnce++
			most = max(most, atOnce)
			w.mu.Unlock()
			time.Sleep(10 * time.Second)
			w.mu.Lock()
			atOnce--
			w.mu.Unlock()
		}
		c, stop := w.start()
		w.pass(time.Second)
		if atOnce != 4 || c.InFlight() != 7 {
			t.Errorf("%d at the vendor, %d at hand", atOnce, c.InFlight())
		}
		w.pass(time.Minute)
		stop()
		if most != 4 || len(w.calls) != 20 || len(w.results) != 20 {
			t.Errorf("%d at once, %d calls, %d results", most, len(w.calls), len(w.results))
		}
	})
}

// Beside an account that has work fewer are made ready, until it has had none for a
// second.
func TestFewerAreMadeReadyBesideOthers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Slots = 8
		w.config.Neighbours = &Neighbours{}
		for i := range 60 {
			w.buy(fmt.Sprintf("ref-%02d", i), completed)
		}
		w.hooks["post"] = func() { time.Sleep(10 * time.Second) }
		w.config.Neighbours.seen("acme")
		w.config.Neighbours.seen("beta")
		c, stop := w.start()
		w.pass(100 * time.Millisecond)
		if n := c.InFlight(); n != 9 {
			t.Errorf("%d at hand beside another account", n)
		}
		w.pass(15 * time.Second) // some have ended
		if n := c.InFlight(); n != 15 {
			t.Errorf("%d at hand beside nobody", n)
		}
		stop()
		if len(w.results) != len(w.calls) {
			t.Errorf("%d calls, %d results", len(w.calls), len(w.results))
		}
	})
}

// A stop gives back what was made ready and not sent, and what has been learned
// while it waited counts: there is no call under what was read long ago.
func TestWhatWasMadeReadyIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Slots = 2
		messages := []*message{w.buy("a", completed), w.buy("b", completed), w.buy("c", completed)}
		w.hooks["post"] = func() { time.Sleep(5 * time.Second) }
		_, stop := w.start()
		w.pass(time.Second)
		stop()
		given := 0
		for _, m := range messages {
			if len(m.again) == 1 && m.again[0] == 0 {
				given++
			}
		}
		if given != 1 || len(w.calls) != 2 || len(w.results) != 2 {
			t.Errorf("%d given back, %d calls, %d results", given, len(w.calls), len(w.results))
		}
	})
	bubble(t, func(t *testing.T, w *world) {
		w.config.Slots = 2
		var last *message
		for _, ref := range []string{"a", "b", "c"} {
			last = w.buy(ref, completed)
		}
		w.hooks["post"] = func() { time.Sleep(5 * time.Second) }
		_, stop := w.start()
		w.pass(time.Second)
		for _, ref := range []string{"a", "b", "c"} { // somebody else's, while one of them waits
			w.PublishHandoff(context.Background(), &purchase.Handoff{
				Account: "acme", MerchantReference: ref, State: purchase.OpenInFlight, RequestDigest: w.request(body(ref, "50")).Digest,
			}, "")
		}
		w.pass(time.Minute)
		stop()
		if len(w.calls) != 2 || !last.acked {
			t.Errorf("%d calls: the one that waited was sent under an old look", len(w.calls))
		}
	})
}
