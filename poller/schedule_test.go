package poller

import (
	"testing"
	"time"
)

// A young purchase waits for its first poll; the polls of old ones are spread over
// their interval, of neighbours too.
func TestFirst(t *testing.T) {
	s := Schedule{{time.Minute, 5 * time.Second}, {5 * time.Minute, 30 * time.Second}, {0, 5 * time.Minute}}
	now := time.Date(2026, 11, 22, 10, 0, 0, 123, time.UTC)
	for age, want := range map[time.Duration]time.Duration{
		0: 5 * time.Second, 3 * time.Second: 2 * time.Second, 5 * time.Second: 0, 9 * time.Second: 0,
	} {
		if got := s.First(now, now.Add(-age), 77); got != want {
			t.Errorf("of %s: %s, want %s", age, got, want)
		}
	}
	for age, every := range map[time.Duration]time.Duration{
		10 * time.Second: 5 * time.Second, 2 * time.Minute: 30 * time.Second, time.Hour: 5 * time.Minute,
	} {
		const n, parts = 10_000, 10
		var in [parts]int
		for sequence := range uint64(n) {
			first := s.First(now, now.Add(-age), 123_456+sequence)
			if first < 0 || first >= every {
				t.Fatalf("of %s: %s", age, first)
			}
			in[first*parts/every]++
		}
		for i, n := range in {
			if n < 800 || n > 1200 {
				t.Errorf("of %s: %d of 10,000 in part %d of 10", age, n, i)
			}
		}
	}
	// Asked again, it is the same moment.
	old, at := now.Add(-time.Hour), time.Duration(0)
	for passed := time.Duration(0); passed < 20*time.Minute; passed += 7 * time.Second {
		next := passed + s.First(now.Add(passed), old, 9)
		if passed > 0 && next != at && next != at+5*time.Minute {
			t.Errorf("due at %s, and %s later at %s", at, passed, next)
		}
		at = next
	}
	if got := (Schedule{{0, 0}}).First(now, old, 5); got != 0 {
		t.Errorf("of no interval: %s", got)
	}
	if s.Longest() != 5*time.Minute {
		t.Errorf("the longest time is %s", s.Longest())
	}
}
