package bench

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Sizes of the plot in SVG units.
const (
	panelWidth  = 460
	panelHeight = 300
	marginLeft  = 70
	marginRest  = 42
)

// curve is what one subject gave for one measure over the in-flight.
type curve struct {
	name   string
	colour string
	at     []float64 // in flight
	values []spread
}

// plot draws rate and processor time against in-flight, a row of both for every
// latency. The lines join medians; the bars go from the least to the most.
func plot(all []*measured) []byte {
	var latencies []time.Duration
	for _, m := range all {
		if !slices.Contains(latencies, m.latency) {
			latencies = append(latencies, m.latency)
		}
	}
	slices.Sort(latencies)
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#fff"/>`+"\n", 2*panelWidth, max(1, len(latencies))*panelHeight)
	for row, latency := range latencies {
		for column, what := range []struct{ measure, title string }{
			{measureRate, "purchases a second"}, {measureCPU, "µs of CPU for a purchase"},
		} {
			fmt.Fprintf(&out, `<g transform="translate(%d,%d)">`+"\n", column*panelWidth, row*panelHeight)
			panel(&out, fmt.Sprintf("%s, API latency %s", what.title, latency), curves(all, latency, what.measure))
			out.WriteString("</g>\n")
		}
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// curves are those of both subjects.
func curves(all []*measured, latency time.Duration, measure string) []curve {
	both := []curve{{name: vendstream.String(), colour: "#c0392b"}, {name: bare.String(), colour: "#2c3e50"}}
	sorted := slices.SortedFunc(slices.Values(all), func(a, b *measured) int { return cmp.Compare(a.inFlight, b.inFlight) })
	for _, m := range sorted {
		values := m.values[measure]
		if m.latency != latency || values == nil {
			continue
		}
		for who := range both {
			if s := spreadOf(values[who]); s != nil {
				both[who].at = append(both[who].at, float64(m.inFlight))
				both[who].values = append(both[who].values, *s)
			}
		}
	}
	return both
}

// axes turn figures into places: in-flight by its logarithm, the value from 0.
type axes struct{ fromX, toX, toY float64 }

func axesOf(all []curve) axes {
	a := axes{fromX: math.Inf(1), toX: math.Inf(-1)}
	for _, c := range all {
		for i, x := range c.at {
			a.fromX, a.toX = min(a.fromX, math.Log2(x)), max(a.toX, math.Log2(x))
			a.toY = max(a.toY, c.values[i].Max)
		}
	}
	a.toY = roundUp(a.toY)
	return a
}

// roundUp is the next of 1, 2, 2.5, 5 and 10 times a power of ten; 1 for 0.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 2.5, 5} {
		if v <= step*unit {
			return step * unit
		}
	}
	return 10 * unit
}

func (a axes) x(inFlight float64) float64 {
	const width = panelWidth - marginLeft - marginRest/2
	if a.toX <= a.fromX {
		return marginLeft + width/2
	}
	return marginLeft + width*(math.Log2(inFlight)-a.fromX)/(a.toX-a.fromX)
}

func (a axes) y(value float64) float64 {
	return panelHeight - marginRest - (panelHeight-2*marginRest)*value/a.toY
}

func panel(out *bytes.Buffer, title string, all []curve) {
	a := axesOf(all)
	label(out, panelWidth/2, 18, "middle", "#000", title)
	label(out, panelWidth/2, panelHeight-8, "middle", "#000", "in flight")
	const grid = 5
	for i := range grid + 1 {
		value := a.toY * float64(i) / grid
		fmt.Fprintf(out, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>`+"\n", marginLeft, panelWidth-marginRest/2, a.y(value), a.y(value))
		label(out, marginLeft-6, a.y(value)+4, "end", "#000", strconv.FormatFloat(value, 'f', -1, 64))
	}
	var marked []float64
	for n, c := range all {
		label(out, marginLeft+8+float64(n)*110, marginRest-8, "start", c.colour, c.name)
		var line bytes.Buffer
		for i, inFlight := range c.at {
			x, v := a.x(inFlight), c.values[i]
			fmt.Fprintf(&line, "%.1f,%.1f ", x, a.y(v.Median))
			fmt.Fprintf(out, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x, x, a.y(v.Min), a.y(v.Max), c.colour)
			fmt.Fprintf(out, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x, a.y(v.Median), c.colour)
			if !slices.Contains(marked, inFlight) {
				marked = append(marked, inFlight)
				label(out, x, panelHeight-marginRest+16, "middle", "#000", strconv.FormatFloat(inFlight, 'f', -1, 64))
			}
		}
		fmt.Fprintf(out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", bytes.TrimSpace(line.Bytes()), c.colour)
	}
}

func label(out *bytes.Buffer, x, y float64, anchor, colour, text string) {
	fmt.Fprintf(out, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">`, x, y, anchor, colour)
	_ = xml.EscapeText(out, []byte(text)) // a buffer takes everything
	out.WriteString("</text>\n")
}
