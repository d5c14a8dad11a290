package due

import (
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

// servers runs a test on every server that the index has to work with.
func servers(t *testing.T, test func(t *testing.T, x *Index)) {
	t.Helper()
	for name, addr := range map[string]func(*testing.T) string{
		"redis":     func(t *testing.T) string { return servertest.Redis(t).Addr() },
		"miniredis": func(t *testing.T) string { return miniredis.RunT(t).Addr() },
	} {
		t.Run(name, func(t *testing.T) { test(t, index(t, addr(t))) })
	}
}

// longest is the longest time that anything is due later.
const longest = 2 * time.Hour

func index(t *testing.T, addr string) *Index {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewIndex(client, "test", "acme", longest)
}
