package pause_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/pause/pausetest"
	"github.com/vendstream/vendstream/internal/purchase"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryStore(t *testing.T) { pausetest.Suite(t, pausetest.NewMemory()) }

var (
	aPurchase = pause.Call{Purchase: true}
	aPoll     = pause.Call{}
	aProbe    = pause.Call{Purchase: true, Probe: true}
	aPollOn   = pause.Call{Probe: true} // a poll in spite of a pause
)

// world is one store and the boards of two processes.
type world struct {
	store    *pausetest.Memory
	one, two *pause.Switch
	boards   []*pause.Board
	mu       sync.Mutex
	reports  []error
}

func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{store: pausetest.NewMemory()}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for range 2 {
			b := pause.NewBoard(w.store, func(err error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.reports = append(w.reports, err)
			})
			w.boards = append(w.boards, b)
			running.Go(func() { _ = b.Run(ctx) })
		}
		w.one, w.two = w.boards[0].Switch("acme"), w.boards[1].Switch("acme")
		synctest.Wait()
		test(t, w)
		cancel()
		running.Wait()
	})
}

func said(kind purchase.OutcomeKind) purchase.Outcome { return purchase.Outcome{Kind: kind} }

// cause is what both processes see.
func (w *world) cause(t *testing.T) pause.Cause {
	t.Helper()
	synctest.Wait()
	if w.one.Record() != w.two.Record() {
		t.Fatalf("one sees %+v, the other %+v", w.one.Record(), w.two.Record())
	}
	return w.one.Record().Cause
}

// What pauses an account, by what one process's calls said, in order.
func TestWhatPauses(t *testing.T) {
	times := func(n int, o purchase.OutcomeKind) []purchase.OutcomeKind {
		return slices.Repeat([]purchase.OutcomeKind{o}, n)
	}
	for name, c := range map[string]struct {
		said []purchase.OutcomeKind
		call pause.Call
		want pause.Cause
	}{
		"one refusal of the credentials":    {times(1, purchase.Unauthorized), aPurchase, pause.None},
		"two":                               {times(2, purchase.Unauthorized), aPurchase, pause.Unauthorized},
		"two of polls":                      {times(2, purchase.Unauthorized), aPoll, pause.Unauthorized},
		"two with an answer between":        {[]purchase.OutcomeKind{purchase.Unauthorized, purchase.Failed, purchase.Unauthorized}, aPurchase, pause.None},
		"two with a time-out between":       {[]purchase.OutcomeKind{purchase.Unauthorized, purchase.Unknown, purchase.Unauthorized}, aPurchase, pause.Unauthorized},
		"nine times 403":                    {times(9, purchase.Forbidden), aPurchase, pause.None},
		"ten times 403":                     {times(10, purchase.Forbidden), aPurchase, pause.Forbidden},
		"ten times 403 to polls":            {times(10, purchase.Forbidden), aPoll, pause.None},
		"ten times 403, an answer between":  {append(times(9, purchase.Forbidden), purchase.Completed, purchase.Forbidden), aPurchase, pause.None},
		"ten times 403, a 429 between":      {append(times(9, purchase.Forbidden), purchase.Limited, purchase.Forbidden), aPurchase, pause.Forbidden},
		"failures":                          {times(100, purchase.Failed), aPurchase, pause.None},
		"a vendor that is away":             {times(100, purchase.Unreachable), aPurchase, pause.None},
		"a limit":                           {times(100, purchase.Limited), aPurchase, pause.None},
		"403 and refused credentials mixed": {append(times(9, purchase.Forbidden), purchase.Unauthorized, purchase.Forbidden), aPurchase, pause.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				for _, kind := range c.said {
					time.Sleep(2 * time.Second)
					w.one.Observe(said(kind), c.call)
				}
				if got := w.cause(t); got != c.want {
					t.Errorf("paused for %q, want %q", got, c.want)
				}
				if r := w.one.Record(); c.want != pause.None && (r.By != pause.Pipeline || r.Reason == "" || r.Since != time.Now().UTC()) {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// What ends a pause, by its cause and by what a probe said.
func TestWhatResumes(t *testing.T) {
	all := []purchase.OutcomeKind{
		purchase.Unknown, purchase.Completed, purchase.Failed, purchase.InFlight, purchase.Transient, purchase.LookUp, purchase.Limited,
		purchase.Unauthorized, purchase.Forbidden, purchase.Unreachable, purchase.NotFound,
	}
	answered := []purchase.OutcomeKind{purchase.Completed, purchase.Failed, purchase.InFlight, purchase.Transient, purchase.LookUp}
	for _, c := range []struct {
		cause pause.Cause
		call  pause.Call
		by    []purchase.OutcomeKind
	}{
		{pause.Unauthorized, aProbe, append(slices.Clone(answered), purchase.Forbidden, purchase.NotFound)},
		{pause.Unauthorized, aPollOn, append(slices.Clone(answered), purchase.Forbidden, purchase.NotFound)},
		{pause.Unauthorized, aPurchase, nil},
		{pause.Forbidden, aProbe, answered},
		{pause.Forbidden, aPollOn, nil},
		{pause.Balance, aProbe, []purchase.OutcomeKind{purchase.Completed, purchase.InFlight}},
		{pause.Balance, aPollOn, nil},
		{pause.Operator, aProbe, nil},
	} {
		for _, kind := range all {
			bubble(t, func(t *testing.T, w *world) {
				if c.cause == pause.Operator {
					if err := w.boards[1].Pause(t.Context(), "acme", "me", "why"); err != nil {
						t.Fatal(err)
					}
				} else {
					w.two.Trip(c.cause)
				}
				if got := w.cause(t); got != c.cause {
					t.Fatalf("paused for %q", got)
				}
				w.one.Observe(said(kind), c.call)
				want := c.cause
				if slices.Contains(c.by, kind) {
					want = pause.None
				}
				if got := w.cause(t); got != want {
					t.Errorf("%s, %+v: after %s it is paused for %q, want %q", c.cause, c.call, kind, got, want)
				}
			})
		}
	}
}

// A pause that could be read and not stored holds in the process that found it, and
// nobody hears that it ended in between.
func TestAPauseThatCannotBeStoredHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := pause.NewBoard(readOnly{pausetest.NewMemory()}, func(error) {})
		var told []pause.Cause
		board.Changed = func(_ string, r pause.Record) { told = append(told, r.Cause) }
		toggle := board.Switch("acme")
		toggle.Trip(pause.Balance)
		if toggle.Record().Cause != pause.Balance || !slices.Equal(told, []pause.Cause{pause.Balance}) {
			t.Errorf("%+v, told %q", toggle.Record(), told)
		}
	})
}

type readOnly struct{ *pausetest.Memory }

func (readOnly) Save(context.Context, string, pause.Record, uint64) (pause.Entry, error) {
	return pause.Entry{}, errors.New("nothing is stored")
}

func TestOneProcessProbes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		if w.one.Probe(t.Context(), false) {
			t.Fatal("an account that is not paused was probed")
		}
		w.one.Trip(pause.Balance)
		w.two.Trip(pause.Forbidden) // for whatever cause it was first
		if got := w.cause(t); got != pause.Balance || w.store.Saves() != 1 {
			t.Fatalf("%q, %d records", got, w.store.Saves())
		}
		for minute := range 5 {
			time.Sleep(time.Minute - time.Nanosecond)
			if w.one.Probe(t.Context(), false) || w.two.Probe(t.Context(), false) {
				t.Fatalf("minute %d: probed too early", minute)
			}
			time.Sleep(time.Nanosecond)
			var rights sync.Map
			var asking sync.WaitGroup
			for i, s := range []*pause.Switch{w.one, w.two, w.one, w.two} {
				asking.Go(func() {
					if s.Probe(t.Context(), false) {
						rights.Store(i, true)
					}
				})
			}
			asking.Wait()
			n := 0
			rights.Range(func(any, any) bool { n++; return true })
			if n != 1 {
				t.Fatalf("minute %d: %d rights", minute, n)
			}
		}
	})
}

func TestAnOperatorsPauseIsNotProbed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.one.Trip(pause.Balance)
		if err := w.boards[0].Pause(t.Context(), "acme", "me", "why"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if r := w.one.Record(); w.cause(t) != pause.Operator || w.one.Probe(t.Context(), false) || r.By != "me" || r.Reason != "why" {
			t.Fatalf("%+v", r)
		}
		for _, want := range []bool{true, false} {
			if was, err := w.boards[1].Resume(t.Context(), "acme", "you", "done"); err != nil || was != want {
				t.Fatalf("%t, %v", was, err)
			}
		}
		synctest.Wait()
		if r := w.one.Record(); w.cause(t) != pause.None || r.By != "you" || r.Reason != "done" || !r.HoldsBalance(true, r.Since.Add(-time.Hour), time.Time{}, time.Now()) {
			t.Fatalf("%+v", r)
		}
	})
}

// A process that finds the cause while NATS is away stops all the same, and tells
// the others when it can.
func TestNATSAway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		away := errors.New("away")
		w.store.Away(away)
		w.one.Trip(pause.Balance)
		if w.one.Record().Cause != pause.Balance || w.two.Record().Cause != pause.None {
			t.Fatalf("%+v, %+v", w.one.Record(), w.two.Record())
		}
		w.mu.Lock()
		reports := slices.Clone(w.reports)
		w.mu.Unlock()
		if len(reports) == 0 || !errors.Is(reports[0], away) {
			t.Fatalf("reported %v", reports)
		}
		time.Sleep(10 * time.Minute) // watches begin anew, in vain
		if w.one.Record().Cause != pause.Balance || w.one.Probe(t.Context(), false) {
			t.Fatalf("%+v", w.one.Record())
		}
		w.store.Away(nil)
		time.Sleep(2 * time.Minute)
		// What was never stored is forgotten, and found again by the next call.
		if got := w.cause(t); got != pause.None {
			t.Fatalf("%q", got)
		}
		w.one.Trip(pause.Balance)
		if got := w.cause(t); got != pause.Balance {
			t.Fatalf("%q", got)
		}
	})
}

// Calls that were under way together shared one login, and are one try.
func TestRefusalsAtOnceAreOneTry(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		for range 64 {
			w.one.Observe(said(purchase.Unauthorized), aPurchase)
		}
		if got := w.cause(t); got != pause.None {
			t.Fatalf("%q", got)
		}
		time.Sleep(2 * time.Second)
		w.one.Observe(said(purchase.Unauthorized), aPurchase)
		if got := w.cause(t); got != pause.Unauthorized {
			t.Fatalf("%q", got)
		}
	})
}

func TestCountsBeginAnewWithAPause(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.one.Observe(said(purchase.Unauthorized), aPurchase)
		if err := w.boards[0].Pause(t.Context(), "acme", "me", "why"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := w.boards[0].Resume(t.Context(), "acme", "me", ""); err != nil {
			t.Fatal(err)
		}
		w.one.Observe(said(purchase.Unauthorized), aPurchase)
		if got := w.cause(t); got != pause.None {
			t.Fatalf("%q", got)
		}
	})
}

func TestLoad(t *testing.T) {
	store := pausetest.NewMemory()
	if _, err := store.Save(t.Context(), "acme", pause.Record{Cause: pause.Operator}, 0); err != nil {
		t.Fatal(err)
	}
	b := pause.NewBoard(store, func(error) {})
	if err := b.Load(t.Context(), []string{"acme", "other"}); err != nil {
		t.Fatal(err)
	}
	if b.Switch("acme").Record().Cause != pause.Operator || b.Switch("other").Record().Paused() {
		t.Fatalf("%+v", b.Entry("acme"))
	}
	store.Away(errors.New("away"))
	if err := b.Load(t.Context(), []string{"acme"}); err == nil {
		t.Fatal("no error")
	}
	if err := b.Pause(t.Context(), "acme", "me", "why"); err == nil {
		t.Fatal("no error")
	}
}

func TestHoldsBalance(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		record pause.Record
		before bool
		want   bool
		ago    time.Duration // since another one succeeded; 0: never
	}{
		"the first time":                       {pause.Record{}, false, true, 0},
		"again, during the pause":              {pause.Record{Cause: pause.Balance, By: pause.Pipeline, Since: now}, true, true, 0},
		"again, after a probe succeeded":       {pause.Record{By: pause.Pipeline, Since: now}, true, false, 0},
		"again, after an operator resumed":     {pause.Record{By: "me", Since: now}, true, true, 0},
		"again, after a probe long ago":        {pause.Record{By: pause.Pipeline, Since: now.Add(-time.Hour)}, true, true, 0},
		"again, on an account never paused":    {pause.Record{}, true, true, 0},
		"the first time, after one succeeded":  {pause.Record{By: pause.Pipeline, Since: now}, false, true, 0},
		"the first time, during another pause": {pause.Record{Cause: pause.Forbidden, By: pause.Pipeline, Since: now}, false, true, 0},
		"again, after another one succeeded":   {pause.Record{By: "me", Since: now}, true, false, 59 * time.Second},
		"again, another one succeeded before":  {pause.Record{By: "me", Since: now}, true, true, time.Minute},
		"again, during the pause, after one":   {pause.Record{Cause: pause.Balance}, true, true, time.Second},
	} {
		var succeeded time.Time
		if c.ago > 0 {
			succeeded = now.Add(-c.ago)
		}
		if got := c.record.HoldsBalance(c.before, now.Add(-time.Minute), succeeded, now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
