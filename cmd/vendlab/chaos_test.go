package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/lab/chaos"
	"github.com/vendstream/vendstream/internal/lifecycle"
)

// A small storm of every part: kills, a Redis failover, cut connections, a full
// stream. The promises hold, and the report says what was done.
func TestChaos(t *testing.T) {
	t.Setenv(asProgram, "1")
	dir := filepath.Join(t.TempDir(), "chaos")
	stdout, stderr, code := runCommand(t, "chaos", "--purchases", "300", "--faults", "8", "--every", "1500ms",
		"--consumers", "2", "--pollers", "1", "--seed", "3", "--no-disk", "--dir", dir, "--output", "json",
		"--only", "kill-consumer,kill-poller,kill-redis-primary,flush-redis,cut-nats,cut-redis,cut-vendor,full-results")
	if code != lifecycle.Done {
		t.Fatalf("code %d\n%s", code, stderr)
	}
	var r chaos.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	faults := 0
	for _, n := range r.Faults {
		faults += n
	}
	if r.Results != 300 || r.Acknowledged == 0 || r.Seed != 3 || faults != 8 || r.Open != 0 || r.Vends == 0 || len(r.Breaches) != 0 ||
		r.Versions["redis"] == "" || r.Versions["nats-server"] == "" || r.Latency.Count == 0 {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(stderr, "all kept") {
		t.Errorf("standard error:\n%s", stderr)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is still there: %v", err)
	}
}

// A run in which a promise did not hold fails, and keeps its evidence.
func TestChaosFails(t *testing.T) {
	t.Setenv(asProgram, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	dir := filepath.Join(t.TempDir(), "chaos")
	err = chaos.Run(t.Context(), chaos.Options{
		Purchases: 20, Faults: 2, Every: 500 * time.Millisecond, Consumers: 1, Pollers: 1, Seed: 1,
		Simple: true, NoDisk: true, Kinds: []chaos.Kind{chaos.FlushRedis}, Dir: dir,
		NATSServer: []string{self, "nats-server"}, Stdout: &stdout, Stderr: &stderr,
		Tamper: func(e *chaos.Evidence) { e.Results = e.Results[1:] },
	})
	if !errors.Is(err, chaos.ErrBroken) || !strings.Contains(stderr.String(), "has 0 results") || !strings.Contains(stderr.String(), dir) || stdout.Len() > 0 {
		t.Errorf("%v\n%s%s", err, &stdout, &stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "daemons", "consumer-1.log")); err != nil {
		t.Errorf("the evidence is gone: %v", err)
	}
}

func TestChaosUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--purchases", "0"}, {"--every", "0s"}, {"--only", "earthquake"}, {"--output", "csv"},
	} {
		if _, stderr, code := runCommand(t, append([]string{"chaos"}, args...)...); code != lifecycle.Usage {
			t.Errorf("%v: code %d\n%s", args, code, stderr)
		}
	}
}
