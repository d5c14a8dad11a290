package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
)

func TestDeadRedriveUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                                       "name the dead letters by SEQUENCE, or choose them with --reason",
		"1 --reason conflict":                    "SEQUENCE and --reason cannot be given together",
		"x":                                      `SEQUENCE: "x" is not a whole number`,
		"0":                                      `SEQUENCE: "0" is not`,
		"--reason late":                          `--reason: "late" must be one of`,
		"--reason malformed":                     "malformed can only die again: have the sender mend it, or add --force",
		"--reason conflict":                      "conflict can only die again: the reference stays the other purchase's",
		"--reason unknown_account --account A.b": `"A.b" is no account's name`,
	} {
		stdout, stderr, code := runCommand(t, acme(nil), append([]string{"dead", "redrive"}, strings.Fields(args)...)...)
		if code != lifecycle.Usage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestDeadRedrive(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.bury("acme", 7, purchase.ReasonUnknownAccount, body("a"))
	p.bury("stranger", 8, purchase.ReasonUnknownAccount, body("b"))
	p.bury("acme", 9, purchase.ReasonMalformed, "{")
	p.bury("acme", 10, purchase.ReasonUnknownAccount, body("c"))

	// Nothing is done where one of them must not be.
	_, stderr := p.run(lifecycle.Usage, "dead", "redrive", "7", "9", "--yes")
	if !strings.Contains(stderr, "9 is malformed and can only die again") || p.messages() != 0 {
		t.Errorf("%q", stderr)
	}
	_, stderr = p.run(lifecycle.Usage, "dead", "redrive", "7", "10")
	if !strings.Contains(stderr, "these are 2 dead letters: add --yes") || p.messages() != 0 {
		t.Errorf("%q", stderr)
	}
	// Those that can be redriven are, whatever becomes of the others.
	stdout, stderr := p.run(lifecycle.Failed, "dead", "redrive", "7", "8", "11", "10", "10", "--yes", "-o", "csv")
	want := "account,sequence,reason,outcome,request,detail\nacme,7,unknown_account,redriven,1,\n" +
		"stranger,8,unknown_account,failed,,account stranger is not configured: it would only die again\n" +
		",11,,failed,,there is no dead letter of this request\nacme,10,unknown_account,redriven,2,\n"
	if stdout != want || !strings.Contains(stderr, "2 of 4 dead letters are not back to work") {
		t.Errorf("%s%s", stdout, stderr)
	}
	m := p.requested(1)
	if string(m.Body) != body("a") || m.Header["Nats-Msg-Id"][0] != "redrive/acme/7" || m.Header["Vendstream-Reason"] != nil || m.Header["Vendstream-Original-Nats-Msg-Id"] != nil {
		t.Errorf("%+v", m)
	}
	stdout, _ = p.run(0, "dead", "redrive", "--reason", "malformed", "--force", "-o", "jsonl")
	if stdout != `{"account":"acme","sequence":9,"reason":"malformed","outcome":"redriven","request":3}`+"\n" {
		t.Errorf("%s", stdout)
	}
	if stdout, _ = p.run(0, "dead", "redrive", "--reason", "too_large", "--force", "-o", "json"); stdout != "[]\n" {
		t.Errorf("%s", stdout)
	}

	// A conflict is one again, however often it is redriven.
	p.bury("acme", 12, purchase.ReasonConflict, body("d"))
	if _, stderr = p.run(lifecycle.Usage, "dead", "redrive", "12"); !strings.Contains(stderr, "have the sender submit it under a new reference, or add --force; nothing was redriven") {
		t.Errorf("%q", stderr)
	}

	// Of a body that was cut, and whose original is gone, nobody has the whole.
	p.bury("acme", 20, purchase.ReasonTooLarge, strings.Repeat("x", 1<<20))
	for _, more := range []string{"--dry-run", "--yes"} {
		stdout, _ = p.run(lifecycle.Failed, "dead", "redrive", "20", "--force", more)
		if !strings.Contains(stdout, "the original is no longer in the requests stream") {
			t.Errorf("%s: %s", more, stdout)
		}
	}
	if n := p.messages(); n != 3 {
		t.Error(fmt.Sprint(n, " requests"))
	}
}
