package output

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Writer prints a list of records. Formats jsonl and csv are written record by
// record; json and table are collected, and written by Close. It is not safe for
// concurrent use.
type Writer struct {
	out     io.Writer
	format  Format
	columns []string
	begun   bool // the line of column names is written
	rows    [][]string
	values  [][]byte
}

// NewWriter makes a Writer of records with these columns. An unknown format is
// taken for Table.
func NewWriter(out io.Writer, format Format, columns ...string) *Writer {
	return &Writer{out: out, format: format, columns: columns}
}

// Record prints one record: data, or its rows of cells, of which most records
// have one. Each row has a cell for each column.
func (w *Writer) Record(data any, rows ...[]string) error {
	switch w.format {
	case JSON, JSONL:
		value, err := encode(data)
		if err != nil {
			return err
		}
		if w.format == JSON {
			w.values = append(w.values, value)
			return nil
		}
		return w.line(value)
	case CSV:
		return w.csv(rows)
	default:
		w.rows = append(w.rows, rows...)
		return nil
	}
}

// Close writes what was collected. A list without records is an empty array, or
// the column names alone.
func (w *Writer) Close() error {
	switch w.format {
	case JSON:
		return write(w.out, array(w.values))
	case JSONL:
		return nil
	case CSV:
		return w.csv(nil)
	default:
		return w.table()
	}
}

// One prints a single record: JSON is its value instead of an array, and a table
// has a line for each column.
func One(out io.Writer, format Format, columns []string, data any, cells []string) error {
	switch format {
	case JSON:
		value, err := encode(data)
		if err != nil {
			return err
		}
		return write(out, append(value, '\n'))
	case Table:
		names := make([]string, len(columns))
		for i, name := range columns {
			names[i] = strings.ToUpper(name)
		}
		w := NewWriter(out, Table)
		for i, cell := range cells {
			w.rows = append(w.rows, []string{names[i], cell})
		}
		return w.table()
	default:
		w := NewWriter(out, format, columns...)
		if err := w.Record(data, cells); err != nil {
			return err
		}
		return w.Close()
	}
}

// line writes a value as one line. White space between the tokens of raw JSON
// may hold line ends; the tokens stay as they are.
func (w *Writer) line(value []byte) error {
	var line bytes.Buffer
	if err := json.Compact(&line, value); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	line.WriteByte('\n')
	return write(w.out, line.Bytes())
}

func (w *Writer) csv(rows [][]string) error {
	out := csv.NewWriter(w.out)
	if !w.begun {
		rows = append([][]string{w.columns}, rows...)
		w.begun = true
	}
	if err := out.WriteAll(rows); err != nil { // it flushes
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

func (w *Writer) table() error {
	var page bytes.Buffer
	out := tabwriter.NewWriter(&page, 0, 0, 2, ' ', 0)
	if len(w.columns) > 0 {
		fmt.Fprintln(out, strings.ToUpper(strings.Join(w.columns, "\t")))
	}
	for _, row := range w.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = Printable(cell); cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(out, strings.Join(cells, "\t"))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return write(w.out, page.Bytes())
}

// array is a JSON array with one value a line.
func array(values [][]byte) []byte {
	if len(values) == 0 {
		return []byte("[]\n")
	}
	return append(append([]byte("[\n"), bytes.Join(values, []byte(",\n"))...), "\n]\n"...)
}

// encode is data as JSON without HTML escapes; raw JSON is left as it is.
func encode(data any) ([]byte, error) {
	if raw, ok := data.(json.RawMessage); ok {
		if !json.Valid(raw) {
			return nil, fmt.Errorf("output: not valid JSON: %d bytes", len(raw))
		}
		return bytes.Clone(bytes.TrimSpace(raw)), nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func write(out io.Writer, text []byte) error {
	if _, err := out.Write(text); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}
