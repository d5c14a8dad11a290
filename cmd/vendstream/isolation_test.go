package main

import (
	"testing"
	"time"
)

// While one account's calls hang in all its slots, or another is refused at its
// limit with a backlog behind it, a third goes on as if nothing were. The bound is
// wide, for machines that do much else; one that had to wait for a call that
// hangs would wait for seconds. BenchmarkIsolation has the figures.
func TestIsolation(t *testing.T) {
	const purchases, slots, room = 60, 16, 250 * time.Millisecond
	s := newIsolation(t, 1, slots)
	measure := func(name string) time.Duration {
		took := s.measure(purchases, 20*time.Millisecond)
		t.Logf("%s: median %s, 90 %% in %s, 99 %% in %s", name, quantile(took, 0.5), quantile(took, 0.9), quantile(took, 0.99))
		return quantile(took, 0.9)
	}
	quiet := measure("alone")
	s.publishMany(limited, 200, 10)
	s.refused()
	if took := measure("beside a limited account"); took > 3*quiet+room {
		t.Errorf("beside a limited account %s, alone %s", took, quiet)
	}
	if n := s.waiting(limited); n == 0 {
		t.Error("the limited account had no backlog")
	}
	s.publishMany(noisy, 10*slots, hangs)
	s.full(noisy, 1)
	took := measure("beside an account that hangs")
	if took > 3*quiet+room {
		t.Errorf("beside an account that hangs %s, alone %s", took, quiet)
	}
	if n := s.waiting(noisy); n < 9*slots {
		t.Errorf("the account that hangs has %d purchases left", n)
	}
}
