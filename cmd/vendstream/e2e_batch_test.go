package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/simulator"
)

// command runs a command with the stack's configuration until it ends.
func (s *stack) command(code int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*patience)
	defer cancel()
	stdout, stderr, got := runUntil(ctx, env{}, append(args, "--config", s.config)...)
	if got != code {
		s.t.Fatalf("%s: code %d, want %d; stdout %q, stderr %q", args, got, code, stdout, stderr)
	}
	return stdout, stderr
}

func (s *stack) requests() uint64 {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), s.subjects.RequestsStream())
	if err != nil {
		s.t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

// Two accounts, every kind of end, and a reference that was used before.
func TestBatchEndToEnd(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	s.daemon("serve")
	s.publish("acme", electricity("used"))
	s.result("acme", "used")
	s.publish("acme", electricity("known"))
	s.result("acme", "known")
	var text strings.Builder
	text.WriteString("account,productCode,amount,paymentMethod,meterNumber,merchantReference\n")
	for i := range 30 {
		fmt.Fprintf(&text, "%s,ELE-FLS-001,200.00,cash,000001020001,b-%d\n", []string{"acme", "beta", ""}[i%3], i)
	}
	text.WriteString(",ELE-FLS-001,100.00,cash,000001020001,used\n") // another amount
	text.WriteString(",ELE-FLS-001,200,cash,000001020001,known\n")   // the same by value
	text.WriteString("beta,ELE-FLS-001,200,cash,,no meter\n")
	text.WriteString("beta,ELE-FLS-001,200,cash,000001020001,sim-failed\n")
	text.WriteString("beta,ELE-FLS-001,200,cash,000001020001,sim-pending-failed\n")
	text.WriteString("acme,ELE-FLS-001,200,cash,000001020001,sim-pending\n")
	in := writeFile(t, "in.csv", text.String())
	stdout, _ := s.command(lifecycle.FailedPurchases, "batch", in, "--account", "acme", "-o", "csv")
	want := "account,status,rows,sum\nacme,COMPLETED,22,4400.00\nacme,DEAD,1,100.00\nbeta,COMPLETED,10,2000.00\nbeta,FAILED,3,600.00\n"
	if stdout != want {
		t.Errorf("%s", stdout)
	}
	rows := resultRows(t, in+".results.csv")
	if len(rows) != 36 {
		t.Errorf("%d lines", len(rows))
	}
	for key, row := range rows {
		account, ref, _ := strings.Cut(key, "/")
		if row["status"] == "DEAD" {
			continue
		}
		r := s.result(account, ref)
		if string(r.Status) != row["status"] || r.TransactionID != row["transactionId"] || string(r.Receipt) != row["receipt"] || string(r.Source) != row["source"] {
			t.Errorf("%v is not %+v", row, r)
		}
	}
	if row := rows["acme/used"]; row["status"] != "DEAD" || row["deadReason"] != "conflict" || row["detail"] == "" {
		t.Errorf("%v", row)
	}
	before := s.requests()
	if again, _ := s.command(lifecycle.FailedPurchases, "batch", in, "--account", "acme", "-o", "csv"); again != want || s.requests() != before {
		t.Errorf("%s, %d requests after %d", again, s.requests(), before)
	}
	s.settled()
}

// The program is killed again and again in the middle of a batch. In the end every
// row is vended once and has one line.
func TestBatchKilled(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	if err := s.vendor.Order(simulator.Fault{
		Match: simulator.Match{Prefix: "k-"}, Times: -1,
		Steps: []simulator.Step{{Latency: simulator.Duration(50 * time.Millisecond)}},
	}); err != nil {
		t.Fatal(err)
	}
	s.daemon("serve")
	const n = 1500
	var text strings.Builder
	for i := range n {
		text.WriteString(electricity(fmt.Sprintf("k-%d", i)) + "\n")
	}
	in := writeFile(t, "in.jsonl", text.String())
	for kill := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "batch", in, "--account", "acme", "--config", s.config, "--rate", "2000")
		cmd.Env = append(os.Environ(), asProgram+"=1")
		cmd.Stdout, cmd.Stderr = s.logs, s.logs
		before := s.requests()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The first two while it submits, the others while it waits.
		if kill < 2 {
			eventually(t, "some more are submitted", func() error {
				if now := s.requests(); now < before+200 {
					return fmt.Errorf("%d after %d", now, before)
				}
				return nil
			})
		} else {
			s.calls(simulator.EndpointPurchase, int64(n/4*(kill-1)))
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	s.command(0, "batch", in, "--account", "acme")
	rows := resultRows(t, in+".results.csv")
	for i := range n {
		ref := fmt.Sprintf("k-%d", i)
		row, e := rows["acme/"+ref], s.entry("acme", ref)
		if row["status"] != "COMPLETED" || row["transactionId"] != e.TransactionID || e.Vends != 1 {
			t.Errorf("%s: %v, vended %d times as %s", ref, row, e.Vends, e.TransactionID)
		}
	}
	if len(rows) != n {
		t.Errorf("%d lines", len(rows))
	}
	s.settled()
	s.noDeadLetters()
}

// The server goes away while rows are submitted and awaited.
func TestBatchSurvivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	s.daemon("serve")
	const n = 600
	var text strings.Builder
	for i := range n {
		text.WriteString(electricity(fmt.Sprintf("n-%d", i)) + "\n")
	}
	in := writeFile(t, "in.jsonl", text.String())
	type end struct {
		stderr string
		code   int
	}
	ended := make(chan end, 1)
	go func() {
		_, stderr, code := runUntil(t.Context(), env{}, "batch", in, "--account", "acme", "--config", s.config, "--rate", "300")
		ended <- end{stderr, code}
	}()
	for restart := range 2 {
		s.calls(simulator.EndpointPurchase, int64(100*(restart+1)))
		s.nats.Stop()
		s.nats.Start()
	}
	select {
	case got := <-ended:
		if got.code != 0 {
			t.Fatalf("%+v", got)
		}
	case <-time.After(2 * patience):
		t.Fatal("it does not end")
	}
	if rows := resultRows(t, in+".results.csv"); len(rows) != n {
		t.Errorf("%d lines", len(rows))
	}
	s.settled()
	s.noDeadLetters()
}

// A purchase for an account that nobody knew becomes one after the account is
// configured and its dead letter redriven.
func TestRedriveEndToEnd(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{Accounts: []simulator.Account{
		{Username: "acme", Password: "acme-secret"}, {Username: "beta", Password: "beta-secret"}, {Username: "gamma", Password: "gamma-secret"},
	}}, "")
	_, stop := s.daemon("serve")
	first := s.publish("gamma", electricity("lost-1"), "Nats-Msg-Id", "gamma/lost-1", "Vendstream-Lookup", "true")
	second := s.publish("gamma", electricity("lost-2"))
	expired := s.publish("gamma", electricity("too-late"), "Vendstream-Expires-At", "2020-01-01T00:00:00Z")
	for _, sequence := range []uint64{first, second, expired} {
		s.deadLetter("gamma", sequence)
	}
	stdout, _ := s.command(lifecycle.Failed, "dead", "redrive", fmt.Sprint(first))
	if !strings.Contains(stdout, "account gamma is not configured: it would only die again") {
		t.Errorf("%s", stdout)
	}
	stop()
	s.replaceInConfig("  - {name: beta, base_url: ", "  - {name: gamma, base_url: ")
	s.replaceInConfig("username: beta, password: beta-secret", "username: gamma, password: gamma-secret")
	s.daemon("serve")
	_, stderr := s.command(lifecycle.Usage, "dead", "redrive", "--reason", "unknown_account", "--account", "gamma")
	if !strings.Contains(stderr, "these are 3 dead letters: add --yes") {
		t.Errorf("%s", stderr)
	}
	before := s.requests()
	stdout, _ = s.command(0, "dead", "redrive", "--reason", "unknown_account", "--dry-run", "-o", "csv")
	if strings.Count(stdout, "would redrive") != 3 || s.requests() != before {
		t.Errorf("%s", stdout)
	}
	stdout, _ = s.command(0, "dead", "redrive", "--reason", "unknown_account", "--yes", "-o", "csv")
	if want := fmt.Sprintf("gamma,%d,unknown_account,redriven,%d,\n", first, before+1); !strings.Contains(stdout, want) || strings.Count(stdout, ",redriven,") != 3 {
		t.Errorf("%s", stdout)
	}
	for _, ref := range []string{"lost-1", "lost-2"} {
		if r := s.result("gamma", ref); r.Status != "COMPLETED" || s.entry("gamma", ref).Vends != 1 {
			t.Errorf("%+v", r)
		}
	}
	if r := s.result("gamma", "too-late"); r.Failure == nil || r.Failure.Class != "expired" {
		t.Errorf("%+v", r)
	}
	// Once more at once: the server has it already.
	stdout, _ = s.command(0, "dead", "redrive", fmt.Sprint(first), "-o", "csv")
	if !strings.Contains(stdout, fmt.Sprintf("gamma,%d,unknown_account,duplicate,%d,\n", first, before+1)) {
		t.Errorf("%s", stdout)
	}
	s.deadLetter("gamma", first) // it stays
}
