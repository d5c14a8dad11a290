package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/lifecycle"
)

// studied is what a reader of the reports of cases knows of a line.
type studied struct {
	Case, Measure, Unit string
	Rounds              int
	Figure, Ratio       *benchSpread
	RatioTo             string `json:"ratio_to"`
}

// study runs a measurement in small and returns its figures by case and measure.
func study(t *testing.T, args ...string) map[string]studied {
	t.Helper()
	t.Setenv(asProgram, "1")
	dir := t.TempDir()
	args = append([]string{"bench"}, args...)
	stdout, stderr, code := runCommand(t, append(args, "--rounds", "1", "--dir", dir, "--output", "json")...)
	if code != lifecycle.Done {
		t.Fatalf("code %d\n%s", code, stderr)
	}
	var records []studied
	if err := json.Unmarshal([]byte(stdout), &records); err != nil {
		t.Fatalf("%v in\n%s", err, stdout)
	}
	got := map[string]studied{}
	for _, r := range records {
		if r.Unit == "" || r.Rounds != 1 || r.Figure == nil {
			t.Errorf("%+v", r)
			continue
		}
		got[r.Case+": "+r.Measure] = r
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%v; left behind: %v", err, left)
	}
	return got
}

// above holds measures against the least that they can be.
func above(t *testing.T, got map[string]studied, least float64, names ...string) {
	t.Helper()
	for _, name := range names {
		if r, there := got[name]; !there || r.Figure.Median <= least {
			t.Errorf("%s: %+v, %+v", name, r, r.Figure)
		}
	}
}

func buildVendstream(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "vendstream")
	build := exec.Command("go", "build", "-o", binary, "github.com/vendstream/vendstream/cmd/vendstream")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return binary
}

func TestBenchLedger(t *testing.T) {
	got := study(t, "ledger", "--results", "300", "--lookups", "20")
	for _, name := range []string{"subject each", "message id"} {
		above(t, got, 0, name+": publish_rate", name+": publish_first", name+": publish_last", name+": disk", name+": memory_filled",
			name+": memory_started", name+": hit_p50", name+": recent_p99", name+": miss_p50", name+": restart", name+": restart_killed")
	}
	if r := got["subject each: disk"]; r.RatioTo != "message id" || r.Ratio == nil {
		t.Errorf("%+v", r)
	}
	// A result has a body of more than 400 bytes.
	above(t, got, 400, "subject each: disk_each")
}

func TestBenchPoller(t *testing.T) {
	got := study(t, "poller", "--vendstream", buildVendstream(t), "--pending", "50,100", "--every", "1s", "--during", "2s", "--latency", "1ms", "--lead", "1s")
	for _, name := range []string{"50 pending, nats", "100 pending, nats", "50 pending, redis", "100 pending, redis"} {
		above(t, got, 0, name+": taken_up", name+": polls", name+": late_max", name+": memory_poller", name+": memory_nats", name+": settle")
		if r := got[name+": settled"]; r.Figure == nil || r.Figure.Median != 100 {
			t.Errorf("%+v", r)
		}
		if r := got[name+": early"]; r.Figure == nil || r.Figure.Median != 0 {
			t.Errorf("%+v: a purchase was polled before it was due", r)
		}
	}
	if r := got["100 pending, redis: late_max"]; r.RatioTo != "50 pending, redis" {
		t.Errorf("%+v", r)
	}
}

func TestBenchProcesses(t *testing.T) {
	got := study(t, "processes", "--vendstream", buildVendstream(t), "--quick", "--cluster", "--processes", "1,2",
		"--in-flight", "8", "--latency", "20ms", "--for", "300ms")
	for _, servers := range []string{"", ", 1 nats-server synced", ", cluster of 3 synced"} {
		for _, number := range []string{"1 consumer", "2 consumers"} {
			above(t, got, 0, number+servers+": rate", number+servers+": of_possible", number+servers+": memory")
		}
		if r := got["2 consumers"+servers+": rate"]; r.RatioTo != "1 consumer"+servers || r.Ratio == nil {
			t.Errorf("%+v", r)
		}
	}
}

func TestBenchAccounts(t *testing.T) {
	got := study(t, "accounts", "--vendstream", buildVendstream(t), "--accounts", "2,5", "--for", "2s")
	for _, name := range []string{"2 accounts", "5 accounts"} {
		above(t, got, 0, name+": ready", name+": ready_again", name+": memory", name+": goroutines", name+": pulls", name+": memory_nats")
	}
}

func TestBenchClaims(t *testing.T) {
	got := study(t, "claims", "--claims", "1000")
	// The least is what a record says, the most a hash that lost its compact form.
	for _, state := range []string{"claimed", "pending", "settled"} {
		above(t, got, 100, state+": memory_each")
		if r := got[state+": memory_each"]; r.Figure != nil && r.Figure.Median > 550 {
			t.Errorf("%s takes %.0f bytes", state, r.Figure.Median)
		}
	}
}

func TestBenchStudiesOfWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"ledger", "--results", "1"},
		{"ledger", "--lookups", "0"},
		{"ledger", "--rounds", "0"},
		{"ledger", "--dir", "/does/not/exist"},
		{"ledger", "--output", "xml"},
		{"poller", "--pending", "0"},
		{"poller", "--due", "memory"},
		{"poller", "--pending", "10", "--every", "10ms"},
		{"poller", "--vendstream", "/does/not/exist"},
		{"processes", "--processes", "0"},
		{"processes", "--latency", "0s"},
		{"accounts", "--accounts", "0"},
		{"accounts", "--for", "0s"},
		{"claims", "--claims", "1"},
		{"claims", "more"},
	} {
		stdout, stderr, code := runCommand(t, append([]string{"bench"}, args...)...)
		if code != lifecycle.Usage || stdout != "" || !strings.HasPrefix(stderr, "vendlab: ") {
			t.Errorf("%v: code %d\n%s%s", args, code, stdout, stderr)
		}
	}
}
