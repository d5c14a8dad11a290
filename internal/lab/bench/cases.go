package bench

import (
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/vendstream/vendstream/internal/output"
)

// measure is a quantity of a report of cases.
type measure struct {
	name, unit string
	digits     int // behind the point
}

// cases are what was measured of several cases, a value for each round. They are
// the report of everything here but the bench itself, which compares two programs.
type cases struct {
	measures []measure // in the order of the report
	all      []*oneCase
}

// oneCase is a case, and the one that its ratios are to; "" for none.
type oneCase struct {
	name, to string
	values   map[string][]float64 // by the name of the measure
}

// add notes a round of a case.
func (c *cases) add(name, to string, f figures) {
	one := c.find(name)
	if one == nil {
		one = &oneCase{name: name, to: to, values: map[string][]float64{}}
		c.all = append(c.all, one)
	}
	for what, value := range f {
		one.values[what] = append(one.values[what], value)
	}
}

func (c *cases) find(name string) *oneCase {
	if at := slices.IndexFunc(c.all, func(one *oneCase) bool { return one.name == name }); at >= 0 {
		return c.all[at]
	}
	return nil
}

// caseRecord is one line of the report. Ratio is to the same measure of the case
// RatioTo, round by round.
type caseRecord struct {
	Case    string  `json:"case"`
	Measure string  `json:"measure"`
	Unit    string  `json:"unit"`
	Rounds  int     `json:"rounds"`
	Figure  *spread `json:"figure"`
	RatioTo string  `json:"ratio_to"` // "" where there is none
	Ratio   *spread `json:"ratio"`    // null where there is none, or the other's figures are 0

	digits int
}

func (c *cases) records() []caseRecord {
	var all []caseRecord
	for _, one := range c.all {
		other := c.find(one.to)
		for _, what := range c.measures {
			values := one.values[what.name]
			if len(values) == 0 {
				continue
			}
			r := caseRecord{Case: one.name, Measure: what.name, Unit: what.unit, Rounds: len(values), Figure: spreadOf(values), digits: what.digits}
			// A measure that one of them lacks in a round cannot be paired by rounds.
			if other != nil && len(other.values[what.name]) == len(values) {
				r.RatioTo, r.Ratio = one.to, spreadOf(ratios(values, other.values[what.name]))
			}
			all = append(all, r)
		}
	}
	return all
}

var (
	caseColumns      = []string{"case", "measure", "unit", "rounds", "figure", "figure_min", "figure_max", "ratio_to", "ratio", "ratio_min", "ratio_max"}
	caseTableColumns = []string{"case", "measure", "unit", "figure", "ratio", "to"}
)

// print writes the report.
func (c *cases) print(out io.Writer, format output.Format) error {
	names := caseColumns
	if format == output.Table {
		names = caseTableColumns
	}
	w := output.NewWriter(out, format, names...)
	for _, r := range c.records() {
		if err := w.Record(r, r.cells(format)); err != nil {
			return err
		}
	}
	return w.Close()
}

// spoiled prints what was measured before something went wrong: the runs are long.
func (c *cases) spoiled(err error, out io.Writer, format output.Format) error {
	if len(c.all) == 0 {
		return err
	}
	return errors.Join(err, c.print(out, format))
}

func (r caseRecord) cells(format output.Format) []string {
	if format == output.Table {
		to := ""
		if r.Ratio != nil {
			to = r.RatioTo
		}
		return []string{r.Case, r.Measure, r.Unit, r.Figure.text(r.digits), r.Ratio.text(2), to}
	}
	cells := []string{r.Case, r.Measure, r.Unit, strconv.Itoa(r.Rounds)}
	cells = append(cells, r.Figure.cells()...)
	cells = append(cells, r.RatioTo)
	return append(cells, r.Ratio.cells()...)
}

// text is a median with its spread, or the only value there is.
func (s *spread) text(digits int) string {
	if s == nil {
		return ""
	}
	median := number(s.Median, digits)
	if s.Min == s.Max {
		return median
	}
	return median + " (" + number(s.Min, digits) + "–" + number(s.Max, digits) + ")"
}

func (s *spread) cells() []string {
	if s == nil {
		return []string{"", "", ""}
	}
	return []string{number(s.Median, -1), number(s.Min, -1), number(s.Max, -1)}
}
