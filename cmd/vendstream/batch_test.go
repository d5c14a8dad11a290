package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// resultRows are the lines of a results file in CSV, by reference. A reference
// that is there twice fails the test.
func resultRows(t *testing.T, path string) map[string]map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil || len(lines) == 0 {
		t.Fatal(lines, err)
	}
	rows := map[string]map[string]string{}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		key := row["account"] + "/" + row["merchantReference"]
		if rows[key] != nil {
			t.Errorf("%s has two lines", key)
		}
		rows[key] = row
	}
	return rows
}

const batchHeader = "productCode,amount,paymentMethod,channelId,merchantReference\n"

func batchRows(references ...string) string {
	text := batchHeader
	for _, r := range references {
		text += "AIR,5.50,cash,c," + r + "\n"
	}
	return text
}

func TestBatchUsage(t *testing.T) {
	t.Parallel()
	good := writeFile(t, "in.csv", batchRows("a"))
	bad := writeFile(t, "bad.csv", batchRows("a", "b", "a")+"AIR,5,cash,c\n")
	jsonl := writeFile(t, "in.jsonl", `{"account":"other","request":`+body("a")+"}\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "takes FILE, and 0 arguments"},
		{[]string{"/nosuch.csv"}, "FILE: open /nosuch.csv"},
		{[]string{t.TempDir() + "/.csv"}, "FILE: "},
		{[]string{filepath.Dir(good), "--format", "csv"}, "is not a file that can be read again"},
		{[]string{"in.txt"}, "in.txt does not end with .csv or .jsonl"},
		{[]string{good, "--format", "xml"}, `--format: "xml" must be csv or jsonl`},
		{[]string{good, "--results-format", "xml"}, `--results-format: "xml"`},
		{[]string{good, "--results", "out"}, "out does not end with .csv or .jsonl"},
		{[]string{good, "--results", good}, "would overwrite the input"},
		{[]string{"-"}, "--results is needed"},
		{[]string{good, "--delimiter", ""}, `--delimiter: ""`},
		{[]string{good, "--delimiter", ",,"}, `--delimiter: ",,"`},
		{[]string{good, "--priority", "high"}, `--priority: "high" must be low`},
		{[]string{good, "--reference-prefix", " x"}, "--reference-prefix"},
		{[]string{good, "--rate", "-1"}, "--rate and --timeout must be above zero"},
		{[]string{good, "--timeout", "0s"}, "--rate and --timeout must be above zero"},
		{[]string{good, "--account", "other"}, "line 2: --account: other is not configured"},
		{[]string{bad}, "the input has 2 faults, and nothing was submitted:\n  line 4: merchantReference \"a\" of account acme is used in line 2 already\n  line 5: has 4 cells"},
		{[]string{jsonl}, "line 1: account other is not configured"},
	} {
		stdout, stderr, code := runCommand(t, acme(nil), append([]string{"batch"}, c.args...)...)
		if code != lifecycle.Usage || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: code %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(good)); err != nil || len(left) != 1 {
		t.Errorf("files were made: %v %v", left, err)
	}
}

func TestBatchDryRun(t *testing.T) {
	t.Parallel()
	voucher := strings.Replace(body("a"), "AIR", "VCH", 1) // needs no mobileNumber
	e := acme(nil).withStdin(voucher + "\n" + strings.NewReplacer("5.50", "0.05", `"a"`, `"b"`).Replace(voucher) + "\n{}\n")
	stdout, stderr, code := runCommand(t, e, "batch", "-", "--dry-run", "--reference-prefix", "p", "-o", "csv")
	if code != 0 || stdout != "account,rows,sum,refused\nacme,3,5.55,1\n" ||
		!strings.Contains(stderr, "1 rows of account acme will be FAILED without a call:\nvendstream: line 3: 1001 ") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	stdout, stderr, code = runCommand(t, acme(nil), "batch", writeFile(t, "in.csv", batchRows("a")), "--dry-run")
	if code != 0 || stdout != "" || !strings.Contains(stderr, "acme     1     5.50  1\n") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// Without a consumer nothing ends: the time is over, the rows are UNKNOWN, and the
// next run collects what came in the meantime.
func TestBatchTimeout(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	in := writeFile(t, "in.csv", batchRows("done", "late", "dead"))
	settled := `{"productCode":"AIR","amount":5.50,"paymentMethod":"cash","channelId":"c","merchantReference":%q}`
	p.settle(fmt.Sprintf(settled, "done"), purchase.Outcome{Kind: purchase.Completed, Receipt: []byte(`{"pin":"123"}`)})
	stdout, stderr := p.run(lifecycle.OutcomeUnknown, "batch", in, "--timeout", "300ms", "--priority", "low", "-o", "csv")
	for _, want := range []string{neverAnother, "1 rows have an end, 2 are open, 0 were not submitted", "run the same command again to go on", "ACCOUNT"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in %q", want, stderr)
		}
	}
	if stdout != "account,status,rows,sum\nacme,COMPLETED,1,5.50\nacme,UNKNOWN,2,11.00\n" {
		t.Errorf("%s", stdout)
	}
	rows := resultRows(t, in+".results.csv")
	if len(rows) != 3 || rows["acme/done"]["receipt"] != `{"pin":"123"}` || rows["acme/late"]["status"] != "UNKNOWN" || rows["acme/late"]["line"] != "3" || rows["acme/late"]["amount"] != "5.50" {
		t.Errorf("%v", rows)
	}
	if h := p.requested(1).Header; h["Vendstream-Priority"][0] != "low" || h["Nats-Msg-Id"][0] != "acme/late" {
		t.Errorf("%v", h)
	}
	p.settle(fmt.Sprintf(settled, "late"), purchase.Outcome{Kind: purchase.Failed, Code: "1100", Class: purchase.ClassBalance})
	p.bury("acme", 2, purchase.ReasonConflict, string(p.requested(2).Body))
	p.run(lifecycle.FailedPurchases, "batch", in, "--priority", "low")
	rows = resultRows(t, in+".results.csv")
	if len(rows) != 3 || rows["acme/late"]["failureClass"] != "balance" || rows["acme/dead"]["deadReason"] != "conflict" || rows["acme/dead"]["status"] != "DEAD" {
		t.Errorf("%v", rows)
	}
	// It is done: the same again asks for nothing and says the same.
	stdout, _ = p.run(lifecycle.FailedPurchases, "batch", in, "--priority", "low", "-o", "jsonl")
	if stdout != `{"account":"acme","status":"COMPLETED","rows":1,"sum":"5.50"}`+"\n"+`{"account":"acme","status":"FAILED","rows":1,"sum":"5.50"}`+"\n"+
		`{"account":"acme","status":"DEAD","rows":1,"sum":"5.50"}`+"\n" {
		t.Errorf("%s", stdout)
	}
	if n := p.messages(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// messages is how many requests the stream holds.
func (p *pipeline) messages() uint64 {
	p.t.Helper()
	stream, err := p.js.Stream(p.t.Context(), "PURCHASES_REQUESTS")
	if err != nil {
		p.t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

func TestBatchInterrupted(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	in := writeFile(t, "in.csv", batchRows("a", "b"))
	results := filepath.Join(t.TempDir(), "out.jsonl")
	ctx, signal := context.WithCancelCause(t.Context())
	go func() {
		eventually(t, "both are submitted", func() error {
			if n := p.messages(); n < 2 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		signal(&lifecycle.Stopped{Signal: syscall.SIGINT})
	}()
	stdout, stderr, code := runUntil(ctx, p.env, "batch", in, "--results", results)
	if code != lifecycle.Interrupted || stdout != "" || !strings.Contains(stderr, "run the same command again to go on: nothing is vended twice") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if text, err := os.ReadFile(results); err != nil || strings.Count(string(text), `"status":"UNKNOWN"`) != 2 {
		t.Errorf("%s, %v", text, err)
	}
	// The content of the file is what the batch is.
	if err := os.WriteFile(in, []byte(batchRows("a", "c")), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr = p.run(lifecycle.Usage, "batch", in, "--results", results)
	if !strings.Contains(stderr, "belongs to another batch: the content of the input is not what it was") {
		t.Errorf("%q", stderr)
	}
	// A file that nobody knows is not written over.
	other := writeFile(t, "other.csv", "mine\n")
	_, stderr = p.run(lifecycle.Usage, "batch", in, "--results", other)
	if !strings.Contains(stderr, "so it may belong to another batch") {
		t.Errorf("%q", stderr)
	}
	if n := p.messages(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// Standard input, only submitted, and collected later.
func TestBatchNoWait(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	results := filepath.Join(t.TempDir(), "out.csv")
	args := []string{"batch", "-", "--results", results}
	p.env.Stdin = strings.NewReader(body("a") + "\n" + body("b"))
	stdout, stderr := p.run(0, append(args, "--no-wait", "--rate", "1000")...)
	if stdout != "" || p.messages() != 2 {
		t.Errorf("%q %q, %d requests", stdout, stderr, p.messages())
	}
	if _, err := os.Stat(results); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	p.settle(body("a"), purchase.Outcome{Kind: purchase.Completed})
	p.settle(body("b"), purchase.Outcome{Kind: purchase.Completed})
	p.env.Stdin = strings.NewReader(body("a") + "\n" + body("b"))
	p.run(0, args...)
	if rows := resultRows(t, results); len(rows) != 2 || p.messages() != 2 {
		t.Errorf("%v, %d requests", rows, p.messages())
	}
}

// A stream without room is waited for.
func TestBatchFullStream(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	limit := func(n int64) {
		stream, err := p.js.Stream(t.Context(), "PURCHASES_REQUESTS")
		if err != nil {
			t.Fatal(err)
		}
		c := stream.CachedInfo().Config
		c.MaxMsgs = n
		if _, err := p.js.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	limit(3)
	var refs []string
	for i := range 8 {
		refs = append(refs, fmt.Sprintf("r-%d", i))
	}
	told := when("the server does not take purchases now")
	p.env.Stderr = told
	ended := make(chan int, 1)
	go func() {
		_, _, code := runUntil(t.Context(), p.env, "batch", writeFile(t, "in.csv", batchRows(refs...)), "--no-wait")
		ended <- code
	}()
	select {
	case <-told.seen:
	case <-time.After(patience):
		t.Fatal("nothing is said")
	}
	limit(-1)
	if code := <-ended; code != 0 {
		t.Fatal(code)
	}
	if n := p.messages(); n != 8 {
		t.Errorf("%d requests", n)
	}
	for i, ref := range refs {
		if got := string(p.requested(uint64(i + 1)).Body); !strings.Contains(got, `"`+ref+`"`) {
			t.Errorf("%d: %s", i, got)
		}
	}
}
