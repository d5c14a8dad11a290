package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/lifecycle"
)

// asProgram makes the test binary vendlab itself, for the processes that bench and
// chaos start; asOther makes it a program of others.
const (
	asProgram = "VENDLAB_TEST_AS_PROGRAM"
	asOther   = "other"
)

func init() {
	switch os.Getenv(asProgram) {
	case "":
	case asOther:
		otherMain(os.Args[1:])
	default:
		main()
	}
}

// benchSpread and benchRecord are what a reader of the report knows of it.
type benchSpread struct{ Median, Min, Max float64 }

type benchRecord struct {
	LatencyMS  float64 `json:"latency_ms"`
	InFlight   int     `json:"in_flight"`
	Measure    string
	Unit       string
	Rounds     int
	Vendstream *benchSpread
	Bare       *benchSpread
	Ratio      *benchSpread
}

// The real thing in small: servers and programs as processes, the built vendstream.
func TestBench(t *testing.T) {
	binary := buildVendstream(t)
	t.Setenv(asProgram, "1")
	drawing := filepath.Join(t.TempDir(), "bench.svg")
	stdout, stderr, code := runCommand(t, "bench", "--quick", "--vendstream", binary, "--purchases", "400",
		"--in-flight", "8,64", "--light-for", "300ms", "--whole-result", "--output", "json", "--plot", drawing)
	if code != lifecycle.Done {
		t.Fatalf("code %d\n%s", code, stderr)
	}
	var records []benchRecord
	if err := json.Unmarshal([]byte(stdout), &records); err != nil {
		t.Fatalf("%v in\n%s", err, stdout)
	}
	got := map[int][]string{}
	for _, r := range records {
		got[r.InFlight] = append(got[r.InFlight], r.Measure)
		// Of a run as short as this, processor time may be too little to be seen, and
		// all of it may lie between two looks at the heap.
		seen := !strings.HasPrefix(r.Measure, "cpu") && r.Measure != "allocations"
		if r.LatencyMS != 0 || r.Unit == "" || r.Rounds != 1 || seen && (r.Vendstream == nil || r.Bare == nil) {
			t.Errorf("%+v", r)
			continue
		}
		if r.Vendstream == nil || r.Bare == nil {
			continue
		}
		if seen && (r.Vendstream.Median <= 0 || r.Bare.Median <= 0) {
			t.Errorf("%s: %v, %v", r.Measure, *r.Vendstream, *r.Bare)
		}
		if r.Bare.Median != 0 {
			if want := r.Vendstream.Median / r.Bare.Median; r.Ratio == nil || math.Abs(r.Ratio.Median-want) > 1e-9*math.Abs(want) {
				t.Errorf("%s: ratio %v, want %v", r.Measure, r.Ratio, want)
			}
		}
	}
	for inFlight, want := range map[int]string{
		8:  "rate cpu cpu_all cpu_nats cpu_redis allocations memory start",
		64: "rate cpu cpu_all cpu_nats cpu_redis allocations memory start light_p50 light_p99",
	} {
		if have := strings.Join(got[inFlight], " "); have != want {
			t.Errorf("%d in flight: %s, want %s", inFlight, have, want)
		}
	}
	svg, err := os.ReadFile(drawing)
	if err != nil || !strings.HasPrefix(string(svg), "<svg") || strings.Count(string(svg), "<polyline") != 4 {
		t.Errorf("%v, the plot is\n%s", err, svg)
	}
}

// A program that does not work is told with what it said.
func TestBenchOfABrokenProgram(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no disk >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv(asProgram, "1")
	stdout, stderr, code := runCommand(t, "bench", "--quick", "--vendstream", broken)
	if code != lifecycle.Failed || !strings.Contains(stderr, "exit status 3") || !strings.Contains(stderr, "no disk") || stdout != "" {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
}

func TestBenchWithoutRedis(t *testing.T) {
	t.Setenv(asProgram, "1")
	t.Setenv("PATH", t.TempDir())
	_, stderr, code := runCommand(t, "bench", "--quick", "--vendstream", os.Args[0])
	if code != lifecycle.Failed || !strings.Contains(stderr, "redis-server is not in the PATH") {
		t.Errorf("code %d\n%s", code, stderr)
	}
}
