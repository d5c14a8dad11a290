package main

import (
	"context"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
)

func TestResultsGet(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	// White space and unknown fields show that the stored body is not rewritten.
	stored := `{"merchantReference":"a b", "account":"acme","status":"FAILED","responseCode":"1100","responseMessage":"<no>",` +
		`"failure":{"class":"balance"},"requestDigest":"sha256:x","productCode":"AIR","amount":30.0000,"source":"poll",` +
		`"attempts":2,"requestedAt":"2026-01-01T00:00:00Z","resolvedAt":"2026-01-01T00:00:01.5Z","later":1e3}`
	if _, err := p.js.Publish(t.Context(), "purchases.results.acme."+purchase.Token("a b"), []byte(stored)); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr := p.run(0, "results", "get", "a b"); stdout != stored+"\n" || stderr != "" {
		t.Errorf("stdout %s, stderr %q", stdout, stderr)
	}
	stdout, _ := p.run(0, "results", "get", "a b", "-o", "csv", "--account", "acme")
	if want := strings.Join(resultColumns, ",") + "\n" +
		"acme,a b,FAILED,1100,<no>,balance,AIR,30.0000,,,poll,2,2026-01-01T00:00:00Z,2026-01-01T00:00:01.5Z\n"; stdout != want {
		t.Errorf("got %s, want %s", stdout, want)
	}

	stdout, stderr := p.run(lifecycle.Failed, "results", "get", "nosuch")
	if stdout != "" || !strings.Contains(stderr, "nothing is known of merchantReference nosuch of account acme") {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}

	request, err := purchase.Parse([]byte(body("open")), purchase.Account{Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	h := request.HandOver(purchase.Outcome{Kind: purchase.InFlight}, purchase.Submission{SubmittedAt: time.Unix(0, 0)})
	if _, err := p.store.PublishHandoff(t.Context(), &h, ""); err != nil {
		t.Fatal(err)
	}
	stdout, stderr = p.run(lifecycle.OutcomeUnknown, "results", "get", "open")
	if stdout != "" || !strings.Contains(stderr, "is open since 1970-01-01T00:00:00Z: "+neverAnother) {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func TestResultsWatch(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.settle(body("old"), purchase.Outcome{Kind: purchase.Completed})
	if _, err := p.js.Publish(t.Context(), "purchases.results.acme.broken", []byte("{")); err != nil {
		t.Fatal(err)
	}
	for _, since := range []string{"all", "1h"} {
		stdout, stderr := p.run(0, "results", "watch", "--since", since, "--count", "1", "--account", "acme", "-o", "json")
		var list []purchase.Result
		if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list) != 1 || list[0].MerchantReference != "old" {
			t.Errorf("%v: stdout %s, stderr %s", err, stdout, stderr)
		}
	}

	ctx, signal := context.WithCancelCause(t.Context())
	watching, line := when("watching"), when("\n")
	e := p.env
	e.Stderr, e.Stdout = watching, line
	go func() {
		<-watching.seen
		p.settle(body("new"), purchase.Outcome{Kind: purchase.Completed, Receipt: json.RawMessage(`{"n":1.0}`)})
		<-line.seen // the line is there while it watches on
		signal(&lifecycle.Stopped{Signal: syscall.SIGINT})
	}()
	stdout, stderr, code := runUntil(ctx, e, "results", "watch")
	if code != lifecycle.Interrupted || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, `"new"`) || !strings.Contains(stdout, `{"n":1.0}`) {
		t.Errorf("code %d, stdout %s, stderr %s", code, stdout, stderr)
	}
	if strings.Contains(stderr, "vendstream: ") || strings.Contains(stderr, "lost") {
		t.Errorf("stderr %s", stderr)
	}

	// One that is no result is left out, and said so without its text.
	_, stderr = p.run(0, "results", "watch", "--since", "all", "--count", "2")
	if !strings.Contains(stderr, `"sequence":2,`) || !strings.Contains(stderr, "it is left out") {
		t.Errorf("stderr %s", stderr)
	}
}
