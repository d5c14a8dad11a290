package batch

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// Row is one purchase of the input.
type Row struct {
	// Line is where it begins in the input, from 1. The header of a CSV file and
	// empty lines count.
	Line int
	// Number counts the rows from 1. The header and empty lines do not count.
	Number int
	// Request has no account where the row names none.
	Request publisher.Request
}

// RowError is what is wrong with one row; the rows after it can be read. Text
// names fields and never values of a purchase.
type RowError struct {
	Line int
	Text string
}

func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// maxFault is how many bytes are told of one fault: names of columns, keys and
// accounts can be as long as a row.
const maxFault = 400

func wrong(line int, format string, args ...any) *RowError {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxFault {
		text = strings.ToValidUTF8(text[:maxFault], "") + " …"
	}
	return &RowError{Line: line, Text: text}
}

// Reader gives the rows of an input, one at a time. The error is io.EOF at its
// end, a *RowError after which reading may go on, or any other, which ends it. It
// keeps no more than one row in memory.
type Reader interface {
	Next() (Row, error)
}

// Format is how an input is written.
type Format string

// The formats of an input.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
)

// Options are what the rows of an input have in common.
type Options struct {
	Format Format
	// Comma separates the cells of a CSV file; 0 is a comma.
	Comma rune
	// Prefix, where set, gives a row without a merchantReference its own: the
	// prefix, a hyphen and the row's number.
	Prefix string
	// Priority is the priority of rows that give none.
	Priority string
}

// NewReader reads an input. A CSV file whose header line cannot be used is a
// *RowError of line 1, or an error of the input itself.
func NewReader(in io.Reader, o Options) (Reader, error) {
	if o.Format == CSV {
		return newCSV(in, o)
	}
	return newJSONL(in, o), nil
}

func (o Options) reference(number int) string { return o.Prefix + "-" + strconv.Itoa(number) }

// errTooLong ends an input whose row does not end.
var errTooLong = errors.New("a row is larger than 1 MiB: a quotation mark may be missing")

// ValidPriority reports whether a row can have this priority.
func ValidPriority(text string) bool { return text == "" || text == publisher.PriorityLow }

// headerNames are the headers that a row may bring, by the name of their column.
var headerNames = map[string]string{
	"expiresAt": publisher.HeaderExpiresAt,
	"lookup":    publisher.HeaderLookup,
	"priority":  publisher.HeaderPriority,
}

// setHeader puts the value of a header into a request. place is what the value
// is called in an error.
func setHeader(r *publisher.Request, line int, place, name, value string) error {
	switch name {
	case publisher.HeaderExpiresAt:
		at, refusal := purchase.Expiry([]string{value})
		if refusal != nil {
			return wrong(line, "%s is not an RFC 3339 time such as 2026-01-31T12:00:00Z", place)
		}
		r.ExpiresAt = at
	case publisher.HeaderLookup:
		switch strings.ToLower(value) { // spreadsheets write TRUE
		case "true":
			r.Lookup = true
		case "false":
		default:
			return wrong(line, "%s must be true or false", place)
		}
	case publisher.HeaderPriority:
		if value != publisher.PriorityLow {
			return wrong(line, "%s must be %s or left out", place, publisher.PriorityLow)
		}
		r.Priority = value
	case publisher.HeaderTraceParent:
		if !publisher.ValidTrace(value) {
			return wrong(line, "%s is not a W3C traceparent", place)
		}
		r.TraceParent = value
	default:
		return wrong(line, "%s is not a header that a request has: %s, %s, %s or %s", place,
			publisher.HeaderExpiresAt, publisher.HeaderLookup, publisher.HeaderPriority, publisher.HeaderTraceParent)
	}
	return nil
}
