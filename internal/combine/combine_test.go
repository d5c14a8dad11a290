package combine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// answer is what became of one call.
type answer struct {
	of  string
	err error
}

var errBad = errors.New("bad")

// slow is a server that takes a second for each round trip and echoes the call.
type slow struct {
	mu    sync.Mutex
	sizes []int
}

func (s *slow) run(ctx context.Context, calls []string) []answer {
	s.mu.Lock()
	s.sizes = append(s.sizes, len(calls))
	s.mu.Unlock()
	replies := make([]answer, len(calls))
	time.Sleep(time.Second)
	for i, c := range calls {
		replies[i] = answer{c, ctx.Err()}
		if c == "bad" {
			replies[i] = answer{"", errBad}
		}
	}
	return replies
}

// What comes while a round trip is under way goes together in the next.
func TestCallsAreCombined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Combiner[string, answer]
		var s slow
		var all sync.WaitGroup
		ask := func(key string) {
			all.Go(func() {
				got, err := c.Do(t.Context(), key, s.run)
				if key == "bad" {
					if err != nil || !errors.Is(got.err, errBad) {
						t.Errorf("%s: %v, %v", key, got, err)
					}
				} else if got.of != key || got.err != nil || err != nil {
					t.Errorf("%s: %v, %v", key, got, err)
				}
			})
		}
		start := time.Now()
		ask("first")
		synctest.Wait()
		for i := range Most + 10 {
			ask(fmt.Sprint(i))
		}
		ask("bad")
		all.Wait()
		if took := time.Since(start); took != 3*time.Second || !slices.Equal(s.sizes, []int{1, Most, 11}) {
			t.Errorf("round trips of %v in %s", s.sizes, took)
		}
		ask("alone")
		all.Wait()
		if len(s.sizes) != 4 {
			t.Errorf("round trips of %v", s.sizes)
		}
	})
}

// A caller without time leaves, and the others have their answers.
func TestACallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Combiner[string, answer]
		var s slow
		hurried, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := c.Do(hurried, "hurried", s.run); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if got, err := c.Do(t.Context(), "patient", s.run); got.of != "patient" || err != nil {
				t.Errorf("%v, %v", got, err)
			}
		})
		all.Wait()
		if _, err := c.Do(hurried, "late", s.run); err == nil || len(s.sizes) != 2 {
			t.Errorf("%v, round trips of %v", err, s.sizes)
		}
	})
}
