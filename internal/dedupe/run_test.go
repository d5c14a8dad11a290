package dedupe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
)

// What fails for one call is that caller's trouble, not the pipeline's.
func TestOneCallFails(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, c := New(h.client, Config{Prefix: "test"}), claimOf("good", "me")
		expect(t, s, c, purchase.ClaimNew)
		if err := h.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		nobodys := redis.NewScript("return 'a script that is never loaded'")
		replies := s.run(t.Context(), []call{
			{nobodys, s.key(c.Key), []any{"me"}},
			{releaseScript, s.key(c.Key), []any{"me", 0, "0"}},
		})
		if replies[0].err == nil || replies[1].err != nil || replies[1].answer != int64(1) {
			t.Errorf("%+v", replies)
		}
	})
}

// Calls of several scripts, as they come together, each get their own answer.
func TestManyScriptsInAPipeline(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, claims := h.store(), claimsFor("me", 6)
		all(t, s, claims, purchase.ClaimNew)
		other := claims[3]
		other.Owner = "you"
		calls := []call{
			{settledScript, s.key(claims[0].Key), []any{fingerprint(digestA), 1000}},
			{renewScript, s.key(claims[1].Key), []any{"me", 1000, "1"}},
			{settledScript, s.key(claims[2].Key), []any{fingerprint(digestA), 1000}},
			{renewScript, s.key(other.Key), []any{"you", 1000, "1"}},
			{releaseScript, s.key(claims[4].Key), []any{"me", 1, "1"}},
			{renewScript, s.key(claims[5].Key), []any{"me", 1000, "0"}},
		}
		want := []any{"claimed", int64(1), "claimed", int64(0), int64(1), int64(1)}
		for i, r := range s.run(t.Context(), calls) {
			if r.err != nil || r.answer != want[i] {
				t.Errorf("call %d: %+v, want %v", i, r, want[i])
			}
		}
	})
}

// One record that fails does not take the others' answers with it.
func TestOneRecordFails(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, claims := h.store(), claimsFor("me", 3)
		all(t, s, claims, purchase.ClaimNew)
		calls := make([]call, len(claims))
		for i, c := range claims {
			calls[i] = call{renewScript, s.key(c.Key), []any{c.Owner, 1000, "0"}}
		}
		calls[1].args[1] = "no number"
		for i, r := range s.run(t.Context(), calls) {
			var fault redis.Error
			switch {
			case i == 1 && !errors.As(r.err, &fault):
				t.Errorf("the one that fails: %v, %v", r.answer, r.err)
			case i != 1 && (r.err != nil || r.answer != int64(1)):
				t.Errorf("call %d: %v, %v", i, r.answer, r.err)
			}
		}
	})
}

// What a server refuses as a whole (no memory left, a replica by now) is told to every
// caller, whatever else goes with it, and nobody gets another's answer.
func TestRefusedCommands(t *testing.T) {
	for _, c := range []struct{ prefix, do, undo string }{
		{"OOM", "config set maxmemory 1", "config set maxmemory 0"},
		{"READONLY", "replicaof 127.0.0.1 1", "replicaof no one"},
	} {
		t.Run(c.prefix, func(t *testing.T) {
			server := servertest.Redis(t)
			client, control := open(t, server.URL()), open(t, server.URL())
			command := func(line string) {
				t.Helper()
				var args []any
				for _, word := range strings.Fields(line) {
					args = append(args, word)
				}
				if err := control.Do(t.Context(), args...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			s, claims := New(client, Config{Prefix: "test"}), claimsFor("me", 6)
			all(t, s, claims, purchase.ClaimNew)
			calls := []call{
				{settledScript, s.key(claims[0].Key), []any{fingerprint(digestA), 100_000}},
				{settledScript, s.key(claims[1].Key), []any{fingerprint(digestA), 100_000}},
				{releaseScript, s.key(claims[2].Key), []any{"me", 1, "1"}},
				{renewScript, s.key(claims[3].Key), []any{"me", 1000, "1"}},
				{renewScript, s.key(claims[4].Key), []any{"another", 1000, "1"}},
			}
			command(c.do)
			for i, r := range s.run(t.Context(), calls) {
				// The last has nothing to write, and by itself may get through.
				if i == len(calls)-1 && r.err == nil && r.answer == int64(0) {
					continue
				}
				if r.err == nil || !strings.Contains(r.err.Error(), c.prefix) || r.answer != nil {
					t.Errorf("call %d: %v, %v", i, r.answer, r.err)
				}
			}
			if _, err := s.Claim(t.Context(), claims); err == nil || !strings.Contains(err.Error(), c.prefix) {
				t.Errorf("claim: %v", err)
			}
			command(c.undo)
			for i, r := range s.run(t.Context(), calls) {
				want := []any{"claimed", "claimed", int64(1), int64(1), int64(0)}[i]
				if r.err != nil || r.answer != want {
					t.Errorf("call %d: %v, %v, want %v", i, r.answer, r.err, want)
				}
			}
		})
	}
}

// An error that the server gives to a read of the record is the caller's, and no record.
func TestRecordsThatMayNotBeRead(t *testing.T) {
	server := servertest.Redis(t)
	control := open(t, server.URL())
	s, claims := New(open(t, strings.Replace(server.URL(), "//", "//someone:word@", 1)), Config{Prefix: "test"}), claimsFor("me", 3)
	if err := control.Do(t.Context(), "acl", "setuser", "someone", "on", ">word", "~*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	all(t, s, claims, purchase.ClaimNew)
	if err := control.Do(t.Context(), "acl", "setuser", "someone", "-hmget").Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3} {
		if held, err := s.Extend(t.Context(), claims[:n]); err == nil {
			t.Errorf("%d at once: %v", n, held)
		}
		for _, c := range claims[:n] {
			if held, err := s.MarkSent(t.Context(), c); err == nil || errors.Is(err, errAnswer) {
				t.Errorf("%v, %v, want the server's refusal", held, err)
			}
		}
	}
}

// Answers of another shape than the script's are nobody's answer.
func TestAnswersOfAnotherShape(t *testing.T) {
	for _, shape := range []any{"OK", []any{}, []any{int64(1)}, []any{int64(1), int64(1), int64(1)}} {
		h := openEmbedded(t)
		s, claims := h.store(), claimsFor("me", 2)
		all(t, s, claims, purchase.ClaimNew)
		h.client.AddHook(&onTheWay{to: func(_ context.Context, cmd redis.Cmder) error {
			cmd.(*redis.Cmd).SetVal(shape)
			return nil
		}})
		if held, err := s.Extend(t.Context(), claims); !errors.Is(err, errAnswer) {
			t.Errorf("%v: %v, %v", shape, held, err)
		}
	}
}

// In one pipeline a command finds no scripts and another is refused: each call is made
// again, and only those whose scripts cannot be loaded have no answer.
func TestUnknownAndRefused(t *testing.T) {
	for _, loads := range []bool{true, false} {
		conformance(t, func(t *testing.T, h *harness) {
			plain := open(t, h.url)
			s, claims := h.store(), claimsFor("me", 4)
			all(t, s, claims, purchase.ClaimNew)
			first := true
			h.client.AddHook(&onTheWay{to: func(ctx context.Context, cmd redis.Cmder) error {
				switch {
				case cmd.Name() == "script" && !loads:
					cmd.SetErr(refusal("NOPERM no scripts"))
				case cmd.Name() == "evalsha" && first && cmd.Args()[1] == renewScript.Hash():
					cmd.SetErr(refusal("NOSCRIPT gone"))
				case cmd.Name() == "evalsha" && first:
					cmd.SetErr(refusal("ERR too many keys"))
					first = false // the second command of the first pipeline
				default:
					return plain.Process(ctx, cmd)
				}
				return cmd.Err()
			}})
			calls := make([]call, len(claims))
			for i, c := range claims {
				calls[i] = call{renewScript, s.key(c.Key), []any{"me", 1000, "0"}}
				if i >= 2 {
					calls[i] = call{releaseScript, s.key(c.Key), []any{"me", 1, "1"}}
				}
			}
			for i, r := range s.run(t.Context(), calls) {
				if refused := !loads && i < 2; refused != (r.err != nil) || !refused && r.answer != int64(1) {
					t.Errorf("scripts can be loaded %t, call %d: %v, %v", loads, i, r.answer, r.err)
				}
			}
		})
	}
}

// A lost answer to a command for many is asked for again, and nobody's claim stands in
// its own way.
func TestLostAnswerForMany(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		client, lose := deaf(t, h)
		s, claims := New(client, Config{Prefix: "test"}), claimsFor("me", 5)
		all(t, s, claims[:2], purchase.ClaimNew)
		lose.Store(true)
		all(t, s, claims[2:], purchase.ClaimAgain)
		if lose.Load() {
			t.Fatal("nothing was lost")
		}
		for i := range claims {
			claims[i].Owner = "you"
		}
		all(t, s, claims, purchase.ClaimInFlight)
	})
}

// Calls of one script that differ in the number of their arguments go apart.
func TestCommands(t *testing.T) {
	calls := make([]call, 5)
	for i := range calls {
		calls[i] = call{renewScript, number(i), make([]any, 3-i%2)}
	}
	for most, want := range map[int]string{1: "[[0] [1] [2] [4]]", 2: "[[0 2] [1] [4]]", 64: "[[0 2 4] [1]]"} {
		if got := fmt.Sprint(commands(calls, []int{0, 1, 2, 4}, most)); got != want {
			t.Errorf("at most %d: %s, want %s", most, got, want)
		}
	}
}
