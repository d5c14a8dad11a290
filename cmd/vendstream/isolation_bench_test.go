package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// BenchmarkIsolation measures how long one account's purchases take, from publish
// to result, while another account makes trouble: the purchases come at 100 a
// second, the vendor takes 20 to 50 ms for each. Each iteration is a round of all
// phases, so `-benchtime 5x` (make isolation) gives five; every phase is held
// against the quiet one of its own round. Everything runs on this machine: the
// vendor, NATS and the load are in the test's process, redis-server and the
// vendstream processes have their own. In the first minute of its life a consumer
// asks NATS for more than later, so the first round is a little worse than the rest.
func BenchmarkIsolation(b *testing.B) {
	counts := []int{1, 2}
	if testing.Short() {
		counts = counts[:1]
	}
	for _, processes := range counts {
		b.Run(fmt.Sprintf("processes=%d", processes), func(b *testing.B) { benchmarkIsolation(b, processes) })
	}
}

const (
	isolationSlots = 64 // max_in_flight's default
	isolationRate  = 100
)

// isolationSize is how long a phase is, and how large the backlog in it. With
// -short, which only sees that the benchmark runs, both are small.
func isolationSize() (span time.Duration, backlog int) {
	if testing.Short() {
		return 300 * time.Millisecond, 500
	}
	return 5 * time.Second, 100_000
}

// phase is one kind of trouble, which begin makes and end takes away.
type phase struct {
	name  string
	begin func()
	end   func()
}

func (s *isolation) phases(processes int) []phase {
	backlog := func(milliseconds ...int) func() {
		return func() {
			_, size := isolationSize()
			s.publishMany(noisy, size, milliseconds...)
		}
	}
	quiet := func() { s.quieten(noisy) }
	return []phase{
		{"nothing", func() {}, func() {}},
		{"the other hangs", func() { s.publishMany(noisy, 1000, hangs); s.full(noisy, processes) }, quiet},
		{"the other is limited", func() { s.publishMany(limited, 1000, 10); s.refused() }, func() { s.quieten(limited) }},
		// The processes together take 640 a second at most.
		{"a backlog, the vendor takes 100 ms", backlog(100 * processes), quiet},
		// As many as the machine can do.
		{"a backlog, the vendor takes 0 to 20 ms", backlog(0, 5, 10, 15, 20), quiet},
	}
}

// measured is one phase of one round.
type measured struct {
	p50, p99 time.Duration
	busy     float64 // share of the machine's processors, -1 where it is not known
	rate     float64 // purchases of the other accounts, per second
	left     int     // of the backlog, at the end
}

func benchmarkIsolation(b *testing.B, processes int) {
	s := newIsolation(b, processes, isolationSlots)
	phases := s.phases(processes)
	if testing.Short() {
		phases = phases[:1]
	}
	rounds := make([][]measured, len(phases))
	b.ResetTimer()
	for b.Loop() {
		for i, p := range phases {
			p.begin()
			rounds[i] = append(rounds[i], s.round())
			p.end()
		}
	}
	b.StopTimer()
	s.report(b, phases, rounds)
}

func (s *isolation) round() measured {
	var m measured
	before := s.waiting(noisy) + s.waiting(limited)
	cpu, at := readProcessors(), time.Now()
	span, _ := isolationSize()
	took := s.measure(int(isolationRate*span.Seconds()), time.Second/isolationRate)
	m.busy = cpu.busySince()
	m.left = s.waiting(noisy) + s.waiting(limited)
	m.rate = float64(before-m.left) / time.Since(at).Seconds()
	m.p50, m.p99 = quantile(took, 0.5), quantile(took, 0.99)
	return m
}

// report prints a line for each phase: medians over the rounds, and the ratios to
// the first phase of the same round.
func (s *isolation) report(b *testing.B, phases []phase, rounds [][]measured) {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "while\tp50\tp99\tp99 to quiet\tlowest\thighest\tothers/s\tleft\tmachine busy")
	for i, p := range phases {
		var ratios []float64
		for round, m := range rounds[i] {
			ratios = append(ratios, m.p99.Seconds()/rounds[0][round].p99.Seconds())
		}
		slices.Sort(ratios)
		fmt.Fprintf(table, "%s\t%.1f ms\t%.1f ms\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f %%\n", p.name,
			1e3*median(rounds[i], func(m measured) float64 { return m.p50.Seconds() }),
			1e3*median(rounds[i], func(m measured) float64 { return m.p99.Seconds() }),
			ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1],
			median(rounds[i], func(m measured) float64 { return m.rate }),
			median(rounds[i], func(m measured) float64 { return float64(m.left) }),
			100*median(rounds[i], func(m measured) float64 { return m.busy }))
		if i > 0 {
			b.ReportMetric(ratios[len(ratios)/2], "p99-ratio:"+strings.ReplaceAll(p.name, " ", "-"))
		}
	}
	if err := table.Flush(); err != nil {
		b.Fatal(err)
	}
	span, _ := isolationSize()
	b.Logf("medians of %d rounds of %d purchases a phase\n%s", len(rounds[0]), int(isolationRate*span.Seconds()), text.String())
}

func median(all []measured, of func(measured) float64) float64 {
	values := make([]float64, len(all))
	for i, m := range all {
		values[i] = of(m)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// processors is what the machine's processors have done so far, as Linux tells it.
type processors struct{ idle, all float64 }

func readProcessors() processors {
	var p processors
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p // not Linux: not known
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		ticks, _ := strconv.ParseFloat(field, 64) // the first is a name
		p.all += ticks
		if i == 4 || i == 5 { // idle and waiting for a disk
			p.idle += ticks
		}
	}
	return p
}

func (p processors) busySince() float64 {
	now := readProcessors()
	if now.all == p.all {
		return -1
	}
	return 1 - (now.idle-p.idle)/(now.all-p.all)
}
