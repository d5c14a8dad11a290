package gate_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/pause/pausetest"
	"github.com/vendstream/vendstream/internal/purchase"
)

// shared is an account's pause with the gates of a consumer and a poller.
type shared struct {
	board          *pause.Board
	toggle         *pause.Switch
	consumer, poll *gate.Gate
}

func newShared() *shared {
	s := &shared{board: pause.NewBoard(pausetest.NewMemory(), func(error) {})}
	s.toggle = s.board.Switch("acme")
	s.consumer = gate.New(gate.Config{BackOff: doubling(100), Probe: probe, Shared: s.toggle})
	s.poll = gate.New(gate.Config{BackOff: doubling(100), Probe: probe, Shared: s.toggle, Polls: true})
	return s
}

func purchased(g *gate.Gate, kind purchase.OutcomeKind) bool {
	_, called := g.Purchase(func() purchase.Outcome { return purchase.Outcome{Kind: kind} })
	return called
}

// within gives up waiting for the gate after a time.
func within(g *gate.Gate, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return g.Wait(ctx)
}

func TestAPauseHoldsPurchasesAndNotPolls(t *testing.T) {
	for _, cause := range []pause.Cause{pause.Operator, pause.Forbidden, pause.Balance, pause.Unauthorized} {
		synctest.Test(t, func(t *testing.T) {
			s := newShared()
			if cause == pause.Operator {
				if err := s.board.Pause(t.Context(), "acme", "me", "why"); err != nil {
					t.Fatal(err)
				}
			} else {
				s.toggle.Trip(cause)
			}
			if purchased(s.consumer, purchase.Completed) || purchased(s.poll, purchase.Completed) || within(s.consumer, 50*time.Second) {
				t.Errorf("%s: purchased", cause)
			}
			if !s.consumer.Closed() || s.consumer.Reason() != string(cause) || s.consumer.Pause() != 0 {
				t.Errorf("%s: closed %t, reason %q", cause, s.consumer.Closed(), s.consumer.Reason())
			}
			if got := answer(s.poll, purchase.Completed); got != (cause != pause.Unauthorized) {
				t.Errorf("%s: polled %t", cause, got)
			}
			if got := within(s.poll, time.Second); got != (cause != pause.Unauthorized) {
				t.Errorf("%s: polls wait %t", cause, !got)
			}
			if s.toggle.Record().Cause != cause {
				t.Errorf("%s: became %q", cause, s.toggle.Record().Cause)
			}
		})
	}
}

func TestOneProbeAMinuteAndThenAllGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared()
		s.toggle.Trip(pause.Balance)
		start := time.Now()
		for i := range 3 {
			if got := s.consumer.Room(t.Context(), 64); got != 1 {
				t.Fatalf("room %d", got)
			}
			if since := time.Since(start); since < time.Duration(i+1)*time.Minute || since > time.Duration(i+1)*(time.Minute+time.Second) {
				t.Fatalf("probe %d after %s", i, since)
			}
			// Every second probe is for a purchase that was not tried before.
			if s.consumer.FreshOnly() != (i%2 == 1) {
				t.Errorf("probe %d: fresh only %t", i, s.consumer.FreshOnly())
			}
			if !purchased(s.consumer, purchase.Failed) || purchased(s.consumer, purchase.Failed) {
				t.Fatal("not one call")
			}
		}
		if !s.consumer.Wait(t.Context()) || !purchased(s.consumer, purchase.Completed) {
			t.Fatal("not called")
		}
		if s.consumer.Closed() || s.consumer.FreshOnly() || s.consumer.Room(t.Context(), 64) != 64 {
			t.Fatalf("%+v", s.toggle.Record())
		}
	})
}

func TestARightThatNobodyUsesIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared()
		s.toggle.Trip(pause.Forbidden)
		for range 2 { // the right stays until it is used
			if !s.consumer.Wait(t.Context()) {
				t.Fatal("no right")
			}
		}
		time.Sleep(30 * time.Second)
		if purchased(s.consumer, purchase.Completed) || within(s.consumer, 20*time.Second) {
			t.Fatal("a right was kept for too long")
		}
	})
}

func TestRefusedCredentialsAreProbedByPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared()
		for range 2 {
			if !s.poll.Wait(t.Context()) || !answer(s.poll, purchase.Unauthorized) {
				t.Fatal("not called")
			}
		}
		if s.toggle.Record().Cause != pause.Unauthorized || s.consumer.Reason() != "unauthorized" {
			t.Fatalf("%+v", s.toggle.Record())
		}
		start := time.Now()
		if got := s.poll.Room(t.Context(), 8); got != 1 || time.Since(start) < time.Minute {
			t.Fatalf("room %d after %s", got, time.Since(start))
		}
		if !answer(s.poll, purchase.NotFound) || s.toggle.Record().Paused() || s.consumer.Closed() {
			t.Fatalf("%+v", s.toggle.Record())
		}
	})
}

// A pool with nothing to call for takes its turns and uses none: the other one has
// its own.
func TestAnIdlePoolTakesNoTurnOfTheOther(t *testing.T) {
	for _, polls := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newShared()
			s.toggle.Trip(pause.Unauthorized)
			idle, busy := s.consumer, s.poll
			if polls {
				idle, busy = busy, idle
			}
			time.Sleep(time.Minute)
			if idle.Room(t.Context(), 8) != 1 || !within(busy, time.Second) {
				t.Errorf("the idle one's turn (polls %t) was the only one", polls)
			}
		})
	}
}

func TestAStopEndsTheWaitForAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared()
		s.toggle.Trip(pause.Balance)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s.consumer.Room(ctx, 8) != 0 {
			t.Fatal("there is room")
		}
	})
}

// A right to probe that was taken and not used is worth nothing once an operator has
// paused the account.
func TestAnOperatorsPauseIsNotProbedByAnOldRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared()
		s.toggle.Trip(pause.Balance)
		if !within(s.consumer, 2*time.Minute) {
			t.Fatal("no right to probe was had")
		}
		if err := s.board.Pause(t.Context(), "acme", "me", "why"); err != nil {
			t.Fatal(err)
		}
		if purchased(s.consumer, purchase.Completed) || within(s.consumer, 10*time.Second) {
			t.Error("purchased in spite of the operator")
		}
	})
}
