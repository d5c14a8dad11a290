package tokens

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/servertest"
)

// all calls every method once, with a deadline as short as its user's.
func all(t *testing.T, s *Store) map[string]error {
	t.Helper()
	limited := func(do func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := do(ctx)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the caller was held for %s", took)
		}
		return err
	}
	return map[string]error{
		"load":    limited(func(ctx context.Context) error { _, _, err := s.Load(ctx, slot); return err }),
		"acquire": limited(func(ctx context.Context) error { _, err := s.Acquire(ctx, slot, "a", nil, lease); return err }),
		"store": limited(func(ctx context.Context) error {
			_, err := s.Store(ctx, slot, "a", []byte("record-secret"), time.Hour)
			return err
		}),
	}
}

func TestRedisAway(t *testing.T) {
	server := servertest.Redis(t)
	s := newStore(connect(t, server.Addr()))
	server.Stop()
	for name, err := range all(t, s) {
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	server.Start() // with nothing in it, not even the scripts
	load(t, s, "")
	acquire(t, s, "a", "", true)
	store(t, s, "a", "one", true)
}

// A server that takes connections and never answers holds nobody longer than the
// caller's deadline.
func TestRedisThatDoesNotAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close() // ends the loop
		wg.Wait()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	s := newStore(connect(t, listener.Addr().String()))
	for name, err := range all(t, s) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnexpectedAnswers(t *testing.T) {
	client := connect(t, servertest.Redis(t).Addr())
	s := newStore(client)
	if err := client.Set(t.Context(), s.keys(slot)[0], "not a hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for name, err := range all(t, s) {
		if _, fromServer := errors.AsType[redis.Error](err); !fromServer || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
