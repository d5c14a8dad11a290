package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

// listed is what `accounts list` says of an account.
func (s *stack) listed(account string) (row struct{ State, Cause, Reason, By string }) {
	s.t.Helper()
	out, _ := s.command(0, "accounts", "list", "--output", "jsonl")
	for line := range strings.Lines(out) {
		var named struct{ Account string }
		if err := json.Unmarshal([]byte(line), &named); err != nil {
			s.t.Fatal(err)
		}
		if named.Account == account {
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return row
}

func TestPauseAndResumeAnAccount(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	addr, _ := s.daemon("consumer")
	s.command(0, "accounts", "pause", "acme", "--reason", "the books", "--by", "ops")
	if row := s.listed("acme"); row.State != "paused" || row.Cause != "operator" || row.Reason != "the books" || row.By != "ops" {
		t.Fatalf("%+v", row)
	}
	if row := s.listed("beta"); row.State != "open" {
		t.Fatalf("%+v", row)
	}
	eventually(t, "the pause is shown", func() error {
		if metric(t, addr, `vendstream_paused{account="acme",reason="operator"}`) != 1 {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	s.publish("acme", airtime("held"))
	s.publish("beta", airtime("other"))
	s.result("beta", "other") // the other account works on
	out, _ := s.command(0, "status", "--account", "acme", "--output", "csv")
	if !strings.Contains(out, "paused: operator") {
		t.Errorf("status does not say so:\n%s", out)
	}
	if e := s.entry("acme", "held"); e.Calls != 0 {
		t.Fatalf("a paused account was called: %+v", e)
	}
	if _, told := s.command(0, "accounts", "resume", "acme"); !strings.Contains(told, "resumed") {
		t.Fatal(told)
	}
	if r := s.result("acme", "held"); r.Status != purchase.StatusCompleted {
		t.Errorf("%+v", r)
	}
	if _, told := s.command(0, "accounts", "resume", "acme"); !strings.Contains(told, "was not paused") {
		t.Error(told)
	}
	s.settled()
}

func TestAPausedAccountStaysPausedOverARestart(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	s.provision()
	s.command(0, "accounts", "pause", "acme", "--reason", "the books")
	s.publish("acme", airtime("held"))
	s.publish("beta", airtime("other"))
	s.daemon("serve")
	s.result("beta", "other")
	if e := s.entry("acme", "held"); e.Calls != 0 {
		t.Fatalf("a paused account was called: %+v", e)
	}
}

func TestInsufficientBalanceHoldsTheAccount(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{Accounts: []simulator.Account{
		{Username: "acme", Password: "acme-secret", Balance: "15.50"}, {Username: "beta", Password: "beta-secret", Balance: "3.25"},
	}}, "")
	s.replaceInConfig(`password: acme-secret,`, `password: acme-secret, on_insufficient_balance: hold,`)
	addr, _ := s.daemon("serve")
	s.publish("acme", electricity("large")) // R200
	eventually(t, "the account is paused", func() error {
		if row := s.listed("acme"); row.State != "paused" || row.Cause != "balance" || row.By != "vendstream" {
			return fmt.Errorf("%+v", row)
		}
		return nil
	})
	s.publish("acme", airtime("small"))
	s.publish("beta", airtime("fails"))
	if r := s.result("beta", "fails"); r.Failure == nil || r.Failure.Class != purchase.ClassBalance {
		t.Fatalf("%+v", r)
	}
	for account, want := range map[string]float64{"acme": 15.5, "beta": 3.25} {
		eventually(t, "the balance is shown", func() error {
			if got := metric(t, addr, fmt.Sprintf("vendstream_available_balance{account=%q}", account)); got != want {
				return fmt.Errorf("%s: %v", account, got)
			}
			return nil
		})
	}
	if err := s.vendor.SetBalance("acme", "1000"); err != nil {
		t.Fatal(err)
	}
	s.command(0, "accounts", "resume", "acme", "--reason", "topped up")
	if r := s.result("acme", "small"); r.Status != purchase.StatusCompleted {
		t.Errorf("%+v", r)
	}
	if r, err := s.store.Result(t.Context(), "acme", "large"); err != nil || r != nil {
		t.Errorf("the purchase that met it was ended: %+v, %v", r, err)
	}
}

// Wrong credentials pause the account after two tries, of all processes together.
func TestWrongCredentialsPauseTheAccount(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	s.replaceInConfig("acme-secret", "wrong")
	s.daemon("consumer")
	s.daemon("poller")
	s.publish("acme", airtime("held"))
	s.publish("beta", airtime("other"))
	eventually(t, "the account is paused", func() error {
		if row := s.listed("acme"); row.State != "paused" || row.Cause != "unauthorized" {
			return fmt.Errorf("%+v", row)
		}
		return nil
	})
	if r := s.result("beta", "other"); r.Status != purchase.StatusCompleted {
		t.Errorf("%+v", r)
	}
	if r, err := s.store.Result(t.Context(), "acme", "held"); err != nil || r != nil {
		t.Errorf("the purchase was ended: %+v, %v", r, err)
	}
}

func TestAccountsUsage(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"accounts", "list"}, 1, "vendstream provision"},
		{[]string{"accounts", "pause", "acme", "--reason", "x"}, 1, "vendstream provision"},
		{[]string{"accounts", "pause", "acme"}, 2, "--reason"},
		{[]string{"accounts", "pause", "acme", "--reason", "  "}, 2, "--reason"},
		{[]string{"accounts", "pause", "acme", "--reason", "a\x1b[2J"}, 2, "one line"},
		{[]string{"accounts", "pause", "acme", "--reason", strings.Repeat("x", 201)}, 2, "200 bytes"},
		{[]string{"accounts", "resume", "acme", "--by", "a\nb"}, 2, "one line"},
		{[]string{"accounts", "pause"}, 2, "ACCOUNT"},
		{[]string{"accounts", "pause", "A B", "--reason", "x"}, 2, "no account's name"},
		{[]string{"accounts", "resume", "A B"}, 2, "no account's name"},
	} {
		if _, told := s.command(c.code, c.args...); !strings.Contains(told, c.says) {
			t.Errorf("%q: %s", c.args, told)
		}
	}
	s.provision()
	if _, told := s.command(2, "accounts", "pause", "nobody", "--reason", "x"); !strings.Contains(told, "--force") {
		t.Error(told)
	}
	if _, told := s.command(0, "accounts", "pause", "nobody", "--reason", "x", "--force"); !strings.Contains(told, "not in this configuration") {
		t.Error(told)
	}
	if row := s.listed("nobody"); row.State != "paused" || row.By == "" {
		t.Errorf("%+v", row)
	}
}
