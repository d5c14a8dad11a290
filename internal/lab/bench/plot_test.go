package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func measuredAt(latency time.Duration, inFlight int, ours, theirs []float64) *measured {
	m := &measured{point: point{latency, inFlight}, values: map[string]*pair{}}
	for i := range ours {
		m.add(vendstream, figures{measureRate: ours[i], measureCPU: 1e6 / ours[i]})
		m.add(bare, figures{measureRate: theirs[i], measureCPU: 1e6 / theirs[i]})
	}
	return m
}

func TestPlot(t *testing.T) {
	drawn := plot([]*measured{
		measuredAt(0, 256, []float64{8000, 9000, 7000}, []float64{10_000, 11_000, 9_000}),
		measuredAt(0, 1, []float64{1000, 1100, 900}, []float64{2000, 2100, 1900}),
		measuredAt(20*time.Millisecond, 1, []float64{40, 41, 42}, []float64{45, 44, 46}),
	})
	kinds := map[string]int{}
	var texts []string
	var lines []string
	for d := xml.NewDecoder(strings.NewReader(string(drawn))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("no XML: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			kinds[e.Name.Local]++
			for _, a := range e.Attr {
				if e.Name.Local == "polyline" && a.Name.Local == "points" {
					lines = append(lines, a.Value)
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			texts = append(texts, strings.TrimSpace(string(e)))
		}
	}
	// Two latencies, two measures, two lines each; a circle for every point.
	if kinds["polyline"] != 8 || kinds["circle"] != 12 {
		t.Errorf("%v", kinds)
	}
	for _, want := range []string{
		"purchases a second, API latency 0s", "µs of CPU for a purchase, API latency 20ms",
		"vendstream", "bare loop", "in flight", "256", "20000",
	} {
		if !slices.Contains(texts, want) {
			t.Errorf("no %q among %q", want, texts)
		}
	}
	// vendstream's rate without latency: from left to right, and from low to high.
	points := strings.Fields(lines[0])
	if len(points) != 2 {
		t.Fatalf("line %q", lines[0])
	}
	xy := func(point string) (x, y float64) {
		left, right, _ := strings.Cut(point, ",")
		x, _ = strconv.ParseFloat(left, 64)
		y, _ = strconv.ParseFloat(right, 64)
		return x, y
	}
	x1, y1 := xy(points[0])
	x2, y2 := xy(points[1])
	if x1 >= x2 || y1 <= y2 || y2 < marginRest || y1 > panelHeight-marginRest {
		t.Errorf("line %q", lines[0])
	}
}

// With nothing to draw there is still a picture, and nothing is divided by zero.
func TestPlotOfNothing(t *testing.T) {
	zero := &measured{point: point{0, 1}, values: map[string]*pair{measureRate: {{0}, {0}}}}
	for _, all := range [][]*measured{nil, {zero}} {
		drawn := string(plot(all))
		if !strings.Contains(drawn, "<svg") || strings.Contains(drawn, "NaN") || strings.Contains(drawn, "Inf") {
			t.Errorf("%s", drawn)
		}
	}
}

func TestRoundUp(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, -3: 1, 1: 1, 1.1: 2, 2.2: 2.5, 4: 5, 5.1: 10, 11_000: 20_000, 0.03: 0.05} {
		if got := roundUp(v); got < want*0.999 || got > want*1.001 {
			t.Errorf("%v: %v, want %v", v, got, want)
		}
	}
}
