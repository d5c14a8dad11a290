package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/output"
)

func sampleReport() []*measured {
	m := measuredAt(20*time.Millisecond, 64, []float64{100, 300, 200}, []float64{200, 300, 400})
	m.add(vendstream, figures{measureP50: 1.5})
	m.add(bare, figures{measureP50: 0})
	return []*measured{m}
}

func TestReportFormats(t *testing.T) {
	var out bytes.Buffer
	if err := print(&out, output.JSON, sampleReport()); err != nil {
		t.Fatal(err)
	}
	var records []record
	if err := json.Unmarshal(out.Bytes(), &records); err != nil {
		t.Fatal(err)
	}
	rate := records[0]
	if len(records) != 3 || rate.Measure != measureRate || rate.Latency != 20 || rate.InFlight != 64 || rate.Rounds != 3 ||
		*rate.Vendstream != (spread{200, 100, 300}) || *rate.Bare != (spread{300, 200, 400}) || *rate.Ratio != (spread{0.5, 0.5, 1}) {
		t.Errorf("%+v", rate)
	}
	// Nothing is divided by zero.
	if p50 := records[2]; p50.Measure != measureP50 || p50.Ratio != nil || p50.Vendstream.Median != 1.5 {
		t.Errorf("%+v", p50)
	}

	out.Reset()
	if err := print(&out, output.CSV, sampleReport()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%v, %v", rows, err)
	}
	if got := strings.Join(rows[1], " "); got != "20 64 rate purchases/s 3 200 100 300 300 200 400 0.5 0.5 1" {
		t.Errorf("%s", got)
	}

	out.Reset()
	if err := print(&out, output.Table, sampleReport()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"20ms", "200 (100–300)", "0.50 (0.50–1.00)", "1.50 (1.50–1.50)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
