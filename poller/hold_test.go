package poller

import (
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/pause/pausetest"
	"github.com/vendstream/vendstream/internal/purchase"
)

var broke = purchase.Outcome{Kind: purchase.Failed, Code: "1103", Message: "available R1.00", Class: purchase.ClassBalance}

// shared gives the world an account's pause; hold is on_insufficient_balance: hold.
func (w *world) shared(hold bool) (*pause.Board, *pause.Switch) {
	board := pause.NewBoard(pausetest.NewMemory(), w.config.Report)
	toggle := board.Switch("acme")
	w.config.Gate = gate.New(gate.Config{BackOff: newBackOff, Probe: 8 * time.Second, Shared: toggle, Polls: true})
	if hold {
		w.config.Hold = toggle.Trip
	}
	return board, toggle
}

func TestPausedAccountIsPolledAndNotPosted(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		board, _ := w.shared(false)
		if err := board.Pause(t.Context(), "acme", "me", "why"); err != nil {
			t.Fatal(err)
		}
		w.open(purchase.OpenUnknown, "")
		w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{completed(`{}`)}
		_, stop := w.start()
		w.pass(time.Minute)
		if len(w.polls) < 10 || len(w.bodies) != 0 {
			t.Fatalf("%d polls, posted %q", len(w.polls), w.bodies)
		}
		if _, err := board.Resume(t.Context(), "acme", "me", ""); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		stop()
		if len(w.bodies) != 1 || w.results["ref"].Status != purchase.StatusCompleted {
			t.Errorf("posted %q, %+v", w.bodies, w.results)
		}
	})
}

// A purchase that is posted again and meets insufficient balance pauses the
// account, and is posted again once that is over.
func TestRepostHoldsBalance(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		board, toggle := w.shared(true)
		m := w.open(purchase.OpenUnknown, "")
		w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{broke, completed(`{}`)}
		_, stop := w.start()
		w.pass(time.Minute)
		if toggle.Record().Cause != pause.Balance || len(w.bodies) != 1 || m.acked || len(w.results) != 0 {
			t.Fatalf("%+v, posted %q, %+v", toggle.Record(), w.bodies, w.results)
		}
		if held := w.seen(EventHeld); len(held) != 1 || held[0].Message != broke.Message {
			t.Errorf("told %+v", held)
		}
		if _, err := board.Resume(t.Context(), "acme", "me", "topped up"); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		stop()
		if r := w.results["ref"]; r.Status != purchase.StatusCompleted || r.Attempts != 3 {
			t.Errorf("%+v", r)
		}
	})
}

// Where no consumer has a purchase to probe with, what is posted again is the
// probe: once a minute, until the vendor lets it.
func TestRepostProbesThePause(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, toggle := w.shared(true)
		w.open(purchase.OpenUnknown, "")
		w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{broke, broke, broke, completed(`{}`)}
		_, stop := w.start()
		w.pass(150 * time.Second)
		if n := len(w.bodies); toggle.Record().Cause != pause.Balance || n < 2 || n > 3 || len(w.results) != 0 {
			t.Fatalf("%+v, posted %d times, %+v", toggle.Record(), n, w.results)
		}
		w.pass(5 * time.Minute)
		stop()
		if w.results["ref"].Status != purchase.StatusCompleted || len(w.bodies) != 4 || toggle.Record().Paused() {
			t.Errorf("posted %d times, %+v, %+v", len(w.bodies), w.results, toggle.Record())
		}
	})
}

func TestRepostFailsByDefault(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, toggle := w.shared(false)
		w.open(purchase.OpenUnknown, "")
		w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{broke}
		w.run(10 * time.Second)
		if r := w.results["ref"]; r.Status != purchase.StatusFailed || toggle.Record().Paused() {
			t.Errorf("%+v, %+v", r, toggle.Record())
		}
	})
}

func TestRepostRepeatedAfterASuccessFails(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, toggle := w.shared(true)
		w.open(purchase.OpenUnknown, "")
		w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{broke}
		_, stop := w.start()
		w.pass(time.Minute)
		toggle.Observe(outcome(purchase.Completed), pause.Call{Purchase: true, Probe: true}) // a consumer's
		w.pass(time.Minute)
		stop()
		if r := w.results["ref"]; r.Status != purchase.StatusFailed || r.Failure.Class != purchase.ClassBalance || len(w.bodies) != 2 {
			t.Errorf("%+v, posted %q", r, w.bodies)
		}
	})
}
