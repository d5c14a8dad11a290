package tokens

import (
	"bytes"
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

const (
	slot  = "0123"
	lease = time.Minute
)

// servers runs a test on every server that the store has to work with.
func servers(t *testing.T, test func(t *testing.T, client *redis.Client)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) { test(t, connect(t, servertest.Redis(t).Addr())) })
	t.Run("miniredis", func(t *testing.T) { test(t, connect(t, miniredis.RunT(t).Addr())) })
}

func connect(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

func newStore(client *redis.Client) *Store { return New(client, "test", "acme") }

func acquire(t *testing.T, s *Store, owner, seen string, want bool) {
	t.Helper()
	got, err := s.Acquire(t.Context(), slot, owner, []byte(seen), lease)
	if err != nil || got != want {
		t.Fatalf("acquire by %s after %q: %v, %v; want %v", owner, seen, got, err, want)
	}
}

func store(t *testing.T, s *Store, owner, record string, want bool) {
	t.Helper()
	got, err := s.Store(t.Context(), slot, owner, []byte(record), time.Hour)
	if err != nil || got != want {
		t.Fatalf("store of %q by %s: %v, %v; want %v", record, owner, got, err, want)
	}
}

func load(t *testing.T, s *Store, want string) time.Duration {
	t.Helper()
	got, age, err := s.Load(t.Context(), slot)
	if err != nil || !bytes.Equal(got, []byte(want)) {
		t.Fatalf("load: %q, %v; want %q", got, err, want)
	}
	return age
}
