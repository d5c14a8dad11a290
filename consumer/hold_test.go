package consumer

import (
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/pause/pausetest"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

var broke = purchase.Outcome{Kind: purchase.Failed, Code: "1103", Message: "available R1.00", Class: purchase.ClassBalance}

// shared gives the world an account's pause; hold is on_insufficient_balance: hold.
func (w *world) shared(hold bool) (*pause.Board, *pause.Switch) {
	board := pause.NewBoard(pausetest.NewMemory(), w.config.Report)
	toggle := board.Switch("acme")
	w.config.Gate = gate.New(gate.Config{BackOff: newBackOff, Probe: 8 * time.Second, Shared: toggle})
	if hold {
		w.config.Hold = toggle.Trip
	}
	return board, toggle
}

func TestInsufficientBalanceFailsByDefault(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, toggle := w.shared(false)
		w.buy("ref", broke)
		w.run(time.Second)
		r := w.results["ref"]
		if r.Status != purchase.StatusFailed || r.Failure.Class != purchase.ClassBalance || r.ResponseCode != "1103" || toggle.Record().Paused() {
			t.Errorf("%+v, %+v", r, toggle.Record())
		}
	})
}

// The purchase that meets it waits, is the probe, and completes when the vendor
// lets it; the others wait on the stream uncalled.
func TestInsufficientBalanceIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, toggle := w.shared(true)
		w.config.Slots = 1
		first := w.buy("ref", broke, broke, completed)
		w.buy("second", completed)
		_, stop := w.start()
		w.pass(50 * time.Second)
		if toggle.Record().Cause != pause.Balance || len(w.calls) != 1 || len(w.results) != 0 || first.acked {
			t.Fatalf("%+v, %d calls, %+v", toggle.Record(), len(w.calls), w.results)
		}
		if held := w.seen(EventHeld); len(held) != 1 || held[0].Message != broke.Message || held[0].Outcome != purchase.Failed {
			t.Errorf("told %+v", held)
		}
		w.pass(20 * time.Second)
		// Not yet topped up. The next probe is for a purchase that was not tried.
		if len(w.calls) != 2 || w.calls[1].reference != "ref" || len(w.results) != 0 {
			t.Fatalf("%+v", w.calls)
		}
		w.pass(time.Minute)
		if len(w.calls) != 3 || w.calls[2].reference != "second" || toggle.Record().Paused() {
			t.Fatalf("%+v, %+v", w.calls, toggle.Record())
		}
		w.pass(5 * time.Minute)
		stop()
		for _, ref := range []string{"ref", "second"} {
			if r := w.results[ref]; r.Status != purchase.StatusCompleted {
				t.Errorf("%s: %+v; effects: %s", ref, r, w.writes())
			}
		}
		if r := w.results["ref"]; r.Attempts != 3 {
			t.Errorf("%d attempts, want the two that met 1103 and the last", r.Attempts)
		}
	})
}

// A vendor that repeats its answer to the reference, as long as others succeed,
// has failed the purchase.
func TestBalanceRepeatedAfterASuccessFails(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, toggle := w.shared(true)
		w.buy("ref", broke)
		_, stop := w.start()
		w.pass(time.Second)
		w.buy("second", completed)
		w.pass(10 * time.Minute)
		stop()
		if r := w.results["ref"]; r.Status != purchase.StatusFailed || r.Failure.Class != purchase.ClassBalance {
			t.Errorf("%+v; effects: %s", r, w.writes())
		}
		if w.results["second"].Status != purchase.StatusCompleted || toggle.Record().Paused() {
			t.Errorf("%+v, %+v", w.results["second"], toggle.Record())
		}
	})
}

// As long as nothing else succeeds it is not failed, whoever resumes the account.
func TestBalanceIsHeldForAsLongAsItTakes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		board, toggle := w.shared(true)
		m := w.buy("ref", broke)
		_, stop := w.start()
		w.pass(time.Hour)
		if was, err := board.Resume(t.Context(), "acme", "me", "by mistake"); err != nil || !was {
			t.Fatalf("%t, %v", was, err)
		}
		w.pass(time.Hour)
		stop()
		if len(w.results) != 0 || m.acked || toggle.Record().Cause != pause.Balance {
			t.Errorf("%+v, %+v", w.results, toggle.Record())
		}
		// At most a probe a minute, and no fewer than one in ten.
		if n := len(w.calls); n < 12 || n > 122 {
			t.Errorf("%d calls in two hours", n)
		}
	})
}

func TestHeldPurchaseWhoseTimeIsOverFails(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.shared(true)
		w.expiring(30*time.Second, broke)
		w.run(5 * time.Minute)
		if r := w.results["ref"]; r.Status != purchase.StatusFailed || r.Failure.Class != purchase.ClassBalance || len(w.calls) != 2 {
			t.Errorf("%+v after %d calls; effects: %s", r, len(w.calls), w.writes())
		}
	})
}

// Single purchases answered 403 fail; one after the other, the account is what
// is refused, and no further one fails.
func TestRepeated403PausesTheAccount(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, toggle := w.shared(false)
		w.config.Slots = 1
		forbidden := purchase.Outcome{Kind: purchase.Forbidden, Code: "403"}
		var refs []string
		for i := range 12 {
			ref := string(rune('a' + i))
			refs = append(refs, ref)
			if i < 9 {
				w.buy(ref, forbidden)
			} else {
				w.buy(ref, forbidden, completed)
			}
		}
		_, stop := w.start()
		w.pass(30 * time.Second)
		if toggle.Record().Cause != pause.Forbidden || len(w.results) != 9 || len(w.calls) != 10 {
			t.Fatalf("%+v, %d results, %d calls", toggle.Record(), len(w.results), len(w.calls))
		}
		w.pass(15 * time.Minute)
		stop()
		for i, ref := range refs {
			r, want := w.results[ref], purchase.StatusFailed
			if i >= 9 {
				want = purchase.StatusCompleted
			}
			// Two were called after the pause had ended, and fail as single ones do.
			if i > 9 && r.Status == purchase.StatusFailed && r.Failure.Class == purchase.ClassAuthorization {
				continue
			}
			if r.Status != want || i == 9 && r.Attempts != 1 {
				t.Errorf("%s: %+v", ref, r)
			}
		}
		if toggle.Record().Paused() {
			t.Errorf("%+v", toggle.Record())
		}
	})
}

func TestAnOperatorsPause(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		board, _ := w.shared(false)
		w.buy("under way", outcome(purchase.Unknown), completed)
		c, stop := w.start()
		w.pass(500 * time.Millisecond) // called once, and waits to call again
		if err := board.Pause(t.Context(), "acme", "me", "why"); err != nil {
			t.Fatal(err)
		}
		w.buy("later", completed)
		w.pass(time.Hour)
		if len(w.calls) != 1 || c.InFlight() != 1 || len(w.results)+len(w.handoffs) != 0 {
			t.Fatalf("%+v, %d in flight", w.calls, c.InFlight())
		}
		if _, err := board.Resume(t.Context(), "acme", "me", ""); err != nil {
			t.Fatal(err)
		}
		w.pass(5 * time.Second)
		stop()
		if w.results["under way"].Status != purchase.StatusCompleted || w.results["later"].Status != purchase.StatusCompleted {
			t.Errorf("%+v", w.results)
		}
	})
}

func TestAStopDuringAPausePutsBack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		board, _ := w.shared(false)
		m := w.buy("ref", outcome(purchase.Unknown), completed)
		_, stop := w.start()
		w.pass(500 * time.Millisecond)
		if err := board.Pause(t.Context(), "acme", "me", "why"); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		start := time.Now()
		stop()
		if m.acked || len(m.again) != 1 || time.Since(start) > time.Second {
			t.Errorf("%+v after %s", m, time.Since(start))
		}
		if a := w.redis.At(w.key("ref")); a.Attempts != 1 || !a.Sent {
			t.Errorf("%+v", a)
		}
	})
}

func TestPausedLookupsWait(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		board, _ := w.shared(false)
		w.lookups = []lookedUp{{completed, "{}"}}
		if err := board.Pause(t.Context(), "acme", "me", "why"); err != nil {
			t.Fatal(err)
		}
		w.script["ref"] = []purchase.Outcome{completed}
		w.publish(`{"productCode":"ELE-FLS-001","amount":50,"paymentMethod":"cash","meterNumber":"1","merchantReference":"ref"}`,
			publisher.HeaderLookup, "true")
		w.run(10 * time.Minute)
		if w.writes() != "" {
			t.Errorf("effects: %s", w.writes())
		}
	})
}

// With the right to probe a pause in hand and the breaker open a look-up waits for the
// breaker: without time passing it would go round for ever.
func TestLookupOfAProbeWaitsForTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, toggle := w.shared(true)
		toggle.Trip(pause.Balance)
		w.config.Lookups = map[purchase.LookupKind]bool{purchase.LookupElectricity: true}
		w.lookups = []lookedUp{good}
		w.electricity()
		w.script["ref"] = []purchase.Outcome{completed}
		w.hooks["claim"] = func() {
			for range 20 {
				w.config.Gate.Call(func() purchase.Outcome { return outcome(purchase.Unreachable) })
			}
		}
		w.run(5 * time.Minute)
		if len(w.calls) == 0 || w.results["ref"].Status != purchase.StatusCompleted {
			t.Errorf("%d calls, effects: %s", len(w.calls), w.writes())
		}
	})
}
