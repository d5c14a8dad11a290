package telemetry

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLoggerJSON(t *testing.T) {
	var out bytes.Buffer
	log, err := Logger(&out, "info", FormatJSON)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug().Msg("not shown")
	log.Info().Str("account", "acme").Msg("started")
	var line struct{ Time, Level, Message, Account string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	at, err := time.Parse(time.RFC3339Nano, line.Time)
	if err != nil || !strings.HasSuffix(line.Time, "Z") || time.Since(at) > time.Minute {
		t.Errorf("time %q: %v", line.Time, err)
	}
	if line.Level != "info" || line.Message != "started" || line.Account != "acme" {
		t.Errorf("%+v", line)
	}
	if strings.Count(out.String(), `"time"`) != 1 {
		t.Error(out.String())
	}
}

func TestLoggerConsole(t *testing.T) {
	var out bytes.Buffer
	log, err := Logger(&out, "debug", FormatConsole)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug().Msg("started")
	text := out.String()
	if !strings.Contains(text, "DBG started") || strings.Contains(text, "\x1b") || !strings.Contains(text[:12], ":") {
		t.Errorf("%q", text)
	}
}

func TestLoggerRefuses(t *testing.T) {
	for _, c := range []struct{ level, format string }{{"loud", FormatJSON}, {"", FormatJSON}, {"info", "xml"}, {"info", ""}} {
		if _, err := Logger(&bytes.Buffer{}, c.level, c.format); err == nil {
			t.Errorf("%q %q is taken", c.level, c.format)
		}
	}
}

func TestMetrics(t *testing.T) {
	reg := NewRegistry()
	m := NewMetrics(reg)
	m.AddAccount("acme")
	m.Requests.WithLabelValues("acme", "claimed").Inc()
	m.Results.WithLabelValues("acme", "FAILED", "balance", "purchase").Inc()
	m.DeadLetters.WithLabelValues(UnknownAccount, "unknown_account").Inc()
	m.PurchaseTime.WithLabelValues("acme", "COMPLETED").Observe(.3)
	m.VendorCalls.WithLabelValues("acme", "purchase", "success").Inc()
	m.VendorCallTime.WithLabelValues("acme", "purchase").Observe(.3)
	m.Polls.WithLabelValues("acme", "open").Inc()
	m.BreakerState.WithLabelValues("acme", "vendor").Set(BreakerOpen)
	m.Paused.WithLabelValues("acme", "redis").Set(1)
	m.PublishErrors.WithLabelValues("PURCHASES_RESULTS").Inc()
	m.Panics.WithLabelValues("consumer").Inc()

	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, family := range families {
		labels := []string{}
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, pair.GetName())
		}
		got[family.GetName()] = labels // sorted by name
	}
	want := map[string]string{
		"requests_total": "account verdict", "results_total": "account class source status", "dead_letters_total": "account reason",
		"purchase_duration_seconds": "account status", "vendor_calls_total": "account endpoint kind",
		"vendor_call_duration_seconds": "account endpoint", "in_flight": "account", "backlog": "account", "pending": "account",
		"pending_oldest_age_seconds": "account", "duplicates_total": "account", "conflicts_total": "account",
		"escalated_total": "account", "escalated": "account", "contradictions_total": "account", "polls_total": "account kind",
		"breaker_state": "account component", "paused": "account reason", "redelivered_total": "account",
		"publish_errors_total": "stream", "panics_total": "component",
	}
	for name, labels := range want {
		if have, ok := got["vendstream_"+name]; !ok || strings.Join(have, " ") != labels {
			t.Errorf("%s has labels %v, want %s", name, have, labels)
		}
	}
	for _, name := range []string{"go_goroutines", "go_build_info"} {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
	if n := testutil.ToFloat64(m.Contradictions.WithLabelValues("acme")); n != 0 {
		t.Errorf("contradictions begin at %v", n)
	}
}
