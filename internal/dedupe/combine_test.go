package dedupe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
)

// slow is a Redis that takes a second for each pipeline and echoes the key.
type slow struct {
	mu    sync.Mutex
	sizes []int
}

func (s *slow) run(ctx context.Context, calls []call) []reply {
	s.mu.Lock()
	s.sizes = append(s.sizes, len(calls))
	s.mu.Unlock()
	replies := make([]reply, len(calls))
	time.Sleep(time.Second)
	for i, c := range calls {
		replies[i] = reply{c.key, ctx.Err()}
		if c.key == "bad" {
			replies[i] = reply{nil, errAnswer}
		}
	}
	return replies
}

// What comes while a pipeline is under way goes together in the next.
func TestCallsAreCombined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c combiner
		var s slow
		var all sync.WaitGroup
		ask := func(key string) {
			all.Go(func() {
				answer, err := c.do(t.Context(), call{key: key}, s.run)
				if key == "bad" {
					if !errors.Is(err, errAnswer) {
						t.Errorf("%s: %v", key, err)
					}
				} else if answer != key || err != nil {
					t.Errorf("%s: %v, %v", key, answer, err)
				}
			})
		}
		start := time.Now()
		ask("first")
		synctest.Wait()
		for i := range mostTogether + 10 {
			ask(fmt.Sprint(i))
		}
		ask("bad")
		all.Wait()
		if took := time.Since(start); took != 3*time.Second || !slices.Equal(s.sizes, []int{1, mostTogether, 11}) {
			t.Errorf("pipelines of %v in %s", s.sizes, took)
		}
		ask("alone")
		all.Wait()
		if len(s.sizes) != 4 {
			t.Errorf("pipelines of %v", s.sizes)
		}
	})
}

// A caller without time leaves, and the others have their answers.
func TestACallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c combiner
		var s slow
		hurried, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := c.do(hurried, call{key: "hurried"}, s.run); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if answer, err := c.do(t.Context(), call{key: "patient"}, s.run); answer != "patient" || err != nil {
				t.Errorf("%v, %v", answer, err)
			}
		})
		all.Wait()
		if _, err := c.do(hurried, call{key: "late"}, s.run); err == nil || len(s.sizes) != 2 {
			t.Errorf("%v, pipelines of %v", err, s.sizes)
		}
	})
}

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
			{nobodys, s.key(c.Key), nil},
			{releaseScript, s.key(c.Key), []any{"me", 0, "0"}},
		})
		if replies[0].err == nil || replies[1].err != nil || replies[1].answer != int64(1) {
			t.Errorf("%+v", replies)
		}
	})
}
