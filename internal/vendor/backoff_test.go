package vendor

import (
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
)

func delays(p RetryPolicy) []time.Duration {
	var all []time.Duration
	for b := p.NewBackOff(); len(all) < 100; {
		d := b.NextBackOff()
		if d == backoff.Stop {
			break
		}
		all = append(all, d)
	}
	return all
}

func TestRetryPolicyWithoutJitterIsTheRule(t *testing.T) {
	got := delays(RetryPolicy{Base: time.Second, Max: 60 * time.Second, Attempts: 9})
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	if len(got) != len(want) {
		t.Fatalf("%d delays, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i]*time.Second {
			t.Errorf("delay %d is %s, want %s", i+1, got[i], want[i]*time.Second)
		}
	}
}

// The jitter is around the capped delay: the last ones lie on both sides of it.
func TestRetryPolicyJitterIsAroundTheCappedDelay(t *testing.T) {
	const rounds = 400
	below, above := 0, 0
	for range rounds {
		got := delays(RetryPolicy{Base: time.Second, Max: 10 * time.Second, Jitter: 0.25, Attempts: 7})
		for i, middle := range []time.Duration{1, 2, 4, 8, 10, 10} {
			middle *= time.Second
			if got[i] < middle*3/4 || got[i] > middle*5/4 {
				t.Fatalf("delay %d is %s, outside %s ± 25 %%", i+1, got[i], middle)
			}
		}
		if got[5] < 10*time.Second {
			below++
		} else {
			above++
		}
	}
	if below < rounds/4 || above < rounds/4 {
		t.Errorf("of %d capped delays %d are below the cap and %d above", rounds, below, above)
	}
}

func TestRetryPolicyDefaults(t *testing.T) {
	if got := (RetryPolicy{}).withDefaults(); got != (RetryPolicy{time.Second, time.Minute, 0.25, 5}) {
		t.Errorf("the zero policy is %+v", got)
	}
	if n := len(delays(RetryPolicy{})); n != 4 {
		t.Errorf("5 attempts have %d delays between them, want 4", n)
	}
	if n := len(delays(RetryPolicy{Attempts: 1})); n != 0 {
		t.Errorf("1 attempt has %d delays, want 0", n)
	}
	if got := delays(RetryPolicy{Base: time.Minute, Max: time.Second, Attempts: 3}); got[0] != time.Second {
		t.Errorf("a base above the cap waits %s, want the cap", got[0])
	}
	if got := (RetryPolicy{Jitter: 7, Attempts: 2}).withDefaults().Jitter; got != 1 {
		t.Errorf("a jitter of 7 became %v, want 1", got)
	}
}

func TestRetryPolicyIsFreshForEachOperation(t *testing.T) {
	p := RetryPolicy{Base: time.Second, Max: time.Minute, Attempts: 2}
	if a, b := delays(p), delays(p); len(a) != 1 || len(b) != 1 {
		t.Errorf("two operations had %d and %d delays, want 1 each", len(a), len(b))
	}
}
