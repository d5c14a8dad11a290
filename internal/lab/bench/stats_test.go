package bench

import (
	"math"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{3, 1, 2}, spread{2, 1, 3}},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}},
		{[]float64{5, 5, 1, 9, 5}, spread{5, 1, 9}},
	} {
		before := append([]float64{}, c.values...)
		if got := spreadOf(c.values); got == nil || *got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
		for i := range before {
			if c.values[i] != before[i] {
				t.Errorf("the rounds were put in another order: %v", c.values)
			}
		}
	}
	if spreadOf(nil) != nil {
		t.Error("a spread of nothing")
	}
}

func TestRatiosGoRoundByRound(t *testing.T) {
	got := ratios([]float64{10, 30, 5, 7}, []float64{20, 10, 0})
	if len(got) != 2 || got[0] != 0.5 || got[1] != 3 {
		t.Errorf("%v", got)
	}
}

func TestPercentile(t *testing.T) {
	values := make([]time.Duration, 0, 200)
	for i := 200; i > 0; i-- {
		values = append(values, time.Duration(i))
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 100, 0.99: 198, 1: 200} {
		if got := percentile(values, share); got != want {
			t.Errorf("%v: %d, want %d", share, got, want)
		}
	}
	if got := percentile([]time.Duration{4}, 0.99); got != 4 {
		t.Errorf("of one value: %d", got)
	}
	if got := percentile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}

// epoch is any time.
var epoch = time.Date(2026, 4, 21, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return epoch.Add(d) }

func TestMiddleLeavesStartAndEndOut(t *testing.T) {
	// A slow start and a slow end around one result every 10 ms.
	times := []time.Time{at(0), at(5 * time.Second)}
	for i := range 17 {
		times = append(times, at(2*time.Second+time.Duration(i)*10*time.Millisecond))
	}
	times = append(times, at(time.Second)) // out of order
	got := middle(times)
	if got.purchases != 15 || math.Abs(got.rate()-100) > 1e-9 {
		t.Errorf("%+v at %v a second", got, got.rate())
	}
	for _, n := range []int{0, 1} {
		if got := middle(make([]time.Time, n)); got.purchases != 0 || got.rate() != 0 || got.cpu(nil, 0) != 0 {
			t.Errorf("of %d results: %+v", n, got)
		}
	}
}

func TestCPUOfAWindow(t *testing.T) {
	samples := []sample{
		{at(0), []time.Duration{100, 0}},
		{at(10), []time.Duration{200, 50}},
		{at(20), []time.Duration{600, 50}},
	}
	for when, want := range map[time.Duration]time.Duration{-5: 100, 0: 100, 5: 150, 10: 200, 15: 400, 20: 600, 99: 600} {
		if got := cpuAt(samples, 0, at(when)); got != want {
			t.Errorf("at %d: %d, want %d", when, got, want)
		}
	}
	w := window{from: at(5), to: at(15), purchases: 5}
	if got := w.cpu(samples, 0); got != 50 {
		t.Errorf("one process: %d", got)
	}
	if got := w.cpu(samples, 0, 1); got != 55 {
		t.Errorf("both: %d", got)
	}
	if got := cpuAt(nil, 0, epoch); got != 0 {
		t.Errorf("without samples: %d", got)
	}
}

func TestBacklogAndPlan(t *testing.T) {
	o := Options{
		Purchases: 20_000, Rounds: 2, Light: 200,
		Latencies: []time.Duration{0, 200 * time.Millisecond}, InFlight: []int{4, 64},
	}
	for _, c := range []struct {
		at   point
		want int
	}{
		{point{0, 64}, 20_000},
		{point{200 * time.Millisecond, 64}, 1920},
		{point{10 * time.Second, 64}, 320},
		{point{time.Millisecond, 64}, 20_000},
	} {
		if got := o.backlog(c.at); got != c.want {
			t.Errorf("%+v: %d, want %d", c.at, got, c.want)
		}
	}
	runs := o.plan("path")
	prefixes := map[string]bool{}
	counts := map[bool]int{}
	for i, r := range runs {
		prefixes[r.prefix] = true
		counts[r.light]++
		if r.light && r.inFlight != 64 {
			t.Errorf("light load with %d in flight", r.inFlight)
		}
		if first := i%2 == 0; first != (r.subject == vendstream) != (r.round == 1) {
			t.Errorf("run %d of round %d is %s", i, r.round, r.subject)
		}
	}
	if len(prefixes) != len(runs) || counts[true] != 8 || counts[false] != 16 {
		t.Errorf("%d prefixes, %v", len(prefixes), counts)
	}
}
