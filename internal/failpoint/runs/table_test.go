package runs

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/failpoint"
)

// cell is what came of the runs of one action at one point.
type cell struct {
	runs, broken, late int
	recoveries         []time.Duration
}

func (c *cell) add(other *cell) {
	c.runs += other.runs
	c.broken += other.broken
	c.late += other.late
	c.recoveries = append(c.recoveries, other.recoveries...)
}

// quantile of the recoveries, in seconds.
func (c *cell) quantile(q float64) float64 {
	if len(c.recoveries) == 0 {
		return 0
	}
	slices.Sort(c.recoveries)
	return c.recoveries[int(q*float64(len(c.recoveries)-1))].Seconds()
}

// table collects the outcomes of all runs.
type table struct {
	mu    sync.Mutex
	cells map[string]map[failpoint.Action]*cell // by point
}

func newTable() *table { return &table{cells: map[string]map[failpoint.Action]*cell{}} }

func (t *table) add(point string, action failpoint.Action, out outcome, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cells[point] == nil {
		t.cells[point] = map[failpoint.Action]*cell{}
	}
	c := t.cells[point][action]
	if c == nil {
		c = &cell{}
		t.cells[point][action] = c
	}
	c.runs++
	c.late += out.late
	if err != nil {
		c.broken++
		return
	}
	c.recoveries = append(c.recoveries, out.recovery)
}

var actions = []failpoint.Action{failpoint.Die, failpoint.Pause, failpoint.Error, failpoint.Lose}

// write prints the sums by action, and then a line for each point, in Markdown.
func (t *table) write(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := func(name string, action failpoint.Action, c *cell) {
		_, _ = fmt.Fprintf(w, "| %s | %s | %d | %d | %.1f s | %.1f s | %.1f s |\n",
			name, action, c.runs, c.broken, c.quantile(0.5), c.quantile(0.99), c.quantile(1))
	}
	const head = "| %s | action | runs | violations | recovery p50 | p99 | max |\n|---|---|---|---|---|---|---|\n"
	late := 0
	_, _ = fmt.Fprintf(w, head, "effects of")
	for _, role := range []string{"consumer", "poller", "strays", "vendor", "pauses", "publisher", ""} {
		for _, action := range actions {
			sum, points := &cell{}, 0
			for point, of := range t.cells {
				if c := of[action]; c != nil && strings.HasPrefix(point, role) {
					sum.add(c)
					points++
				}
			}
			if role == "" {
				late += sum.late
			}
			if points > 0 {
				name := role
				if name == "" {
					name = "all"
				}
				row(fmt.Sprintf("%s, %d points", name, points), action, sum)
			}
		}
	}
	_, _ = fmt.Fprintf(w, "\nPurchase calls by a process that was paused between its last look and the call: %d\n\n", late)
	_, _ = fmt.Fprintf(w, head, "point")
	for _, point := range failpoint.Points() {
		for _, action := range actions {
			if c := t.cells[point][action]; c != nil {
				row("`"+point+"`", action, c)
			}
		}
	}
}
