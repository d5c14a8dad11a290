package batch

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vendstream/vendstream/publisher"
)

const (
	columnAccount    = "account"
	columnAmount     = "amount"
	columnProduct    = "productCode"
	columnReference  = "merchantReference"
	columnAdditional = "additionalInfo"
	additionalDot    = columnAdditional + "."
)

// knownColumns are the names that a column must have to the letter.
var knownColumns = []string{
	columnProduct, columnAmount, "paymentMethod", "channelId", columnReference, "mobileNumber", "meterNumber",
	"accountNumber", columnAccount, "expiresAt", "lookup", "priority",
}

// maxRow is the largest row in bytes that is read, in any format.
const maxRow = 1 << 20

// plainDecimal is a JSON number without an exponent.
var plainDecimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// csvReader reads rows of cells. Each column is a field of the body, a key of
// additionalInfo, or one of the columns for account and headers.
type csvReader struct {
	limit   *limited
	in      *csv.Reader
	options Options
	columns []string
	number  int
	ended   error
}

func newCSV(in io.Reader, o Options) (*csvReader, error) {
	limit := &limited{in: in, left: maxRow}
	buffered := bufio.NewReader(limit)
	if mark, err := buffered.Peek(3); err == nil && bytes.Equal(mark, byteOrderMark) {
		_, _ = buffered.Discard(3) // it was peeked at
	}
	r := &csvReader{limit: limit, in: csv.NewReader(buffered), options: o}
	r.in.ReuseRecord = true
	if o.Comma != 0 {
		r.in.Comma = o.Comma
	}
	header, err := r.in.Read()
	if errors.Is(err, io.EOF) {
		return nil, wrong(1, "there is no header line that names the columns")
	}
	if err != nil {
		return nil, r.broken(err)
	}
	r.columns = slices.Clone(header)
	return r, checkColumns(r.columns, o)
}

var byteOrderMark = []byte("\ufeff")

// checkColumns refuses what would be bought wrongly because of a slip in a name.
func checkColumns(columns []string, o Options) error {
	seen := map[string]bool{}
	spelled := map[string]string{}
	for _, known := range knownColumns {
		spelled[folded(known)] = known
	}
	for i, name := range columns {
		switch {
		case !utf8.ValidString(name):
			return wrong(1, "the name of column %d is not valid UTF-8", i+1)
		case name == "" || strings.TrimSpace(name) != name || name == additionalDot:
			return wrong(1, "column %d has no name, or white space around it", i+1)
		case seen[name]:
			return wrong(1, "column %q is there twice", name)
		case name == columnAdditional:
			return wrong(1, "additionalInfo is an object: write a column additionalInfo.KEY for each of its keys")
		}
		seen[name] = true
		if known := spelled[folded(name)]; known != "" && name != known {
			return wrong(1, "column %q must be written %q", name, known)
		}
	}
	for _, needed := range []string{columnProduct, columnAmount} {
		if !seen[needed] {
			hint := ""
			if len(columns) == 1 && strings.ContainsAny(columns[0], ";\t|") {
				hint = "; name what separates the cells with --delimiter"
			}
			return wrong(1, "the header line names no column %s%s", needed, hint)
		}
	}
	if !seen[columnReference] && o.Prefix == "" {
		return wrong(1, "the header line names no column merchantReference: add one, or use --reference-prefix")
	}
	return nil
}

// folded is a name without case, hyphens, underscores and spaces.
func folded(name string) string { return strings.ToLower(separators.Replace(name)) }

var separators = strings.NewReplacer("-", "", "_", "", " ", "")

func (r *csvReader) Next() (Row, error) {
	if r.ended != nil {
		return Row{}, r.ended
	}
	r.limit.left = maxRow
	cells, err := r.in.Read()
	if err != nil && !errors.Is(err, csv.ErrFieldCount) {
		if !errors.Is(err, io.EOF) {
			r.number++ // keeps the rows after it from another's reference
			err = r.broken(err)
		}
		if bad := (*RowError)(nil); !errors.As(err, &bad) {
			r.ended = err
		}
		return Row{}, err
	}
	r.number++
	line, _ := r.in.FieldPos(0)
	if err != nil {
		return Row{}, wrong(line, "has %d cells, and the header line has %d", len(cells), len(r.columns))
	}
	if strings.Join(cells, "") == "" {
		return Row{}, wrong(line, "has nothing but empty cells")
	}
	return r.row(line, cells)
}

// broken turns an error of the CSV into one of its row where reading can go on.
func (r *csvReader) broken(err error) error {
	if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
		return wrong(parse.StartLine, "is not valid CSV: %v", parse.Err)
	}
	return err
}

func (r *csvReader) row(line int, cells []string) (Row, error) {
	row := Row{Line: line, Number: r.number, Request: publisher.Request{Priority: r.options.Priority}}
	body := append(make([]byte, 0, 256), '{')
	var additional []byte
	referred := false
	for i, cell := range cells {
		name := r.columns[i]
		if cell == "" {
			continue // left out
		}
		if !utf8.ValidString(cell) {
			return row, wrong(line, "%s is not valid UTF-8", name)
		}
		if header, ok := headerNames[name]; ok {
			if err := setHeader(&row.Request, line, name, header, cell); err != nil {
				return row, err
			}
			continue
		}
		switch key, inner := strings.CutPrefix(name, additionalDot); {
		case inner:
			additional = appendMember(additional, key, cell)
			continue
		case name == columnAccount:
			row.Request.Account = cell
			continue
		case name == columnAmount && plainDecimal.MatchString(cell):
			body = append(appendName(body, name), cell...)
			continue
		// Any other amount travels as the text that it is: it is a fault of one field,
		// and gets the result that every such fault gets.
		case name == columnReference:
			referred = true
		}
		body = appendMember(body, name, cell)
	}
	if !referred {
		if r.options.Prefix == "" {
			return row, wrong(line, "merchantReference is missing")
		}
		body = appendMember(body, columnReference, r.options.reference(r.number))
	}
	if additional != nil {
		body = append(appendName(body, columnAdditional), '{')
		body = append(append(body, additional...), '}')
	}
	row.Request.Body = append(body, '}')
	return row, nil
}

// appendName writes a member's name, after a comma where it is not the first.
func appendName(dst []byte, name string) []byte {
	if len(dst) > 0 && dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(appendText(dst, name), ':')
}

func appendMember(dst []byte, name, text string) []byte {
	return appendText(appendName(dst, name), text)
}

// appendText writes valid UTF-8 as a JSON string.
func appendText(dst []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string has no way to fail
	return append(dst, quoted...)
}

// limited ends reading where one row takes too much, so that a quotation mark
// that is never closed does not pull the file into memory.
type limited struct {
	in   io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLong
	}
	n, err := l.in.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
