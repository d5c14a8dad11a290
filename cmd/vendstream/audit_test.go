package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
)

// ackAll acknowledges n requests of an account by hand.
func (p *pipeline) ackAll(account string, n int) {
	p.t.Helper()
	c, err := p.js.Consumer(p.t.Context(), "PURCHASES_REQUESTS", account)
	if err != nil {
		p.t.Fatal(err)
	}
	for range n {
		m, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
		if err == nil {
			err = m.DoubleAck(p.t.Context())
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	if stdout, stderr := p.run(0, "audit"); !strings.HasPrefix(stdout, "ACCOUNT") || !strings.Contains(stderr, "no requests from") {
		t.Errorf("stdout %s, stderr %s", stdout, stderr)
	}
	if _, err := p.js.Publish(t.Context(), "purchases.requests.acme", []byte(body("open"))); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := p.run(0, "audit", "--since", "1h", "--verbose")
	if !strings.Contains(stdout, "waiting") || !strings.Contains(stdout, "open") || !strings.Contains(stderr, "acme: 1 requests: 1 waiting") {
		t.Errorf("stdout %s, stderr %s", stdout, stderr)
	}

	p.ackAll("acme", 1)
	file := filepath.Join(t.TempDir(), "findings.jsonl")
	stdout, stderr = p.run(lifecycle.Failed, "audit", "-o", "json", "--report", file)
	var report auditReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if report.Accounted || len(report.Findings) != 1 || report.Findings[0].Sequence != 1 || report.Accounts[0].Counts["unaccounted"] != 1 {
		t.Errorf("%s", stdout)
	}
	if !strings.Contains(stderr, "not every request is accounted for") {
		t.Errorf("stderr %s", stderr)
	}
	written, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(written), `"merchantReference":"open"`) || strings.Contains(string(written), "productCode") {
		t.Errorf("%v: %s", err, written)
	}
	csv, _ := p.run(lifecycle.Failed, "audit", "-o", "csv", "--account", "acme")
	if lines := strings.Split(csv, "\n"); len(lines) != 3 || lines[0] != strings.Join(findingColumns, ",") || !strings.HasPrefix(lines[1], "acme,1,unaccounted,open,") {
		t.Errorf("%s", csv)
	}
	if lines, _ := p.run(lifecycle.Failed, "audit", "-o", "jsonl"); !strings.Contains(lines, `{"record":"account","account":"acme"`) || !strings.Contains(lines, `{"record":"finding","account":"acme"`) {
		t.Errorf("%s", lines)
	}

	if dry, _ := p.run(lifecycle.Failed, "audit", "--repair", "--dry-run"); !strings.Contains(dry, "would be published again") {
		t.Errorf("%s", dry)
	}
	if done, _ := p.run(lifecycle.Failed, "audit", "--repair"); !strings.Contains(done, "published again as request 2") {
		t.Errorf("%s", done)
	}
	if _, stderr := p.run(0, "audit"); !strings.Contains(stderr, "1 waiting, 1 repaired") {
		t.Errorf("stderr %s", stderr)
	}
	request, err := purchase.Parse([]byte(body("open")), purchase.Account{Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	result := request.Refuse(purchase.Expired(), purchase.Ending{RequestedAt: time.Now()})
	if _, err := p.store.PublishResult(t.Context(), &result, ""); err != nil {
		t.Fatal(err)
	}
	p.run(0, "audit", "--until", "0s", "--since", time.Now().Add(-time.Hour).Format(time.RFC3339))
}

func TestAuditUsage(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	for _, args := range [][]string{
		{"--since", "yesterday"}, {"--until", "-1h"}, {"--since", "1h", "--until", "2h"}, {"--dry-run"}, {"--account", "A"}, {"extra"},
	} {
		p.run(lifecycle.Usage, append([]string{"audit"}, args...)...)
	}
	p.run(lifecycle.Failed, "audit", "--report", filepath.Join(t.TempDir(), "no", "such", "place"))
}
