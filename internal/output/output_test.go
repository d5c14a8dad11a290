package output

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
)

type record struct {
	Name string          `json:"name"`
	Raw  json.RawMessage `json:"raw"`
}

func TestFormats(t *testing.T) {
	t.Parallel()
	first := record{"<a>", json.RawMessage(`{"n":30.0000}`)}
	second := json.RawMessage("{ \"b\": 1e2,\n \"c\": \"\\u00e9<\" }")
	for _, c := range []struct {
		format          Format
		list, none, one string
	}{
		{
			JSON,
			"[\n{\"name\":\"<a>\",\"raw\":{\"n\":30.0000}},\n" + string(second) + "\n]\n", "[]\n",
			string(second) + "\n",
		},
		{
			JSONL,
			"{\"name\":\"<a>\",\"raw\":{\"n\":30.0000}}\n{\"b\":1e2,\"c\":\"\\u00e9<\"}\n", "",
			"{\"b\":1e2,\"c\":\"\\u00e9<\"}\n",
		},
		{
			CSV,
			"name,value\n<a>,\"x,\"\"y\"\n<a>,\n=1+1,\"a\nb\"\n", "name,value\n",
			"name,value\n=1+1,\"a\nb\"\n",
		},
		{
			Table,
			"NAME  VALUE\n<a>   x,\"y\n<a>   -\n=1+1  a\\nb\n", "NAME  VALUE\n",
			"NAME   =1+1\nVALUE  a\\nb\n",
		},
	} {
		var list, none, one bytes.Buffer
		w := NewWriter(&list, c.format, "name", "value")
		if err := errors.Join(
			w.Record(first, []string{"<a>", `x,"y`}, []string{"<a>", ""}),
			w.Record(second, []string{"=1+1", "a\nb"}),
			w.Close(),
			NewWriter(&none, c.format, "name", "value").Close(),
			One(&one, c.format, []string{"name", "value"}, second, []string{"=1+1", "a\nb"}),
		); err != nil {
			t.Errorf("%s: %v", c.format, err)
		}
		for name, pair := range map[string][2]string{"list": {list.String(), c.list}, "none": {none.String(), c.none}, "one": {one.String(), c.one}} {
			if pair[0] != pair[1] {
				t.Errorf("%s, %s: got\n%s\nwant\n%s", c.format, name, pair[0], pair[1])
			}
		}
	}
}

func TestLinesAreWrittenAtOnce(t *testing.T) {
	t.Parallel()
	for _, format := range []Format{JSONL, CSV} {
		var out bytes.Buffer
		w := NewWriter(&out, format, "n")
		if err := w.Record(1, []string{"1"}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(out.String(), "1\n") {
			t.Errorf("%s: %q before Close", format, out.String())
		}
	}
}

// full is a disk that is full.
type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteErrors(t *testing.T) {
	t.Parallel()
	for _, format := range Formats() {
		w := NewWriter(full{}, format, "n")
		if err := errors.Join(w.Record(1, []string{"1"}), w.Close()); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", format, err)
		}
		if err := One(full{}, format, []string{"n"}, 1, []string{"1"}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestBadData(t *testing.T) {
	t.Parallel()
	for _, data := range []any{json.RawMessage("{"), make(chan int)} {
		for _, format := range []Format{JSON, JSONL} {
			var out bytes.Buffer
			if err := NewWriter(&out, format).Record(data); err == nil {
				t.Errorf("%s: no error", format)
			}
			if err := One(&out, format, nil, data, nil); err == nil || out.Len() > 0 {
				t.Errorf("%s: error %v, wrote %q", format, err, out.String())
			}
		}
	}
}

// TestRawIsKept: the writer keeps what it was given, also where the caller uses
// the buffer again.
func TestRawIsKept(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := NewWriter(&out, JSON)
	raw := json.RawMessage("1.0")
	if err := w.Record(raw); err != nil {
		t.Fatal(err)
	}
	copy(raw, "999")
	if err := w.Close(); err != nil || out.String() != "[\n1.0\n]\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestFlag(t *testing.T) {
	t.Parallel()
	f := NewFlag(Table, "yaml")
	if f.String() != "table" || f.Type() != "format" || f.Names() != "table, json, jsonl, csv or yaml" {
		t.Errorf("%s %s %s", f, f.Type(), f.Names())
	}
	if err := f.Set("yaml"); err != nil || f.Format != "yaml" {
		t.Errorf("%v, %s", err, f.Format)
	}
	for _, bad := range []string{"", "JSON", "xml"} {
		if err := f.Set(bad); err == nil || err.Error() != "must be table, json, jsonl, csv or yaml" || f.Format != "yaml" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := NewFlag(JSON).Set("yaml"); err == nil {
		t.Error("takes a format that is not its own")
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "",
		"plain é 漢 \\ \"q\"":     "plain é 漢 \\ \"q\"",
		"\x1b[2J":                `\x1b[2J`,
		"a\tb\nc\r\x00":          `a\tb\nc\r\x00`,
		"\x7f\u009b\u202e\ufeff": `\x7f\u009b\u202e\ufeff`,
		"é\xff漢\u2028":           `é\xff漢\u2028`,
		"\ufffd":                 "\ufffd", // the rune itself is no fault
		"no-break\u00a0space":    `no-break\u00a0space`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func FuzzTable(f *testing.F) {
	for _, seed := range []string{"", "a\tb", "\x1b]0;t\x07", "\xff\xfe", "\v\f", "\u202e", ","} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		var table, rows bytes.Buffer
		if err := errors.Join(
			One(&table, Table, []string{"cell"}, nil, []string{cell}),
			One(&rows, CSV, []string{"cell", "end"}, nil, []string{cell, "e"}),
		); err != nil {
			t.Fatal(err)
		}
		if text := strings.TrimSuffix(table.String(), "\n"); strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%q reaches the terminal as %q", cell, text)
		}
		read, err := csv.NewReader(&rows).ReadAll()
		// The reader, as RFC 4180 allows, makes every line end a line feed.
		if want := strings.ReplaceAll(cell, "\r\n", "\n"); err != nil || read[1][0] != want {
			t.Errorf("%q comes back as %q: %v", cell, read, err)
		}
	})
}
