package dedupe

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
)

// harness is a Redis to test against, with a clock of its own. The embedded
// server's clock stands still unless it is told. The real one's runs, but what
// happens between two calls of pass is taken to happen at once: leases are
// either an hour long or over after the next pass.
type harness struct {
	client      redis.UniversalClient
	url         string
	stop, start func() // the server goes away and comes back, empty or not
	flush       func() // FLUSHALL
	pass        func(time.Duration)
	exact       bool // the clock stands still between two calls of pass

	now int64 // milliseconds, moved by pass
}

// brief is a lease that has ended when pass(brief) returns.
const brief = 2 * time.Millisecond

// conformance runs a test on every server that the store has to work with.
func conformance(t *testing.T, test func(t *testing.T, h *harness)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) { test(t, openReal(t)) })
	t.Run("miniredis", func(t *testing.T) { test(t, openEmbedded(t)) })
}

func openReal(t *testing.T) *harness {
	t.Helper()
	server := servertest.Redis(t)
	h := &harness{
		client: open(t, server.URL()), url: server.URL(),
		stop: server.Stop, start: server.Start, flush: server.Flush,
	}
	h.pass = func(d time.Duration) {
		if d > time.Second {
			t.Fatalf("pass(%v): a real clock is not waited for that long", d)
		}
		until := serverTime(t, h.client).Add(d)
		for !serverTime(t, h.client).After(until) {
			// Asking takes long enough not to need a pause.
		}
		h.now += d.Milliseconds()
	}
	return h
}

func openEmbedded(t *testing.T) *harness {
	t.Helper()
	server := miniredis.RunT(t)
	now := time.UnixMilli(1_750_000_000_000)
	server.SetTime(now)
	server.ClockTTL(true)
	url := "redis://" + server.Addr() + "/0"
	h := &harness{
		// It runs a script in milliseconds where Redis takes microseconds, and a batch
		// of a thousand for longer than a client of the program waits.
		client: open(t, url+"?read_timeout=60s"), url: url, exact: true,
		stop: server.Close, flush: server.FlushAll,
		start: func() {
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
		},
		now: now.UnixMilli(),
	}
	h.pass = func(d time.Duration) {
		now = now.Add(d)
		h.now = now.UnixMilli()
		server.SetTime(now)
	}
	return h
}

func open(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	client, err := Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

func serverTime(t *testing.T, client redis.UniversalClient) time.Time {
	t.Helper()
	now, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// store has leases of an hour; brief has leases that end with the
// next pass.
func (h *harness) store() *Store {
	return New(h.client, Config{Prefix: "test", Lease: time.Hour, TTL: 2 * time.Hour})
}

func (h *harness) brief() *Store {
	return New(h.client, Config{Prefix: "test", Lease: brief, TTL: brief})
}

// state reads the record past the store.
func (h *harness) state(t *testing.T, s *Store, k Key) purchase.ClaimState {
	t.Helper()
	state, err := h.client.HGet(t.Context(), s.key(k), "state").Result()
	if err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	return purchase.ClaimState(state)
}

const (
	digestA = purchase.Digest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	digestB = purchase.Digest("hmac-sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
)

func claimOf(ref, owner string) Claim {
	return Claim{Key: Key{"acme", ref}, Digest: digestA, Owner: owner}
}

func number(n int) string { return strconv.Itoa(n) }

// claim claims one purchase.
func claim(t *testing.T, s *Store, c Claim) Answer {
	t.Helper()
	answers, err := s.Claim(t.Context(), []Claim{c})
	if err != nil {
		t.Fatal(err)
	}
	return answers[0]
}

// expect claims one purchase and checks the verdict.
func expect(t *testing.T, s *Store, c Claim, want purchase.Verdict) Answer {
	t.Helper()
	got := claim(t, s, c)
	if got.Verdict != want {
		t.Fatalf("claim by %s: %v (state %q), want %v", c.Owner, got.Verdict, got.State, want)
	}
	return got
}

// must checks the answer of a method that says yes or no.
func must(t *testing.T, want bool) func(bool, error) {
	return func(got bool, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	}
}

// before checks the answer of a method that returns the state before.
func before(t *testing.T, want purchase.ClaimState) func(purchase.ClaimState, error) {
	return func(got purchase.ClaimState, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Fatalf("state before is %q, %v, want %q", got, err, want)
		}
	}
}

func pending(ctx context.Context, s *Store, c Claim) (purchase.ClaimState, error) {
	return s.MarkPending(ctx, c.Key, c.Digest, "", 1)
}

func settled(ctx context.Context, s *Store, c Claim) (purchase.ClaimState, error) {
	return s.MarkSettled(ctx, c.Key, c.Digest)
}

// ours is whether the right was given, for must.
func ours(h Hold, err error) (bool, error) { return h.Ours, err }
