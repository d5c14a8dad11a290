package batch

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// planOf is a plan of n purchases r-1, r-2 …
func planOf(t *testing.T, n int) (*Plan, string) {
	t.Helper()
	var text strings.Builder
	for i := range n {
		text.WriteString(body(fmt.Sprintf("r-%d", i+1), fmt.Sprintf("%d.50", i+1)) + "\n")
	}
	return check(t, text.String(), Options{Format: JSONL}), text.String()
}

var resolved = time.Date(2026, 4, 21, 12, 57, 51, 831786006, time.UTC)

func sampleRecord(i int) Record {
	r := purchase.Result{
		MerchantReference: fmt.Sprintf("r-%d", i), Account: "acme", Status: purchase.StatusCompleted, TransactionID: "t<",
		ResponseCode: "0", ResponseMessage: "line one\nand \"two\", \x00é", Receipt: json.RawMessage(`{"pin":"1\n2","units":30.0000}`),
		Amount: json.RawMessage(fmt.Sprintf("%d.50", i)), Source: purchase.SourcePurchase, Attempts: 1, ResolvedAt: resolved,
	}
	if i%2 == 0 {
		r.Status, r.Failure, r.Receipt = purchase.StatusFailed, &purchase.Failure{Class: purchase.ClassBalance}, nil
	}
	return recordOf(&r, i, true)
}

type found struct {
	row    uint32
	status Status
	amount string
}

func reopen(t *testing.T, path string, format Format, plan *Plan) (*Results, []found, error) {
	t.Helper()
	var all []found
	r, err := OpenResults(path, format, true, plan, func(row uint32, status Status, amount string) {
		all = append(all, found{row, status, amount})
	})
	return r, all, err
}

// A file that a crash has cut at any byte is taken up again: what was whole is
// kept, the rest is written anew, and no line is there twice.
func TestResultsCutAnywhere(t *testing.T) {
	t.Parallel()
	plan, _ := planOf(t, 3)
	for _, format := range []Format{CSV, JSONL} {
		path := filepath.Join(t.TempDir(), "results")
		write := func() []byte {
			r, before, err := reopen(t, path, format, plan)
			if err != nil {
				t.Fatal(err)
			}
			for i := len(before) + 1; i <= 3; i++ {
				if err := r.Add(sampleRecord(i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return whole
		}
		whole := write()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		for cut := 0; cut < len(whole); cut += 3 { // opening files takes its time
			if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			if again := write(); !bytes.Equal(again, whole) {
				t.Fatalf("%s, cut at %d: %s", format, cut, again)
			}
			if cut%2 == 0 {
				continue
			}
			// A power failure may leave zeros where text was to be.
			if err := os.WriteFile(path, append(bytes.Clone(whole[:cut]), make([]byte, 100)...), 0o600); err != nil {
				t.Fatal(err)
			}
			if again := write(); !bytes.Equal(again, whole) {
				t.Fatalf("%s, zeros at %d: %s", format, cut, again)
			}
		}
		if format == JSONL {
			if !bytes.Contains(whole, []byte(`"receipt":{"pin":"1\n2","units":30.0000}`)) || bytes.Count(whole, []byte("\n")) != 3 {
				t.Errorf("%s", whole)
			}
			continue
		}
		cells, err := csv.NewReader(bytes.NewReader(whole)).ReadAll()
		if err != nil || len(cells) != 4 {
			t.Fatal(cells, err)
		}
		want := []string{
			"r-1", "1", "acme", "COMPLETED", "1.50", "t<", "0", "line one\nand \"two\", \ufffdé", "",
			`{"pin":"1\n2","units":30.0000}`, "purchase", "1", "2026-04-21T12:57:51.831786006Z", "", "",
		}
		lists(t, "a line of CSV", cells[1], want...)
	}
}

func TestResultsBeginBehindWhatIsKnown(t *testing.T) {
	t.Parallel()
	plan, _ := planOf(t, 3)
	for _, format := range []Format{CSV, JSONL} {
		path := filepath.Join(t.TempDir(), "results")
		r, _, err := reopen(t, path, format, plan)
		if err != nil {
			t.Fatal(err)
		}
		unknown := Record{MerchantReference: "r-3", Line: 3, Account: "acme", Status: Unknown}
		if err := errors.Join(r.Add(sampleRecord(2)), r.Add(sampleRecord(1)), r.Add(unknown), r.Close()); err != nil {
			t.Fatal(err)
		}
		r, before, err := reopen(t, path, format, plan)
		if err != nil || len(before) != 2 || before[0] != (found{1, Failed, "2.50"}) || before[1] != (found{0, Completed, "1.50"}) {
			t.Fatalf("%v, %v", before, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || bytes.Contains(text, []byte("UNKNOWN")) {
			t.Errorf("%s, %v", text, err)
		}
	}
}

func TestForeignResultsAreLeftAlone(t *testing.T) {
	t.Parallel()
	plan, _ := planOf(t, 2)
	head, err := encodeCells(append([]string{}, columns...))
	if err != nil {
		t.Fatal(err)
	}
	line := func(format Format, i, number int) string {
		record := sampleRecord(i)
		record.Line = number
		text, err := record.encode(format)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, c := range map[string]struct {
		format Format
		text   string
		want   string
	}{
		"other columns":         {CSV, "a,b\n1,2\n", "does not begin with the columns"},
		"another input's":       {CSV, string(head) + line(CSV, 9, 9), `its line for merchantReference "r-9" is not of this input`},
		"another line":          {JSONL, line(JSONL, 1, 2), `merchantReference "r-1" is not of this input`},
		"one row twice":         {JSONL, line(JSONL, 1, 1) + line(JSONL, 1, 1), `has two lines for merchantReference "r-1"`},
		"damaged in the middle": {JSONL, line(JSONL, 1, 1) + strings.Repeat("x\n", maxTorn), "is damaged after byte"},
		"no lines at all":       {JSONL, strings.Repeat("x", maxTorn+1<<17), "its end holds no line"},
	} {
		path := filepath.Join(t.TempDir(), "results")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := reopen(t, path, c.format, plan)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != c.text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestResultsWithoutReceipts(t *testing.T) {
	t.Parallel()
	r := purchase.Result{Receipt: json.RawMessage(`{"pin":"1"}`)}
	if got := recordOf(&r, 1, false); got.Receipt != nil {
		t.Errorf("%+v", got)
	}
}

type stored struct {
	row      uint32
	sequence uint64
}

func state(t *testing.T, path string, plan *Plan, stream string, last uint64) (*State, []stored, error) {
	t.Helper()
	var all []stored
	s, err := OpenState(path, plan, stream, last, func(row uint32, sequence uint64) { all = append(all, stored{row, sequence}) })
	return s, all, err
}

func TestStateCutAnywhere(t *testing.T) {
	t.Parallel()
	plan, _ := planOf(t, 3)
	path := filepath.Join(t.TempDir(), "state")
	s, _, err := state(t, path, plan, "S", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Acknowledged(0, 11), s.Acknowledged(2, 1200), s.Acknowledged(1, 1300), s.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []stored{{0, 11}, {2, 1200}, {1, 1300}}
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(path, append(bytes.Clone(whole[:cut]), make([]byte, cut%2*10)...), 0o600); err != nil {
			t.Fatal(err)
		}
		s, got, err := state(t, path, plan, "S", 2000)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if len(got) != bytes.Count(whole[:cut], []byte("\n"))-1 && len(got) != 0 || fmt.Sprint(got) != fmt.Sprint(want[:len(got)]) {
			t.Fatalf("cut at %d: %v", cut, got)
		}
		for _, a := range want[len(got):] {
			if err := s.Acknowledged(a.row, a.sequence); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, whole) {
			t.Fatalf("cut at %d: %s, %v", cut, again, err)
		}
	}
	// A server that lost its newest messages did not keep what it acknowledged.
	s, got, err := state(t, path, plan, "S", 1250)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want[:2]) {
		t.Fatal(got, err)
	}
	if _, _, err := state(t, path, plan, "S", 1250); !errors.Is(err, ErrBusy) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestForeignState(t *testing.T) {
	t.Parallel()
	plan, text := planOf(t, 3)
	changed := check(t, strings.Replace(text, "1.50", "1.60", 1), Options{Format: JSONL})
	other := check(t, text, Options{Format: JSONL})
	other.Rows = "another channel"
	path := filepath.Join(t.TempDir(), "state")
	s, _, err := state(t, path, plan, "S", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for want, open := range map[string]func() error{
		"the content of the input is not what it was": func() error { _, _, err := state(t, path, changed, "S", 0); return err },
		"--account, --reference-prefix":               func() error { _, _, err := state(t, path, other, "S", 0); return err },
		"it was submitted to S, and this is T":        func() error { _, _, err := state(t, path, plan, "T", 0); return err },
	} {
		if err := open(); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := os.WriteFile(path, []byte("a letter\nto nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := state(t, path, plan, "S", 0); !errors.Is(err, ErrForeign) {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "a letter\nto nobody\n" {
		t.Errorf("%s %v", text, err)
	}
}
