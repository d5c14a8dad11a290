package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/lifecycle"
)

// patient is a time-out that a busy machine keeps too. The purchases that are meant
// to run into it do so side by side.
const patient = "--timeout=20s"

// The whole demo: every promise is held against the streams and the ledger.
func TestDemo(t *testing.T) {
	stdout, stderr, code := runCommand(t, "demo", "--purchases", "90", patient)
	if code != lifecycle.Done {
		t.Fatalf("code %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{
		"WHAT HAPPENS", "PENDING, then COMPLETED", "empty 202", "all attempts reset after", "only by posting again",
		"CATEGORY", "ELE ", "ATP ", "PREPAID", "token",
		"asked          90 purchases of 2 accounts", "settled ", "deduplicated ", "retried ", "polled ",
		"1 too_large, 3 malformed, 2 invalid_reference, 1 unknown_account,", "promises       all kept", "time ",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "90 of 90 purchases have ended") {
		t.Errorf("progress:\n%s", stderr)
	}
}

func TestDemoJSONL(t *testing.T) {
	stdout, stderr, code := runCommand(t, "demo", "--purchases", "20", "--seed", "5", "--output", "jsonl", patient)
	if code != lifecycle.Done {
		t.Fatalf("code %d\n%s%s", code, stdout, stderr)
	}
	references := map[string]bool{}
	for line := range strings.Lines(stdout) {
		var r struct {
			Account, Status, RequestDigest string
			MerchantReference              string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if r.Account == "" || r.MerchantReference == "" || (r.Status != "COMPLETED" && r.Status != "FAILED") || r.RequestDigest == "" {
			t.Errorf("result %s", line)
		}
		references[r.Account+"/"+r.MerchantReference] = true
	}
	if len(references) != 20 {
		t.Errorf("%d results of 20", len(references))
	}
	if !strings.Contains(stderr, "promises       all kept") {
		t.Errorf("no summary in\n%s", stderr)
	}
}

func TestDemoInterrupted(t *testing.T) {
	for name, cause := range map[string]error{"signal": &lifecycle.Stopped{Signal: os.Interrupt}, "caller": nil} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		var stdout, stderr bytes.Buffer
		code := conclude(&stderr, run(ctx, []string{"demo", "--purchases", "5"}, env{Stdout: &stdout, Stderr: &stderr}))
		if code != lifecycle.Interrupted || stdout.Len() > 0 {
			t.Errorf("%s: code %d\n%s%s", name, code, &stdout, &stderr)
		}
	}
}
