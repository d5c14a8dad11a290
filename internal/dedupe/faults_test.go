package dedupe

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
)

// deafConn loses one answer: the command has arrived and was obeyed, and the
// connection breaks before the client has read that.
type deafConn struct {
	net.Conn
	lose *atomic.Bool
}

func (c deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p) // the answer is there: the command was obeyed
	if c.lose.CompareAndSwap(true, false) {
		return 0, errors.Join(io.ErrUnexpectedEOF, c.Close())
	}
	return n, err
}

// deaf is a client as Open makes it, on a connection that loses answers.
func deaf(t *testing.T, h *harness) (redis.UniversalClient, *atomic.Bool) {
	t.Helper()
	options := *h.client.(*redis.Client).Options()
	lose := new(atomic.Bool)
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, addr)
		return deafConn{conn, lose}, err
	}
	client := redis.NewClient(&options)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client, lose
}

// The client asks again where an answer was lost, and the second answer is as
// good as the first: a claim does not find itself in its own way.
func TestLostAnswers(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		client, lose := deaf(t, h)
		s, c, ctx := New(client, Config{Prefix: "test"}), claimOf("r", "me"), t.Context()
		// The first call connects and loads the scripts.
		expect(t, s, claimOf("other", "me"), purchase.ClaimNew)
		losing := func() {
			if lose.Swap(true) {
				t.Fatal("the answer before was not lost")
			}
		}
		losing()
		if got := claim(t, s, c); !got.Verdict.Held() || got.Verdict != purchase.ClaimAgain {
			t.Fatalf("claim: %+v", got)
		}
		losing()
		must(t, true)(s.MarkSent(ctx, c))
		losing()
		must(t, true)(s.Release(ctx, c, 1, true))
		expect(t, s, c, purchase.ClaimNew)
		losing()
		before(t, purchase.Pending)(pending(ctx, s, c))
		losing()
		must(t, true)(ours(s.HoldPost(ctx, c, 0)))
		losing()
		before(t, purchase.Settled)(settled(ctx, s, c))
		losing()
		if got, err := s.Reopen(ctx, c, purchase.Settled); err != nil || got.Verdict != purchase.ClaimAgain {
			t.Fatalf("reopen: %+v, %v", got, err)
		}
		losing()
		if held, err := s.Extend(ctx, []Claim{c}); err != nil || !held[0] {
			t.Fatalf("extend: %v, %v", held, err)
		}
		if lose.Load() {
			t.Fatal("the last answer was not lost")
		}
	})
}

// scriptThief empties the server's script cache amid the next pipeline, and
// counts the scripts that each pipeline runs.
type scriptThief struct {
	steal atomic.Bool
	sizes []int
}

func (*scriptThief) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*scriptThief) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *scriptThief) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "evalsha" {
			return next(ctx, cmds) // a new connection's greeting
		}
		h.sizes = append(h.sizes, len(cmds))
		if h.steal.CompareAndSwap(true, false) {
			half := len(cmds) / 2
			with := append([]redis.Cmder{}, cmds[:half]...)
			with = append(with, redis.NewStatusCmd(ctx, "script", "flush", "sync"))
			cmds = append(with, cmds[half:]...)
		}
		return next(ctx, cmds)
	}
}

// A server that has lost the scripts is given them again, and what it had
// answered before is not sent twice.
func TestScriptsAreLoadedAgain(t *testing.T) {
	const size = mostKeys + 36
	conformance(t, func(t *testing.T, h *harness) {
		s := h.store()
		claims := make([]Claim, size)
		for i := range claims {
			claims[i] = claimOf("r"+number(i), "me")
		}
		thief := &scriptThief{}
		h.client.AddHook(thief)
		if err := s.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		thief.steal.Store(true)
		answers, err := s.Claim(t.Context(), claims)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range answers {
			if a.Verdict != purchase.ClaimNew {
				t.Errorf("claim %d: %v", i, a.Verdict)
			}
		}
		// Two commands, of which the second has to be sent again.
		if len(thief.sizes) != 2 || thief.sizes[0] != 2 || thief.sizes[1] != 1 {
			t.Errorf("the pipelines had %v commands, want [2 1]", thief.sizes)
		}
		if err := h.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		must(t, true)(s.MarkSent(t.Context(), claims[0]))
	})
}

// A server that always loses the scripts is an error in the end, not a loop.
func TestScriptsThatDoNotStay(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		h.client.AddHook(flusher{open(t, h.url)})
		_, err := h.store().Claim(t.Context(), []Claim{claimOf("r", "me")})
		if !errors.Is(err, redis.ErrNoScript) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
			t.Errorf("got %v", err)
		}
	})
}

// flusher empties the script cache before every pipeline, by a client of its
// own: a new connection greets the server in a pipeline too.
type flusher struct{ client redis.UniversalClient }

func (flusher) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (flusher) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (f flusher) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := f.client.ScriptFlush(ctx).Err(); err != nil {
			return err
		}
		return next(ctx, cmds)
	}
}

// Redis goes away in mid-use, and the store works on when it is back. Errors
// never tell the reference.
func TestRedisAway(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, ctx := h.store(), t.Context()
		const secret = "+27821234567"
		c := claimOf(secret, "me")
		expect(t, s, c, purchase.ClaimNew)
		h.stop()
		_, claimErr := s.Claim(ctx, []Claim{c})
		_, extendErr := s.Extend(ctx, []Claim{c})
		_, sentErr := s.MarkSent(ctx, c)
		_, releaseErr := s.Release(ctx, c, 1, true)
		_, pendingErr := pending(ctx, s, c)
		_, settledErr := settled(ctx, s, c)
		_, reopenErr := s.Reopen(ctx, c, purchase.Pending)
		_, holdErr := s.HoldPost(ctx, c, 0)
		_, policyErr := s.CheckPolicy(ctx)
		for i, err := range []error{claimErr, extendErr, sentErr, releaseErr, pendingErr, settledErr, reopenErr, holdErr, policyErr, s.Ping(ctx)} {
			var cause *net.OpError
			if !errors.As(err, &cause) || strings.Contains(err.Error(), secret) {
				t.Errorf("method %d: %v", i, err)
			}
		}
		h.start()
		if err := s.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		if got := claim(t, s, c); !got.Verdict.Held() {
			t.Errorf("after the return: %+v", got)
		}
	})
}

// What Redis has acknowledged with its append-only file outlives a crash.
func TestCrashWithAppendOnlyFile(t *testing.T) {
	server := servertest.Redis(t, servertest.RedisAOF())
	s, c := New(open(t, server.URL()), Config{}), claimOf("r", "me")
	expect(t, s, c, purchase.ClaimNew)
	must(t, true)(s.MarkSent(t.Context(), c))
	server.Kill()
	server.Start()
	if got := expect(t, s, c, purchase.ClaimAgain); !got.Sent {
		t.Errorf("the call is forgotten: %+v", got)
	}
}

// Redis forgets everything: nobody holds anything, and claims begin anew.
func TestRedisForgets(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, c := h.store(), claimOf("r", "me")
		expect(t, s, c, purchase.ClaimNew)
		h.flush()
		must(t, false)(s.MarkSent(t.Context(), c))
		must(t, false)(s.Release(t.Context(), c, 1, true))
		if held, err := s.Extend(t.Context(), []Claim{c}); err != nil || held[0] {
			t.Fatalf("extend: %v, %v", held, err)
		}
		expect(t, s, claimOf("r", "another"), purchase.ClaimNew)
		expect(t, s, c, purchase.ClaimInFlight)
	})
}

// A context that is over ends the call, also while the server is silent.
func TestContextIsObeyed(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := New(open(t, "redis://"+silent.Addr().String()), Config{})
	ctx, cancel := context.WithTimeout(t.Context(), brief)
	defer cancel()
	if _, err := s.Claim(ctx, []Claim{claimOf("r", "me")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Answers that no script of ours gives are errors, and not verdicts.
func TestUnexpectedAnswers(t *testing.T) {
	good := []any{"new", "", int64(0), int64(0), int64(0), "", ""}
	asked := claimOf("r", "me")
	if got, err := readAnswer(good, asked); err != nil || got.Digest != asked.Digest {
		t.Fatal(got, err)
	}
	bad := []any{nil, "new", int64(1), []any{}, good[:6]}
	for i := range good {
		spoiled := append([]any{}, good...)
		spoiled[i] = nil
		bad = append(bad, spoiled)
	}
	bad = append(bad, append([]any{"unheard of"}, good[1:]...))
	for _, raw := range bad {
		if got, err := readAnswer(raw, asked); !errors.Is(err, errAnswer) {
			t.Errorf("%v: %+v, %v", raw, got, err)
		}
	}
	for _, raw := range []any{nil, "1", int64(2), int64(-1)} {
		if _, err := yes(raw); !errors.Is(err, errAnswer) {
			t.Errorf("%v: %v", raw, err)
		}
	}
	if _, err := readState("mark", int64(1)); !errors.Is(err, errAnswer) {
		t.Errorf("got %v", err)
	}
}
