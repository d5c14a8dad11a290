package bench

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/vendstream/vendstream/internal/output"
)

// Names of the measures, as the report gives them.
const (
	measureRate        = "rate"
	measureCPU         = "cpu"
	measureCPUAll      = "cpu_all"
	measureCPUNATS     = "cpu_nats"
	measureCPURedis    = "cpu_redis"
	measureAllocations = "allocations"
	measureMemory      = "memory"
	measureStart       = "start"
	measureP50         = "light_p50"
	measureP99         = "light_p99"
)

// measures are all of them, in the order of the report.
var measures = []struct {
	name, unit string
	digits     int // behind the point
}{
	{measureRate, "purchases/s", 0},
	{measureCPU, "µs/purchase", 1},    // of the program
	{measureCPUAll, "µs/purchase", 1}, // with the vendor, nats-server and redis-server
	{measureCPUNATS, "µs/purchase", 1},
	{measureCPURedis, "µs/purchase", 1},
	{measureAllocations, "objects/purchase", 1},
	{measureMemory, "MB", 1}, // most, of the program
	{measureStart, "ms", 0},  // from the start of the program to its first purchase call
	{measureP50, "ms", 2},    // beyond the vendor's latency
	{measureP99, "ms", 2},
}

// pair is what both subjects gave for one measure, a value for each round.
type pair [2][]float64

// measured is all that is known of a point.
type measured struct {
	point
	values map[string]*pair
}

func (m *measured) add(who subject, f figures) {
	for name, value := range f {
		if m.values[name] == nil {
			m.values[name] = &pair{}
		}
		m.values[name][who] = append(m.values[name][who], value)
	}
}

// record is one line of the report. Ratio is vendstream's by the bare loop's,
// round by round.
type record struct {
	Latency    float64 `json:"latency_ms"`
	InFlight   int     `json:"in_flight"`
	Measure    string  `json:"measure"`
	Unit       string  `json:"unit"`
	Rounds     int     `json:"rounds"`
	Vendstream *spread `json:"vendstream"`
	Bare       *spread `json:"bare"`
	Ratio      *spread `json:"ratio"` // null where the bare loop's figures are 0

	digits int
}

// records are the lines about a point.
func (m *measured) records() []record {
	var all []record
	for _, what := range measures {
		p := m.values[what.name]
		if p == nil {
			continue
		}
		all = append(all, record{
			Latency:    float64(m.latency) / float64(time.Millisecond),
			InFlight:   m.inFlight,
			Measure:    what.name,
			Unit:       what.unit,
			Rounds:     len(p[vendstream]),
			Vendstream: spreadOf(p[vendstream]),
			Bare:       spreadOf(p[bare]),
			Ratio:      spreadOf(ratios(p[vendstream], p[bare])),
			digits:     what.digits,
		})
	}
	return all
}

var columns = []string{
	"latency_ms", "in_flight", "measure", "unit", "rounds",
	"vendstream", "vendstream_min", "vendstream_max", "bare", "bare_min", "bare_max", "ratio", "ratio_min", "ratio_max",
}

var tableColumns = []string{"latency", "in flight", "measure", "unit", "vendstream", "bare loop", "ratio"}

// print writes the report. The table joins a median with its spread.
func print(out io.Writer, format output.Format, all []*measured) error {
	names := columns
	if format == output.Table {
		names = tableColumns
	}
	w := output.NewWriter(out, format, names...)
	for _, m := range all {
		for _, r := range m.records() {
			cells := r.cells()
			if format == output.Table {
				cells = r.tableCells(m.latency)
			}
			if err := w.Record(r, cells); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

func (r record) cells() []string {
	cells := []string{number(r.Latency, -1), strconv.Itoa(r.InFlight), r.Measure, r.Unit, strconv.Itoa(r.Rounds)}
	for _, s := range []*spread{r.Vendstream, r.Bare, r.Ratio} {
		if s == nil {
			cells = append(cells, "", "", "")
			continue
		}
		cells = append(cells, number(s.Median, -1), number(s.Min, -1), number(s.Max, -1))
	}
	return cells
}

func (r record) tableCells(latency time.Duration) []string {
	text := func(s *spread, digits int) string {
		if s == nil {
			return ""
		}
		return fmt.Sprintf("%s (%s–%s)", number(s.Median, digits), number(s.Min, digits), number(s.Max, digits))
	}
	return []string{
		latency.String(), strconv.Itoa(r.InFlight), r.Measure, r.Unit,
		text(r.Vendstream, r.digits), text(r.Bare, r.digits), text(r.Ratio, 2),
	}
}

// number is a figure with that many digits behind the point; -1: all.
func number(f float64, digits int) string { return strconv.FormatFloat(f, 'f', digits, 64) }
