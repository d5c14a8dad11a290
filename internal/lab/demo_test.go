package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// forgetful is a vendor that vends and answers 503, and has forgotten the
// reference when it is called again: a caller that retries vends twice.
var forgetful = []simulator.Fault{{
	EachReference: true,
	Steps: []simulator.Step{
		{Status: 503, Stored: simulator.StoredCompleted},
		{Forget: true},
	},
}}

func TestDemoFailsWithAForgetfulVendor(t *testing.T) {
	var stdout, stderr bytes.Buffer
	err := Demo(t.Context(), DemoOptions{
		Purchases: 6, Seed: 1, Format: output.Table, Stdout: &stdout, Stderr: &stderr, Faults: forgetful,
	})
	if !errors.Is(err, ErrBroken) || lifecycle.Code(err) != lifecycle.Failed {
		t.Errorf("error %v", err)
	}
	for out, want := range map[*bytes.Buffer]string{
		&stderr: "BROKEN promise 2: ", &stdout: "promises       BROKEN: ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if !strings.Contains(stderr.String(), "was vended 2 times") {
		t.Errorf("stderr:\n%s", &stderr)
	}
}

// What the streams hold is what is checked: a result that vanished is missed.
func TestDemoFailsWithoutAResult(t *testing.T) {
	var stdout, stderr bytes.Buffer
	err := Demo(t.Context(), DemoOptions{
		Purchases: 3, Seed: 1, Format: output.JSONL, Stdout: &stdout, Stderr: &stderr,
		Tamper: func(e *Evidence) { e.Results = e.Results[1:] },
	})
	if !errors.Is(err, ErrBroken) || !strings.Contains(stderr.String(), "has 0 results") {
		t.Errorf("error %v\n%s", err, &stderr)
	}
}

// watched is a buffer for many writers. Where end is set it is called as Ctrl-C
// would once what was written holds text.
type watched struct {
	text string
	end  context.CancelCauseFunc
	mu   sync.Mutex
	all  bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.all.Write(p)
	if w.end != nil && strings.Contains(w.all.String(), w.text) {
		w.end(&lifecycle.Stopped{Signal: os.Interrupt})
	}
	return n, err
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

func TestDemoInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var stdout bytes.Buffer
	stderr := &watched{text: "wave 1", end: cancel}
	err := Demo(ctx, DemoOptions{Purchases: 40, Seed: 1, Format: output.Table, Stdout: &stdout, Stderr: stderr})
	if !errors.Is(err, lifecycle.ErrStopped) || lifecycle.Code(err) != lifecycle.Interrupted {
		t.Errorf("error %v", err)
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout:\n%s", &stdout)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDemoKeepsItsData(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var stdout bytes.Buffer
	stderr := &watched{}
	err := Demo(t.Context(), DemoOptions{
		Purchases: 1, Seed: 1, Format: output.CSV, Keep: true, Verbose: true, Stdout: &stdout, Stderr: stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, dir, found := strings.Cut(stderr.String(), "data kept in ")
	dir = strings.TrimSpace(dir)
	if info, err := os.Stat(dir); !found || err != nil || !info.IsDir() {
		t.Errorf("kept %q: %v", dir, err)
	}
	if !strings.Contains(stderr.String(), "started") {
		t.Errorf("no log of the daemons in:\n%s", stderr)
	}
	if lines := strings.Split(strings.TrimSpace(stdout.String()), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], "account,merchantReference,") {
		t.Errorf("stdout:\n%s", &stdout)
	}
}

// The same seed makes the same batch, and a batch that is large enough has every
// case and every category.
func TestPlan(t *testing.T) {
	one, err := newPlan(len(cases), 7)
	if err != nil {
		t.Fatal(err)
	}
	same, err := newPlan(len(cases), 7)
	if err != nil {
		t.Fatal(err)
	}
	met, bought := map[string]bool{}, map[string]bool{}
	references := map[Key]bool{}
	for i, p := range one.purchases {
		met[p.kase.group+p.kase.name], bought[p.category] = true, true
		references[Key{p.account, p.reference}] = true
		if p.reference != same.purchases[i].reference {
			t.Errorf("purchase %d differs: %s and %s", i, p.reference, same.purchases[i].reference)
		}
		if _, err := purchase.Parse(one.waves[0][i].body, purchase.Account{Name: p.account}); err != nil {
			t.Errorf("%s: %v", p.reference, err)
		}
	}
	if len(met) != len(cases) || len(bought) != len(categoryNames()) || len(references) != len(cases) {
		t.Errorf("%d of %d cases, %d of %d categories, %d references",
			len(met), len(cases), len(bought), len(categoryNames()), len(references))
	}
	accounts := map[string]bool{}
	for _, a := range one.waves[0] {
		accounts[a.account] = true
	}
	if len(accounts) != 3 || len(one.waves[1]) == 0 {
		t.Errorf("accounts %v, %d messages in the second wave", accounts, len(one.waves[1]))
	}
}

// Every fault that a case orders is one that the vendor knows.
func TestCasesOrderKnownFaults(t *testing.T) {
	for _, k := range cases {
		if k.fault == "" {
			continue
		}
		_, err := simulator.New(simulator.Config{Faults: []simulator.Fault{{Use: k.fault}}})
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
	}
}
