package bench

import (
	"math"
	"slices"
	"time"
)

// spread is what several rounds gave for one measure.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf is nil where there is no value.
func spreadOf(values []float64) *spread {
	if len(values) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return &spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1]}
}

// ratios divides round by round: what stands in one round was measured one after
// the other. A round whose divisor is 0 has none.
func ratios(over, under []float64) []float64 {
	var all []float64
	for i := range min(len(over), len(under)) {
		if under[i] != 0 {
			all = append(all, over[i]/under[i])
		}
	}
	return all
}

// percentile is the value below which that share of the values lies, by the
// nearest rank. The values are sorted in place; none gives 0.
func percentile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	rank := int(math.Ceil(share*float64(len(values)))) - 1
	return values[min(max(rank, 0), len(values)-1)]
}

// window is the middle of a run: the time in which the results came of which a
// tenth had come before and a tenth came after. The start, in which connections are
// made, and the end, in which there is less to do than there is room for, are left
// out.
type window struct {
	from, to  time.Time
	purchases int
}

// middle is the window of results by their times, which are sorted in place. It
// has no purchases where there are too few results.
func middle(times []time.Time) window {
	slices.SortFunc(times, time.Time.Compare)
	n := len(times)
	first, last := n/10, n-1-n/10
	if first >= last {
		return window{}
	}
	return window{times[first], times[last], last - first}
}

// rate is in purchases a second.
func (w window) rate() float64 {
	if took := w.to.Sub(w.from); took > 0 {
		return float64(w.purchases) / took.Seconds()
	}
	return 0
}

// sample is what the processes had used by a time.
type sample struct {
	at  time.Time
	cpu []time.Duration // one for each process
}

// cpuAt is what one process had used by a time: between two samples a straight
// line, before the first and after the last what they say.
func cpuAt(samples []sample, process int, at time.Time) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	i, _ := slices.BinarySearchFunc(samples, at, func(s sample, t time.Time) int { return s.at.Compare(t) })
	switch i {
	case 0:
		return samples[0].cpu[process]
	case len(samples):
		return samples[i-1].cpu[process]
	}
	a, b := samples[i-1], samples[i]
	share := float64(at.Sub(a.at)) / float64(b.at.Sub(a.at))
	return a.cpu[process] + time.Duration(share*float64(b.cpu[process]-a.cpu[process]))
}

// cpu is the processor time of some processes for each purchase in the window.
func (w window) cpu(samples []sample, processes ...int) time.Duration {
	if w.purchases == 0 {
		return 0
	}
	var used time.Duration
	for _, p := range processes {
		used += cpuAt(samples, p, w.to) - cpuAt(samples, p, w.from)
	}
	return used / time.Duration(w.purchases)
}
