package quota

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/servertest"
)

func TestMain(m *testing.M) {
	logging.Disable() // a test takes Redis away, and go-redis tells of every failed dial
	goleak.VerifyTestMain(m)
}

// servers runs a test on every server that the limiter has to work with.
func servers(t *testing.T, test func(t *testing.T, client *redis.Client)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) { test(t, connect(t, servertest.Redis(t).Addr())) })
	t.Run("miniredis", func(t *testing.T) { test(t, connect(t, miniredis.RunT(t).Addr())) })
}

func connect(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// still is a limiter whose own clock stands still, so that its permits stay good
// however slow the test's machine is.
func still(client *redis.Client, account string, limit Limit) *Limiter {
	l := New(client, "test", account, limit)
	now := time.Now()
	l.now = func() time.Time { return now }
	return l
}

// world is an embedded server and processes that share one simulated clock.
type world struct {
	server *miniredis.Miniredis
	client *redis.Client
	now    time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{server: miniredis.RunT(t), now: time.UnixMilli(1_750_000_000_000)}
	w.client = connect(t, w.server.Addr())
	w.server.ClockTTL(true)
	w.pass(0)
	return w
}

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.server.SetTime(w.now)
}

func (w *world) limiter(limit Limit) *Limiter {
	l := New(w.client, "test", "acme", limit)
	l.now = func() time.Time { return w.now }
	return l
}

// take is Take without an error.
func take(t *testing.T, l *Limiter, most int) (Permits, time.Duration) {
	t.Helper()
	p, wait, err := l.Take(t.Context(), most)
	if err != nil {
		t.Fatal(err)
	}
	if (p.Len() == 0) != (wait > 0) {
		t.Fatalf("%d permits with a wait of %v", p.Len(), wait)
	}
	return p, wait
}

func giveBack(t *testing.T, l *Limiter, p Permits) {
	t.Helper()
	if err := l.GiveBack(context.WithoutCancel(t.Context()), p); err != nil {
		t.Fatal(err)
	}
}
