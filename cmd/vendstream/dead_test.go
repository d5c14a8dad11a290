package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
)

func TestDeadList(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	if stdout, _ := p.run(0, "dead", "list"); strings.Join(strings.Fields(stdout), " ") != "ACCOUNT SEQUENCE REASON DETAIL TIME BYTES" {
		t.Errorf("an empty list: %q", stdout)
	}
	if stdout, _ := p.run(0, "dead", "list", "-o", "json"); stdout != "[]\n" {
		t.Errorf("an empty list: %q", stdout)
	}
	p.bury("acme", 7, purchase.ReasonConflict, "{}")
	p.bury("stranger", 8, purchase.ReasonUnknownAccount, "12345")
	p.bury("acme", 9, purchase.ReasonMalformed, "")
	for args, want := range map[string]string{
		"":                                     "7 8 9",
		"--account acme":                       "7 9",
		"--account nobody":                     "",
		"--reason unknown_account":             "8",
		"--limit 2":                            "8 9",
		"--limit 1 --account acme":             "9",
		"--limit 5 --reason conflict":          "7",
		"--limit 1 --reason invalid_reference": "",
	} {
		stdout, _ := p.run(0, append([]string{"dead", "list", "-o", "json"}, strings.Fields(args)...)...)
		var list []deadRow
		if err := json.Unmarshal([]byte(stdout), &list); err != nil {
			t.Fatal(err)
		}
		got := make([]string, 0, len(list))
		for _, row := range list {
			got = append(got, string(rune('0'+row.Sequence)))
			if row.Sequence == 8 && (row.Account != "stranger" || row.Bytes != 5 || row.Time.IsZero() || row.Reason != "unknown_account") {
				t.Errorf("%+v", row)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %s, want %s", args, got, want)
		}
	}
	stdout, _ := p.run(0, "dead", "list")
	if strings.Contains(stdout, "\x1b") || !strings.Contains(stdout, `said\x1b[2J why`) {
		t.Errorf("%q", stdout)
	}
}

func TestDeadShow(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.bury("stranger", 8, purchase.ReasonUnknownAccount, `{"a": 1.0, "a": "<"}`)
	p.bury("acme", 9, purchase.ReasonMalformed, "\xff\x00")
	show := func(args ...string) (d deadLetter) {
		t.Helper()
		stdout, _ := p.run(0, append([]string{"dead", "show"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := show("8")
	if d.Account != "stranger" || d.Encoding != "utf-8" || d.Body != `{"a": 1.0, "a": "<"}` || d.Reason != "unknown_account" || d.Detail == "" ||
		d.Headers["Vendstream-Original-Nats-Msg-Id"][0] != "acme/r" || d.Headers["Vendstream-Stream-Sequence"][0] != "8" {
		t.Errorf("%+v", d)
	}
	if d := show("9", "--account", "acme"); d.Encoding != "base64" || d.Body != "/wA=" {
		t.Errorf("%+v", d)
	}
	if stdout, _ := p.run(0, "dead", "show", "9", "-o", "table"); !strings.Contains(stdout, "ENCODING  base64\n") || strings.Contains(stdout, "\x1b") {
		t.Errorf("%q", stdout)
	}
	for _, args := range [][]string{{"10"}, {"8", "--account", "acme"}} {
		stdout, stderr := p.run(lifecycle.Failed, append([]string{"dead", "show"}, args...)...)
		if stdout != "" || !strings.Contains(stderr, "there is no dead letter of request "+args[0]) {
			t.Errorf("stdout %q, stderr %q", stdout, stderr)
		}
	}
}
