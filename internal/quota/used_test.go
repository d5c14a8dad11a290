package quota

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/servertest"
)

func used(t *testing.T, l *Limiter) (int, time.Duration) {
	t.Helper()
	n, paused, err := l.Used(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n, paused
}

func TestUsed(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		a, watcher := still(client, "acme", tenAMinute), still(client, "acme", tenAMinute)
		if n, paused := used(t, watcher); n != 0 || paused != 0 {
			t.Errorf("%d used, paused for %v, before anything was taken", n, paused)
		}
		p, _ := take(t, a, 4)
		if !p.Use() {
			t.Fatal("no permit")
		}
		if n, _ := used(t, watcher); n != 4 {
			t.Errorf("%d used, want 1 and 3 that are out", n)
		}
		giveBack(t, a, p)
		if n, paused := used(t, watcher); n != 1 || paused != 0 {
			t.Errorf("%d used, paused for %v; want 1", n, paused)
		}
		if n, _ := used(t, still(client, "other", tenAMinute)); n != 0 {
			t.Errorf("%d used by another account", n)
		}
		if err := a.Penalize(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if n, paused := used(t, watcher); n != 1 || paused <= 59*time.Minute || paused > time.Hour {
			t.Errorf("%d used, paused for %v", n, paused)
		}
	})
}

// What is read stays as it is, and a permit counts for as long as takeScript
// counts it.
func TestUsedChangesNothing(t *testing.T) {
	w := newWorld(t)
	l := w.limiter(tenAMinute)
	p, _ := take(t, l, 10)
	for p.Use() {
	}
	giveBack(t, l, p)
	w.pass(l.window() - time.Millisecond)
	before := w.server.Dump()
	if n, _ := used(t, w.limiter(tenAMinute)); n != 10 || w.server.Dump() != before {
		t.Errorf("%d used; before\n%s\nafter\n%s", n, before, w.server.Dump())
	}
	w.pass(time.Millisecond)
	if n, _ := used(t, w.limiter(tenAMinute)); n != 0 {
		t.Errorf("%d used a window later", n)
	}
}

func TestUsedWithoutRedis(t *testing.T) {
	server := servertest.Redis(t)
	client := connect(t, server.Addr())
	server.Stop()
	if n, paused, err := still(client, "acme", tenAMinute).Used(t.Context()); err == nil || n != 0 || paused != 0 {
		t.Errorf("%d, %v, %v", n, paused, err)
	}
	// An unlimited account asks nobody.
	l := still(client, "acme", Limit{})
	if n, paused := used(t, l); n != 0 || paused != 0 {
		t.Errorf("%d, %v", n, paused)
	}
	if err := l.Penalize(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if n, paused := used(t, l); n != 0 || paused != time.Minute {
		t.Errorf("%d, %v", n, paused)
	}
}
