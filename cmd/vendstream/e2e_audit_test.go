package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/app"
	"github.com/vendstream/vendstream/internal/audit"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/simulator"
)

// auditor is an audit as the command has it.
func (s *stack) auditor() audit.Config {
	s.t.Helper()
	cfg, _, err := config.Load(config.Options{Environ: []string{"VENDSTREAM_CONFIG=" + s.config}})
	if err != nil {
		s.t.Fatal(err)
	}
	return app.Audit(cfg, s.js, s.store)
}

// Audited over and over while purchases are under way, nobody is accused falsely.
func TestAuditUnderLoad(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	s.daemon("serve")
	s.daemon("serve")
	const n = 1000
	published := make(chan struct{})
	go func() {
		defer close(published)
		for i := range n {
			text := airtime(fmt.Sprintf("load-%d", i))
			switch i % 10 {
			case 3:
				text = electricity(fmt.Sprintf("sim-pending-%d", i))
			case 5:
				text = strings.Replace(airtime(fmt.Sprintf("load-%d", i-1)), "10.00", "11.00", 1) // a conflict
			case 7:
				text = airtime(fmt.Sprintf("load-%d", i-1)) // a repeat
			case 9:
				text = "malformed"
			}
			account := []string{"acme", "beta", "nobody"}[min(i%3, i%31)]
			if _, err := s.js.PublishAsync(s.subjects.Requests(account), []byte(text), jetstream.WithStallWait(patience)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	a := s.auditor()
	began := time.Now().Add(-time.Hour)
	looks, open := 0, true
	deadline := time.Now().Add(patience)
	for ; open; looks++ {
		report, err := a.Run(t.Context(), audit.Scope{Since: began, Until: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if !report.Accounted() {
			t.Fatalf("falsely accused: %+v", report.Findings)
		}
		judged, waiting := uint64(0), uint64(0)
		for account, counts := range report.Counts {
			judged += report.Requests(account)
			waiting += counts[audit.Waiting] + counts[audit.Pending]
		}
		select {
		case <-published:
			open = judged < n || waiting > 0
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d requests judged, %d open", judged, n, waiting)
		}
	}
	t.Logf("%d audits", looks)
	s.settled()
}

// What was lost is put back to work and ends as it would have, and is vended once.
func TestRepairedPurchase(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "audit: {every: 500ms}\n")
	addr, _ := s.daemon("serve")
	s.publish("acme", electricity("lost"))
	s.publish("acme", airtime("kept"))
	s.result("acme", "lost")
	s.result("acme", "kept")
	s.settled()
	stream, err := s.js.Stream(t.Context(), s.subjects.ResultsStream())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(s.subjects.Result("acme", "lost"))); err != nil {
		t.Fatal(err)
	}
	if code := conclude(s.logs, run(t.Context(), []string{"audit", "--repair", "--config", s.config}, env{Stdout: s.logs, Stderr: s.logs})); code != 1 {
		t.Fatalf("exit code %d\n%s", code, s.logs)
	}
	if r := s.result("acme", "lost"); r.Status != "COMPLETED" {
		t.Errorf("%+v", r)
	}
	s.settled()
	if report, err := s.auditor().Run(t.Context(), audit.Scope{Since: time.Now().Add(-time.Hour), Until: time.Now()}); err != nil || !report.Accounted() {
		t.Errorf("%+v, %v", report, err)
	}
	eventually(t, "the daemon audits", func() error {
		_, body := get(t, "http://"+addr+"/metrics")
		if series := `vendstream_audit_unaccounted{account="beta"} 0`; !strings.Contains(body, series) {
			return fmt.Errorf("no %s", series)
		}
		return nil
	})
}

// The daemons purge what is settled and old.
func TestHousekeepingInDaemon(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "retention: {requests: 2s}\n")
	addr, _ := s.daemon("consumer")
	s.publish("acme", airtime("old"))
	s.result("acme", "old")
	eventually(t, "the request is purged", func() error {
		stream, err := s.js.Stream(t.Context(), s.subjects.RequestsStream())
		if err == nil && stream.CachedInfo().State.Msgs > 0 {
			err = fmt.Errorf("it is there")
		}
		return err
	})
	if n := metric(t, addr, `vendstream_requests_purged_total{account="acme"}`); n > 1 {
		t.Errorf("%v purged", n)
	}
	s.result("acme", "old")
}
