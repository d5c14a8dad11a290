package quota

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/servertest"
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

// Many processes that ask at once never get more than the limit together.
func TestConcurrentLimiters(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		limit := Limit{Requests: 100, Per: time.Hour}
		var granted atomic.Int64
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			l := still(client, "acme", limit)
			wg.Go(func() {
				for range 40 {
					p, _, err := l.Take(t.Context(), 3)
					if err != nil {
						errs[i] = err
						return
					}
					if p.Use() {
						granted.Add(1)
					}
					if err := l.GiveBack(t.Context(), p); err != nil {
						errs[i] = err
						return
					}
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if got := granted.Load(); got != 100 {
			t.Errorf("%d calls, want 100", got)
		}
	})
}

// Without Redis there are no permits; what became of those that were out is
// told when it is back.
func TestRedisAway(t *testing.T) {
	server := servertest.Redis(t, servertest.RedisAOF())
	l := still(connect(t, server.Addr()), "acme", tenAMinute)
	p, _ := take(t, l, 10)
	if !p.Use() {
		t.Fatal("no permit")
	}
	server.Stop()
	if err := l.GiveBack(t.Context(), p); err == nil {
		t.Error("given back to nobody")
	}
	if q, wait, err := l.Take(t.Context(), 1); err == nil || q.Len() != 0 || wait != 0 {
		t.Errorf("take: %d, %v, %v", q.Len(), wait, err)
	}
	if err := l.Penalize(t.Context(), time.Minute); err == nil {
		t.Error("a penalty that nobody knows of")
	}
	server.Start()
	if q, _ := take(t, l, 10); q.Len() != 9 {
		t.Errorf("%d permits, want the 9 that were given back", q.Len())
	}
}

func TestReportsAreBounded(t *testing.T) {
	l := New(nil, "test", "acme", tenAMinute)
	l.report(make([]report, maxReports-1)...)
	l.report(make([]report, 5)...)
	if len(l.reports) != maxReports {
		t.Errorf("%d reports are kept", len(l.reports))
	}
}

// deafConn loses one answer after the server has obeyed.
type deafConn struct {
	net.Conn
	lose *atomic.Bool
}

func (c deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.lose.CompareAndSwap(true, false) {
		return 0, errors.Join(io.ErrUnexpectedEOF, c.Close())
	}
	return n, err
}

// A call whose answer was lost is asked again by the client, and takes its
// permits once.
func TestLostAnswers(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		options := *client.Options()
		lose := new(atomic.Bool)
		options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr)
			return deafConn{conn, lose}, err
		}
		deaf := redis.NewClient(&options)
		defer deaf.Close()
		l := still(deaf, "acme", tenAMinute)
		p, _ := take(t, l, 1) // loads the script
		lose.Store(true)
		q, _ := take(t, l, 4)
		if q.Len() != 4 || lose.Load() {
			t.Fatalf("%d permits, lost %v", q.Len(), !lose.Load())
		}
		lose.Store(true)
		giveBack(t, l, q)
		giveBack(t, l, p)
		if r, _ := take(t, still(client, "acme", tenAMinute), 20); r.Len() != 10 {
			t.Errorf("%d permits, want all 10", r.Len())
		}
	})
}
