package output

import (
	"fmt"
	"slices"
	"strings"
)

// Format is how data is printed. It is a flag's value.
type Format string

// The formats of the contract ("Commands").
const (
	Table Format = "table" // aligned columns, for people
	JSON  Format = "json"  // one value: an array of records, or the only record
	JSONL Format = "jsonl" // one record a line
	CSV   Format = "csv"   // RFC 4180, with a line of column names
)

// Formats are all formats of this package.
func Formats() []Format { return []Format{Table, JSON, JSONL, CSV} }

// Flag is a command line flag that holds a Format.
type Flag struct {
	Format  Format
	allowed []Format
}

// NewFlag makes a flag with a default. It takes the formats of this package and
// the extra ones.
func NewFlag(standard Format, extra ...Format) *Flag {
	return &Flag{Format: standard, allowed: append(Formats(), extra...)}
}

// Set implements pflag.Value.
func (f *Flag) Set(text string) error {
	if !slices.Contains(f.allowed, Format(text)) {
		return fmt.Errorf("must be %s", f.Names())
	}
	f.Format = Format(text)
	return nil
}

func (f *Flag) String() string { return string(f.Format) }

// Type implements pflag.Value; help shows it as the kind of value.
func (f *Flag) Type() string { return "format" }

// Names are the formats that the flag takes, for help and errors.
func (f *Flag) Names() string {
	names := make([]string, len(f.allowed))
	for i, format := range f.allowed {
		names[i] = string(format)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
