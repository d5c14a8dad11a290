package batch

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// again repeats a text without an end.
type again struct {
	text string
	at   int
}

func (a *again) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], a.text[a.at:])
		a.at = (a.at + m) % len(a.text)
		n += m
	}
	return n, nil
}

// A line, cell or header of any size is told in bounded memory, and what comes
// after it is still read where that can be.
func TestEndlessRows(t *testing.T) {
	const size = 256 << 20
	for _, c := range []struct {
		name        string
		format      Format
		head, again string
		tail, want  string
	}{
		{"line", JSONL, body("a", "1") + "\n{\"x\":\"", "x", "\"}\n{\n", "the input has 2 faults, and nothing was submitted:\nline 2: is larger than 1 MiB\nline 3: is not one JSON object"},
		{"line of nothing", JSONL, "", " ", "", "line 1: is larger than 1 MiB"},
		{"depth", JSONL, "", "[", "", "line 1: is larger than 1 MiB"},
		{"header line", CSV, "", "x", "", "after line 0: a row is larger than 1 MiB"},
		{"columns", CSV, least, ",x", "", "after line 0: a row is larger than 1 MiB"},
		{"cell", CSV, least + "\nA,1,", "x", "\n", "after line 0: a row is larger than 1 MiB"},
		{"quoted cell", CSV, least + "\nA,1,\"", "x\n", "\"\n", "after line 0: a row is larger than 1 MiB"},
		{"cells", CSV, least + "\nA,1", ",x", "\n", "after line 0: a row is larger than 1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := io.MultiReader(strings.NewReader(c.head), io.LimitReader(&again{text: strings.Repeat(c.again, 32<<10)}, size), strings.NewReader(c.tail))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Check(in, Options{Format: c.format}, anyBuyer)
			runtime.ReadMemStats(&after)
			var faults *InputError
			if !errors.As(err, &faults) || !strings.HasSuffix(err.Error(), c.want) && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.300v", err)
			}
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 96<<20 {
				t.Errorf("%d MiB for a row of %d MiB", spent>>20, size>>20)
			} else {
				t.Logf("%d MiB", spent>>20)
			}
		})
	}
}

// A header line or key of the largest size that is read is not repeated in full.
func TestFaultsAreShort(t *testing.T) {
	name := strings.Repeat("x", maxRow/4)
	var many strings.Builder
	for i := 0; many.Len() < maxRow/2; i++ {
		fmt.Fprintf(&many, ",c%d", i)
	}
	for text, format := range map[string]Format{
		least + "," + name + "," + name + "\n":                                                    CSV,
		least + "," + name + "\nA,1,r," + "\xff\n":                                                CSV,
		least + many.String() + ",Amount\n":                                                       CSV,
		strings.Repeat(`{"request":{},"`+name+`":1}`+"\n", 20):                                    JSONL,
		strings.Repeat(`{"request":{},"headers":{"`+name+`":"1"}}`+"\n", 20):                      JSONL,
		strings.Repeat(`{"`+name[:60<<10]+`":1,"`+name[:3]+`":1,"`+name[:60<<10]+`":1}`+"\n", 20): JSONL,
		strings.Repeat(`{"account":"`+name+`","request":{"merchantReference":"r"}}`+"\n", 20):     JSONL,
	} {
		_, err := Check(strings.NewReader(text), Options{Format: format}, anyBuyer)
		var faults *InputError
		if !errors.As(err, &faults) {
			t.Errorf("%.300v", err)
		} else if n := len(err.Error()); n > 16<<10 {
			t.Errorf("%d bytes: %.200v", n, err)
		}
	}
}
