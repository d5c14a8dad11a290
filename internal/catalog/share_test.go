package catalog

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/servertest"
)

// servers runs a test on every server that has to be worked with.
func servers(t *testing.T, test func(t *testing.T, client *redis.Client)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) { test(t, connect(t, servertest.Redis(t).Addr())) })
	t.Run("miniredis", func(t *testing.T) { test(t, connect(t, miniredis.RunT(t).Addr())) })
}

func connect(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// lookAt looks once.
func lookAt(t *testing.T, r share, refused string) look {
	t.Helper()
	seen, err := r.look(t.Context(), refused)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestRedis(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		a, b := NewRedis(client, "test", "acme", "m-1"), NewRedis(client, "test", "acme", "m-1")
		if seen := lookAt(t, a, ""); seen.found != nil || seen.left != 0 {
			t.Fatalf("the first is not told to fetch: %+v", seen)
		}
		if seen := lookAt(t, a, ""); seen.left != 0 {
			t.Errorf("the same asked again is not told again: %+v", seen)
		}
		if seen := lookAt(t, b, ""); seen.found != nil || seen.left <= 0 || seen.left > turn {
			t.Errorf("the second: %+v", seen)
		}
		for name, other := range map[string]*Redis{
			"account": NewRedis(client, "test", "other", "m-1"), "merchant": NewRedis(client, "test", "acme", "m-2"), "prefix": NewRedis(client, "p", "acme", "m-1"),
		} {
			if seen := lookAt(t, other, ""); seen.left != 0 {
				t.Errorf("another %s: %+v", name, seen)
			}
		}

		s, err := fetch(t.Context(), newShop())
		if err != nil {
			t.Fatal(err)
		}
		// One that fetched without the right leaves the other's.
		if err := b.put(t.Context(), s, time.Hour); err != nil {
			t.Fatal(err)
		}
		if owner := client.Get(t.Context(), b.keys[1]).Val(); owner != a.owner {
			t.Errorf("the right is %q's", owner)
		}
		if err := a.put(t.Context(), s, time.Hour); err != nil {
			t.Fatal(err)
		}
		if n := client.Exists(t.Context(), b.keys[1]).Val(); n != 0 {
			t.Error("the right is kept")
		}
		seen := lookAt(t, b, "")
		if seen.found == nil || seen.found.id != s.id || seen.left <= 59*time.Minute || seen.left > time.Hour {
			t.Fatalf("%+v", seen)
		}
		expectCode(t, seen.found.judge(good(t)), "")
		expectCode(t, seen.found.judge(doomed(t)), "1009")
		expectCode(t, seen.found.judge(request(t, "ELE-FLS-001", "20", "")), "1001")
		expectCode(t, seen.found.judge(request(t, "ELE-FLS-001", "20.0", `,"meterNumber":"1","municipality":"x"`)), "")
		if seen := lookAt(t, b, "another"); seen.found == nil {
			t.Error("one that is not refused is not found")
		}
		if seen := lookAt(t, b, s.id); seen.found != nil || seen.left != 0 {
			t.Errorf("a refused one: %+v", seen)
		}
		if seen := lookAt(t, a, s.id); seen.found != nil || seen.left == 0 {
			t.Errorf("a refused one that another fetches: %+v", seen)
		}
		if ttl := client.PTTL(t.Context(), a.keys[1]).Val(); ttl <= 0 || ttl > turn {
			t.Errorf("the right ends in %v", ttl)
		}
	})
}

func TestRedisUnreadable(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		r := NewRedis(client, "test", "acme", "m-1")
		if err := client.HSet(t.Context(), r.keys[0], "id", "x", "body", `{"products":7}`).Err(); err != nil {
			t.Fatal(err)
		}
		if seen := lookAt(t, r, ""); seen.found != nil || seen.left != 0 {
			t.Errorf("%+v", seen)
		}
		if err := client.Set(t.Context(), NewRedis(client, "test", "b", "m").keys[0], "text", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := NewRedis(client, "test", "b", "m").look(t.Context(), ""); err == nil {
			t.Error("a key of another kind is no error")
		}
	})
	for _, answer := range [][]any{nil, {"", ""}, {1, "", int64(0)}, {"id", nil, int64(1)}, {"", "", "0"}} {
		if _, _, err := readLook(answer); err == nil {
			t.Errorf("%v is read", answer)
		}
	}
}

// TestProcesses runs three processes: one fetch is for all, and after Redis has
// gone each fetches for itself.
func TestProcesses(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		v := newShop()
		all := make([]*Catalog, 3)
		for i := range all {
			all[i] = New(Config{Vendor: v, Redis: NewRedis(client, "test", "acme", "m-1"), Refresh: time.Hour})
			// Renewed one after the other, as Run would do it.
			if wait := all[i].renew(t.Context()); wait <= 59*time.Minute || wait > time.Hour {
				t.Errorf("process %d: %v", i, wait)
			}
		}
		v.expect(t, 1)
		expectCode(t, all[2].Check(t.Context(), good(t)), "")
		expectCode(t, all[2].Check(t.Context(), doomed(t)), "1009")
		v.expect(t, 2) // the confirmation
		// A 1009 in two of them is one fetch.
		all[0].Stale()
		all[1].Stale()
		for _, c := range all {
			c.renew(t.Context())
		}
		v.expect(t, 3)
		if a, b := all[0].current(), all[1].current(); a.id != b.id {
			t.Error("the second did not take what the first fetched")
		}
		away := connect(t, "127.0.0.1:1") // nobody listens there
		for _, c := range all {
			c.share = NewRedis(away, "test", "acme", "m-1")
			if wait := c.renew(t.Context()); wait != time.Hour {
				t.Errorf("%v", wait)
			}
		}
		v.expect(t, 6)
	})
}

// memory is a share without a server, for virtual time.
type memory struct {
	mu    sync.Mutex
	held  *snapshot
	until time.Time
	right time.Time
	owner *memoryShare
	fault error
}

type memoryShare struct{ m *memory }

func (s *memoryShare) look(_ context.Context, refused string) (look, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := time.Now()
	switch {
	case s.m.fault != nil:
		return look{}, s.m.fault
	case s.m.held != nil && s.m.held.id != refused && now.Before(s.m.until):
		return look{found: s.m.held, left: s.m.until.Sub(now)}, nil
	case s.m.owner != nil && s.m.owner != s && now.Before(s.m.right):
		return look{left: s.m.right.Sub(now)}, nil
	}
	s.m.owner, s.m.right = s, now.Add(turn)
	return look{}, nil
}

func (s *memoryShare) put(_ context.Context, held *snapshot, life time.Duration) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.m.fault == nil {
		s.m.held, s.m.until, s.m.owner = held, time.Now().Add(life), nil
	}
	return s.m.fault
}

func (m *memory) set(fault error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault, m.held = fault, nil
}

func TestTwoProcessesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := &memory{}, &faults{}
		va, vb := newShop(), newShop()
		a, b := New(Config{Vendor: va, Report: f.report}), New(Config{Vendor: vb, Report: f.report})
		a.share, b.share = &memoryShare{m}, &memoryShare{m}
		va.takes, vb.takes = 3*time.Second, 3*time.Second
		start(t, a)
		synctest.Wait()
		stop := start(t, b)
		time.Sleep(5 * time.Second)
		va.expect(t, 1)
		vb.expect(t, 0)
		if b.current() == nil || b.current() != a.current() {
			t.Error("the second process did not wait for the first one's")
		}
		// One fetch for both, every 15 minutes and what it takes, whoever does it.
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := va.count() + vb.count(); n != 4 {
			t.Errorf("%d fetches", n)
		}
		f.expect(t, 0)
		// Redis is away: each for itself, told each time, and working on.
		m.set(errVendor)
		before := va.count() + vb.count()
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if n := va.count() + vb.count() - before; n != 2 {
			t.Errorf("%d fetches without a share", n)
		}
		f.expect(t, 4)
		stop()
		// A process whose fetch fails leaves the turn to the others.
		m.set(nil)
		va.set(fail(errVendor))
		c := New(Config{Vendor: vb})
		c.share = &memoryShare{m}
		a.Stale()
		synctest.Wait()
		start(t, c)
		time.Sleep(turn + 5*time.Second)
		if c.current() == nil {
			t.Error("nobody took over")
		}
	})
}
