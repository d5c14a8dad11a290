package quota

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

var tenAMinute = Limit{Requests: 10, Per: time.Minute}

func TestTakeUseGiveBack(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		a, b := still(client, "acme", tenAMinute), still(client, "acme", tenAMinute)
		p, _ := take(t, a, 4)
		if p.Len() != 4 {
			t.Fatalf("%d permits, want 4", p.Len())
		}
		q, _ := take(t, b, 64)
		if q.Len() != 6 {
			t.Fatalf("%d permits for the other process, want 6", q.Len())
		}
		if _, wait := take(t, b, 1); wait > Validity {
			t.Errorf("wait %v while permits are out that may come back", wait)
		}
		if !p.Use() || p.Len() != 3 {
			t.Fatalf("%d permits after one was used", p.Len())
		}
		giveBack(t, a, p)
		if p.Len() != 0 || p.Use() {
			t.Error("permits that were given back can be used")
		}
		giveBack(t, a, p) // once more is nothing
		if r, _ := take(t, b, 64); r.Len() != 3 {
			t.Errorf("%d permits after 3 were given back", r.Len())
		}
		if other, _ := take(t, still(client, "other", tenAMinute), 64); other.Len() != 10 {
			t.Errorf("%d permits for another account, want 10", other.Len())
		}
	})
}

func TestNothingAskedNothingTaken(t *testing.T) {
	l := New(redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}), "test", "acme", tenAMinute)
	defer l.client.Close()
	for _, most := range []int{0, -1} {
		if p, wait, err := l.Take(t.Context(), most); p.Len() != 0 || wait != 0 || err != nil {
			t.Errorf("take %d: %d, %v, %v", most, p.Len(), wait, err)
		}
	}
	if err := l.GiveBack(t.Context(), Permits{}); err != nil {
		t.Error(err)
	}
	if err := l.Penalize(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if got := New(nil, "", "", Limit{Requests: 1}).limit.Per; got != time.Minute {
		t.Errorf("the default period is %v", got)
	}
}

// An unlimited account never asks Redis, which is not even there.
func TestUnlimited(t *testing.T) {
	w := &world{now: time.UnixMilli(0)}
	l := New(nil, "test", "acme", Limit{})
	l.now = func() time.Time { return w.now }
	p, _ := take(t, l, 1000)
	w.now = w.now.Add(time.Hour)
	for range 1000 {
		if !p.Use() {
			t.Fatal("a permit is missing")
		}
	}
	if p.Use() {
		t.Error("more permits than were asked for")
	}
	q, _ := take(t, l, 5)
	giveBack(t, l, q)
	if q.Use() {
		t.Error("a permit that was given back can be used")
	}
	if err := errors.Join(l.Penalize(t.Context(), time.Minute), l.Penalize(t.Context(), time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, wait := take(t, l, 1); wait != time.Minute {
		t.Errorf("wait %v after a penalty of a minute", wait)
	}
	w.now = w.now.Add(time.Minute)
	if r, _ := take(t, l, 1); r.Len() != 1 {
		t.Error("the penalty does not end")
	}
}

func TestPenaltyHoldsForAllProcesses(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		a, b := still(client, "acme", tenAMinute), still(client, "acme", tenAMinute)
		if err := errors.Join(a.Penalize(t.Context(), time.Hour), b.Penalize(t.Context(), time.Second)); err != nil {
			t.Fatal(err)
		}
		for _, l := range []*Limiter{a, b} {
			if p, wait := take(t, l, 1); p.Len() != 0 || wait <= 59*time.Minute || wait > time.Hour {
				t.Errorf("%d permits, wait %v", p.Len(), wait)
			}
		}
		if p, _ := take(t, still(client, "other", tenAMinute), 1); p.Len() != 1 {
			t.Error("another account is kept waiting")
		}
	})
	w := newWorld(t)
	l := w.limiter(tenAMinute)
	if err := l.Penalize(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute)
	if p, _ := take(t, l, 1); p.Len() != 1 {
		t.Error("the penalty does not end")
	}
}

func TestPermitsAreGoodForAShortWhile(t *testing.T) {
	w := newWorld(t)
	l := w.limiter(tenAMinute)
	p, _ := take(t, l, 10)
	w.pass(Validity - time.Millisecond)
	if !p.Use() || p.Len() != 9 {
		t.Fatal("not good to the end")
	}
	w.pass(time.Millisecond)
	if p.Use() || p.Len() != 0 {
		t.Error("good for too long")
	}
	giveBack(t, l, p)
	if q, _ := take(t, l, 10); q.Len() != 9 {
		t.Errorf("%d permits after 9 were given back late", q.Len())
	}
}

// A living process loses nothing by forgetting permits.
func TestForgottenPermitsComeBack(t *testing.T) {
	w := newWorld(t)
	l := w.limiter(tenAMinute)
	p, _ := take(t, l, 10)
	part := p.Split(4)
	if !p.Use() || !part.Use() {
		t.Fatal("no permit")
	}
	w.pass(Validity / 2)
	if q, _ := take(t, l, 10); q.Len() != 0 || p.Len() != 5 || part.Len() != 3 {
		t.Fatalf("taken back too soon: %d, %d, %d", q.Len(), p.Len(), part.Len())
	}
	w.pass(Validity / 2)
	if q, _ := take(t, l, 10); q.Len() != 8 {
		t.Errorf("%d permits, want the 8 that were not used", q.Len())
	}
	if len(l.out) != 1 {
		t.Errorf("%d sets are remembered, want 1", len(l.out))
	}
}

func TestSplit(t *testing.T) {
	w := newWorld(t)
	for name, l := range map[string]*Limiter{"limited": w.limiter(tenAMinute), "unlimited": w.limiter(Limit{})} {
		p, _ := take(t, l, 5)
		for _, c := range []struct{ n, part, left int }{{0, 0, 5}, {-1, 0, 5}, {2, 2, 3}, {9, 3, 0}, {1, 0, 0}} {
			part := p.Split(c.n)
			if part.Len() != c.part || p.Len() != c.left {
				t.Fatalf("%s, split %d: %d and %d left, want %d and %d", name, c.n, part.Len(), p.Len(), c.part, c.left)
			}
			for range c.part {
				if !part.Use() {
					t.Fatalf("%s: a permit that was split off cannot be used", name)
				}
			}
			if part.Use() {
				t.Fatalf("%s: more permits than were split off", name)
			}
		}
	}
	if (Permits{}).Split(1).Len() != 0 {
		t.Error("something of nothing")
	}
}

// A process that dies with permits loses them for one window, no longer.
func TestPermitsOfADeadProcess(t *testing.T) {
	w := newWorld(t)
	dead, alive := w.limiter(tenAMinute), w.limiter(tenAMinute)
	take(t, dead, 10)
	w.pass(Validity + alive.window() - time.Millisecond)
	if p, wait := take(t, alive, 1); p.Len() != 0 || wait != time.Millisecond {
		t.Errorf("%d permits, wait %v", p.Len(), wait)
	}
	w.pass(time.Millisecond)
	if p, _ := take(t, alive, 10); p.Len() != 10 {
		t.Errorf("%d permits a window later", p.Len())
	}
}

// A report puts right how long a permit counts: from its use, not from the end
// of its validity.
func TestUseIsCountedFromUse(t *testing.T) {
	w := newWorld(t)
	l := w.limiter(tenAMinute)
	p, _ := take(t, l, 10)
	for p.Use() {
	}
	w.pass(100 * time.Millisecond)
	if _, wait := take(t, l, 1); wait != l.window()-100*time.Millisecond {
		t.Errorf("wait %v", wait)
	}
}

// The machine was suspended between the grant and the use.
func TestAProcessWhoseClockStoodStill(t *testing.T) {
	w := newWorld(t)
	l, before := w.limiter(tenAMinute), w.now
	l.now = func() time.Time { return before }
	p, _ := take(t, l, 10)
	w.pass(30 * time.Second)
	for p.Use() {
	}
	if _, wait := take(t, l, 1); wait != l.window() {
		t.Errorf("wait %v, want a whole window since the calls", wait)
	}
}

func TestAClockThatIsSetBackLocksNobody(t *testing.T) {
	w := newWorld(t)
	l := w.limiter(tenAMinute)
	p, _ := take(t, l, 10)
	for p.Use() {
	}
	giveBack(t, l, p)
	w.pass(-24 * time.Hour)
	_, wait := take(t, l, 1)
	if wait > Validity {
		t.Fatalf("wait %v", wait)
	}
	w.pass(Validity + l.window())
	if q, _ := take(t, l, 10); q.Len() != 10 {
		t.Errorf("%d permits", q.Len())
	}
}

func TestWindowCarriesAGuard(t *testing.T) {
	for per, want := range map[time.Duration]time.Duration{
		time.Minute:            61 * time.Second,
		time.Hour:              time.Hour + time.Second,
		time.Second:            1025 * time.Millisecond,
		100 * time.Millisecond: 105 * time.Millisecond,
	} {
		if got := New(nil, "", "", Limit{1, per}).window(); got != want {
			t.Errorf("window of %v is %v, want %v", per, got, want)
		}
	}
}
