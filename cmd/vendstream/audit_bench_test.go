package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/publisher"
)

// BenchmarkAudit measures `vendstream audit`, as a process of its own, over requests
// that have results, but for one in a thousand that waits on the stream. The requests
// are 20,000; AUDIT_REQUESTS=1000000 gives the size that
// docs/reliability.md has figures for.
func BenchmarkAudit(b *testing.B) {
	n := 20_000
	if testing.Short() {
		n = 1000
	}
	if text := os.Getenv("AUDIT_REQUESTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatalf("AUDIT_REQUESTS: %v", err)
		}
	}
	server := servertest.NATS(b)
	missing := fillForAudit(b, server, n)
	config := filepath.Join(b.TempDir(), "config.yml")
	text := fmt.Sprintf("nats: {url: %q}\nlog: {level: error}\naccounts: [{name: acme, username: u, password: p}]\n", server.URL())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var peak int64
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), os.Args[0], "audit", "--config", config, "--since", "24h", "-o", "json")
		cmd.Env = append(os.Environ(), asProgram+"=1")
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		for waiting := true; waiting; {
			select {
			case err := <-done:
				if code := cmd.ProcessState.ExitCode(); err != nil && code != 1 {
					b.Fatalf("audit: %v", err)
				}
				waiting = false
			case <-time.After(50 * time.Millisecond):
				peak = max(peak, peakMemory(cmd.Process.Pid))
			}
		}
		var report auditReport
		if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Accounts) != 1 {
			b.Fatalf("%v: %.2000s", err, out.Bytes())
		}
		counts := report.Accounts[0].Counts
		if counts["settled"] != uint64(n-missing) || counts["waiting"] != uint64(missing) {
			b.Fatalf("counted %v of %d", counts, n)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(peak)/1024, "MB-peak")
}

// peakMemory is the most that a process has had in memory, in KB; 0 where the
// system does not tell, as on a Mac.
func peakMemory(pid int) (kilobytes int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(text, &kilobytes)
		}
	}
	return kilobytes
}

// fillForAudit stores n requests and their results, and says how many have none.
func fillForAudit(b *testing.B, server *servertest.NATSServer, n int) (missing int) {
	_, js := server.Connect()
	topology := broker.Topology{Replicas: 1, Results: 90 * 24 * time.Hour, AckWait: time.Minute, Accounts: []string{"acme"}}
	if _, err := broker.Ensure(b.Context(), js, topology); err != nil {
		b.Fatal(err)
	}
	var subjects publisher.Subjects
	store := func(subject string, body []byte) {
		if _, err := js.PublishAsync(subject, body, jetstream.WithStallWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	for i := range n {
		reference := fmt.Sprintf("order-%08d", i)
		text := []byte(body(reference))
		store(subjects.Requests("acme"), text)
		if i%1000 == 999 {
			missing++
			continue
		}
		request, err := purchase.Parse(text, purchase.Account{Name: "acme"})
		if err != nil {
			b.Fatal(err)
		}
		result, err := request.Settle(purchase.Outcome{Kind: purchase.Completed, TransactionID: "t"},
			purchase.Ending{Source: purchase.SourcePurchase, RequestedAt: time.Unix(1, 0), ResolvedAt: time.Unix(2, 0)})
		if err != nil {
			b.Fatal(err)
		}
		encoded, err := result.Encode()
		if err != nil {
			b.Fatal(err)
		}
		store(subjects.Result("acme", reference), encoded)
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		b.Fatal("not all of it was stored")
	}
	return missing
}
