package tokens

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

func TestOneOwnerReplacesTheRecordSeen(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		a, b := newStore(client), newStore(client) // two processes
		load(t, a, "")
		acquire(t, a, "a", "", true)
		load(t, b, "") // a right alone is no record
		acquire(t, b, "b", "", false)
		acquire(t, a, "a", "", true) // prolonged
		store(t, b, "b", "of b", false)
		load(t, a, "")
		store(t, a, "a", "one\x00\xff", true)
		load(t, b, "one\x00\xff")
		store(t, a, "a", "again", false) // the right is over
		acquire(t, b, "b", "", false)    // decided on what is gone
		acquire(t, b, "b", "one\x00\xff", true)
		acquire(t, a, "a", "one\x00\xff", false)
		store(t, b, "b", "two", true)
		acquire(t, a, "a", "one\x00\xff", false)
		load(t, a, "two")
	})
}

// The client sends a command again whose answer was lost.
func TestSentTwice(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		s := newStore(client)
		for range 2 {
			acquire(t, s, "a", "", true)
		}
		for range 2 {
			store(t, s, "a", "one", true)
		}
		acquire(t, s, "b", "one", true)
	})
}

func TestSlotsAndAccountsAreApart(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		s := newStore(client)
		acquire(t, s, "a", "", true)
		store(t, s, "a", "one", true)
		for name, other := range map[string]struct {
			store *Store
			slot  string
		}{
			"another password": {s, "4567"},
			"another account":  {New(client, "test", "beta"), slot},
			"another prefix":   {New(client, "tset", "acme"), slot},
		} {
			if record, _, err := other.store.Load(t.Context(), other.slot); record != nil || err != nil {
				t.Errorf("%s: %q, %v", name, record, err)
			}
			if ok, err := other.store.Acquire(t.Context(), other.slot, "b", nil, lease); !ok || err != nil {
				t.Errorf("%s: %v, %v", name, ok, err)
			}
		}
	})
}

func TestOnlyOneOfManyAcquires(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		var granted atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				ok, err := newStore(client).Acquire(t.Context(), slot, fmt.Sprint(i), nil, lease)
				if err != nil {
					t.Error(err)
				}
				if ok {
					granted.Add(1)
				}
			})
		}
		wg.Wait()
		if n := granted.Load(); n != 1 {
			t.Errorf("%d owners", n)
		}
	})
}

// world is a server whose clock the test moves.
func world(t *testing.T) (s *Store, pass func(time.Duration)) {
	t.Helper()
	server := miniredis.RunT(t)
	server.ClockTTL(true)
	now := time.UnixMilli(1_750_000_000_000)
	server.SetTime(now)
	return newStore(connect(t, server.Addr())), func(d time.Duration) {
		now = now.Add(d)
		server.SetTime(now)
	}
}

func TestTheRightEnds(t *testing.T) {
	s, pass := world(t)
	acquire(t, s, "a", "", true)
	pass(lease - time.Millisecond)
	acquire(t, s, "b", "", false)
	acquire(t, s, "a", "", true)
	pass(lease)
	acquire(t, s, "b", "", true)
	store(t, s, "a", "late", false)
	pass(2 * lease)
	load(t, s, "")
	acquire(t, s, "c", "", true)
	pass(lease - time.Millisecond)
	store(t, s, "c", "one", true)
}

// Nobody took it meanwhile: what was got is better kept than thrown away.
func TestRightThatEndedAndIsNobodyElses(t *testing.T) {
	s, pass := world(t)
	acquire(t, s, "a", "", true)
	store(t, s, "a", "one", true)
	acquire(t, s, "a", "one", true)
	pass(2 * lease)
	store(t, s, "a", "two", true)
}

func TestAgeAndEndOfARecord(t *testing.T) {
	s, pass := world(t)
	acquire(t, s, "a", "", true)
	store(t, s, "a", "one", true) // for an hour
	if age := load(t, s, "one"); age != 0 {
		t.Errorf("age %s", age)
	}
	pass(1500 * time.Millisecond)
	if age := load(t, s, "one"); age != 1500*time.Millisecond {
		t.Errorf("age %s, want 1.5 s", age)
	}
	pass(time.Hour - 2*time.Second)
	acquire(t, s, "b", "one", true) // the right outlives the record that it is for
	pass(time.Second)
	acquire(t, s, "c", "one", false)
	pass(lease)
	load(t, s, "")
	acquire(t, s, "c", "", true)
}

func TestClockThatIsSetBack(t *testing.T) {
	s, pass := world(t)
	acquire(t, s, "a", "", true)
	store(t, s, "a", "one", true)
	acquire(t, s, "a", "one", true)
	pass(-time.Hour)
	if age := load(t, s, "one"); age != 0 {
		t.Errorf("age %s", age)
	}
	acquire(t, s, "b", "one", true)
}
