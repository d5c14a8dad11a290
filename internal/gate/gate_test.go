package gate_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/purchase"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const probe = 8 * time.Second

// doubling is 1 s, 2 s, 4 s … for some delays, and then backoff.Stop.
func doubling(delays uint64) func() backoff.BackOff {
	return func() backoff.BackOff {
		return backoff.WithMaxRetries(backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(time.Second), backoff.WithMultiplier(2),
			backoff.WithRandomizationFactor(0), backoff.WithMaxInterval(time.Minute), backoff.WithMaxElapsedTime(0)), delays)
	}
}

type rig struct {
	*gate.Gate
	mu     sync.Mutex
	states []string
}

func (r *rig) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.states...)
}

func newRig() *rig {
	r := &rig{}
	r.Gate = gate.New(gate.Config{BackOff: doubling(100), Probe: probe, Changed: func(state string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.states = append(r.states, state)
	}})
	return r
}

// answer makes a call that ends so, and reports whether it was made.
func answer(g *gate.Gate, kind purchase.OutcomeKind) bool {
	got, called := g.Call(func() purchase.Outcome { return purchase.Outcome{Kind: kind, Code: "c"} })
	return called && got.Kind == kind && got.Code == "c"
}

func (r *rig) open(t *testing.T) {
	t.Helper()
	for i := range 10 {
		if !answer(r.Gate, purchase.Unknown) {
			t.Fatalf("call %d was not made", i)
		}
	}
}

func TestGateIsOpenAtFirst(t *testing.T) {
	r := newRig()
	if got := r.Room(t.Context(), 7); got != 7 || r.Reason() != "" || r.Pause() != 0 || !r.Wait(t.Context()) {
		t.Fatalf("room %d, reason %q", got, r.Reason())
	}
}

func TestTenFailuresInARowOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		for i := range 9 {
			answer(r.Gate, []purchase.OutcomeKind{purchase.Unknown, purchase.Unreachable}[i%2])
		}
		answer(r.Gate, purchase.Failed) // an answer: the vendor is there
		for range 9 {
			answer(r.Gate, purchase.Unknown)
		}
		if r.Reason() != "" || len(r.seen()) != 0 {
			t.Fatalf("reason %q, states %v", r.Reason(), r.seen())
		}
		answer(r.Gate, purchase.Unreachable)
		if r.Reason() != "vendor away" || answer(r.Gate, purchase.Completed) {
			t.Fatalf("reason %q", r.Reason())
		}
		if got := r.seen(); len(got) != 1 || got[0] != "open" {
			t.Fatalf("states %v", got)
		}
		if !r.Wait(t.Context()) {
			t.Error("Wait is for pauses, and waited for the breaker")
		}
	})
}

func TestAnswersKeepTheBreakerClosed(t *testing.T) {
	for _, kind := range []purchase.OutcomeKind{
		purchase.Completed, purchase.Failed, purchase.InFlight, purchase.Transient, purchase.LookUp, purchase.Forbidden, purchase.NotFound,
	} {
		g := gate.New(gate.Config{BackOff: doubling(1), Probe: probe}) // and nobody is told
		for range 20 {
			if !answer(g, kind) {
				t.Fatalf("%s closed the gate", kind)
			}
		}
	}
}

func TestOneProbeIsLetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.open(t)
		start := time.Now()
		if got := r.Room(t.Context(), 64); got != 1 {
			t.Fatalf("room %d", got)
		}
		if took := time.Since(start); took < probe || took > probe+200*time.Millisecond {
			t.Fatalf("the probe came after %s", took)
		}
		if r.Room(t.Context(), 0) != 0 {
			t.Error("more room than there is")
		}
		end := make(chan struct{})
		var probing sync.WaitGroup
		probing.Go(func() {
			r.Call(func() purchase.Outcome {
				<-end
				return purchase.Outcome{Kind: purchase.Completed}
			})
		})
		synctest.Wait()
		if answer(r.Gate, purchase.Completed) {
			t.Error("a second call was made beside the probe")
		}
		looking, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		room := make(chan int, 1)
		probing.Go(func() { room <- r.Room(looking, 64) })
		time.AfterFunc(time.Minute, func() { close(end) })
		start = time.Now()
		if got := <-room; got != 64 || time.Since(start) < time.Minute {
			t.Errorf("room %d after %s, the probe was still under way", got, time.Since(start))
		}
		probing.Wait()
		if got := r.seen(); len(got) != 3 || got[1] != "half-open" || got[2] != "closed" || r.Reason() != "" {
			t.Errorf("states %v, reason %q", got, r.Reason())
		}
	})
}

func TestAProbeThatFailsOpensTheBreakerAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.open(t)
		r.Room(t.Context(), 1)
		answer(r.Gate, purchase.Unreachable)
		if r.Reason() != "vendor away" {
			t.Fatalf("reason %q", r.Reason())
		}
		start := time.Now()
		if got := r.Room(t.Context(), 5); got != 1 || time.Since(start) < probe {
			t.Fatalf("room %d after %s", got, time.Since(start))
		}
		if !answer(r.Gate, purchase.Limited) || r.Reason() != "limited" {
			t.Fatal("a 429 is an answer too")
		}
		if got := r.Room(t.Context(), 5); got != 5 {
			t.Fatalf("room %d", got)
		}
	})
}

// rest is how long a refusal holds the account up.
func rest(t *testing.T, g *gate.Gate, kind purchase.OutcomeKind) time.Duration {
	t.Helper()
	if !g.Wait(t.Context()) || !answer(g, kind) {
		t.Fatal("no call was made")
	}
	return g.Pause()
}

func TestLimitedPausesGrowByThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		for _, want := range []time.Duration{1, 2, 4, 8} {
			if got := rest(t, r.Gate, purchase.Limited); got != want*time.Second || r.Reason() != "limited" {
				t.Fatalf("pause %s, want %s, reason %q", got, want*time.Second, r.Reason())
			}
		}
		if answer(r.Gate, purchase.Completed) {
			t.Fatal("a call was made in a pause")
		}
		// A vendor that is away says nothing of the limit; an answer does.
		rest(t, r.Gate, purchase.Unknown)
		if got := rest(t, r.Gate, purchase.Limited); got != 16*time.Second {
			t.Fatalf("pause %s", got)
		}
		if got := rest(t, r.Gate, purchase.Completed); got != 0 || r.Reason() != "" {
			t.Fatalf("pause %s, reason %q", got, r.Reason())
		}
		if got := rest(t, r.Gate, purchase.Limited); got != time.Second {
			t.Fatalf("pause %s after a success", got)
		}
	})
}

// A policy made for one purchase's attempts ends after some delays. The account's
// pace must not end with it.
func TestAPolicyThatEndsGoesOnWithItsLastDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(gate.Config{BackOff: doubling(3), Probe: probe})
		var got []time.Duration
		for range 6 {
			got = append(got, rest(t, g, purchase.Limited)/time.Second)
		}
		for i, want := range []time.Duration{1, 2, 4, 4, 4, 4} {
			if got[i] != want {
				t.Fatalf("pauses %d", got)
			}
		}
		never := gate.New(gate.Config{BackOff: func() backoff.BackOff { return &backoff.StopBackOff{} }, Probe: probe})
		if got := rest(t, never, purchase.Limited); got <= 0 {
			t.Error("no pause at all")
		}
	})
}

// Many calls are under way when the limit is met: that is one refusal.
func TestABurstOfRefusalsIsOneStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		end := make(chan struct{})
		var calls sync.WaitGroup
		for range 64 {
			calls.Go(func() {
				r.Call(func() purchase.Outcome {
					<-end
					return purchase.Outcome{Kind: purchase.Limited}
				})
			})
		}
		synctest.Wait()
		close(end)
		calls.Wait()
		if got := r.Pause(); got != time.Second {
			t.Fatalf("pause %s", got)
		}
		if got := rest(t, r.Gate, purchase.Limited); got != 2*time.Second {
			t.Fatalf("pause %s", got)
		}
	})
}

func TestUnauthorizedPausesAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		if got := rest(t, r.Gate, purchase.Unauthorized); got != time.Minute || r.Reason() != "unauthorized" {
			t.Fatalf("pause %s, reason %q", got, r.Reason())
		}
		start := time.Now()
		if got := r.Room(t.Context(), 3); got != 3 || time.Since(start) != time.Minute {
			t.Fatalf("room %d after %s", got, time.Since(start))
		}
	})
}

func TestAPauseIsNeverShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		end := make(chan struct{})
		var late sync.WaitGroup
		late.Go(func() {
			r.Call(func() purchase.Outcome {
				<-end
				return purchase.Outcome{Kind: purchase.Limited}
			})
		})
		synctest.Wait()
		rest(t, r.Gate, purchase.Unauthorized)
		close(end)
		late.Wait()
		if r.Pause() != time.Minute || r.Reason() != "unauthorized" {
			t.Fatalf("pause %s, reason %q", r.Pause(), r.Reason())
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		rest(t, r.Gate, purchase.Unauthorized)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r.Wait(ctx) || r.Room(ctx, 5) != 0 {
			t.Error("the pause was not kept")
		}
		r = newRig()
		r.open(t)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := r.Room(ctx, 5); got != 0 {
			t.Errorf("room %d with the breaker open", got)
		}
		if r.Wait(ctx) {
			t.Error("Wait in an ended context")
		}
	})
}

func TestAPanicInACallIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		for range 10 {
			func() {
				defer func() {
					if recover() != "boom" {
						t.Error("the panic did not come through")
					}
				}()
				r.Call(func() purchase.Outcome { panic("boom") })
			}()
		}
		if r.Reason() != "vendor away" {
			t.Fatalf("reason %q", r.Reason())
		}
		// The probe's place is given back by a panic too.
		for range 2 {
			if got := r.Room(t.Context(), 5); got != 1 {
				t.Fatalf("room %d", got)
			}
			func() {
				defer func() { _ = recover() }()
				r.Call(func() purchase.Outcome { panic("boom") })
			}()
		}
	})
}
