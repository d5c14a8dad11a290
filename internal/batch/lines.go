package batch

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// errTorn is a line that a crash has left unfinished.
var errTorn = errors.New("is torn")

// line is what is read of a line of a results file. end is the place behind it.
type line struct {
	reference, account, amount string
	line                       int
	status                     Status
	end                        int64
}

// lines reads a results file again. Whatever is not a whole line is errTorn.
type lines struct {
	in     *bufio.Reader
	csv    *csv.Reader // for CSV
	format Format
	at     int64
	whole  int64 // no line ends behind this place
}

// newLines reads lines that end before whole: a line that a file ends with, and
// that has no line end, is torn.
func newLines(in *bufio.Reader, format Format, whole int64) *lines {
	l := &lines{in: in, format: format, whole: whole}
	if format == CSV {
		l.csv = csv.NewReader(in)
		l.csv.FieldsPerRecord = len(columns)
		l.csv.ReuseRecord = true
	}
	return l
}

// header reads the line of column names and gives the place behind it. An empty
// file has none.
func (l *lines) header() (int64, error) {
	if l.format != CSV {
		return 0, nil
	}
	cells, err := l.cells()
	if errors.Is(err, io.EOF) {
		return 0, err
	}
	if err != nil || !slices.Equal(cells, columns) {
		return 0, fmt.Errorf("%w: it does not begin with the columns of a results file; name another file with --results", ErrForeign)
	}
	return l.at, nil
}

func (l *lines) next() (line, error) {
	if l.format == CSV {
		return l.nextCSV()
	}
	return l.nextJSON()
}

func (l *lines) nextCSV() (line, error) {
	cells, err := l.cells()
	if err != nil {
		return line{}, err
	}
	number, err := strconv.Atoi(cells[atLine])
	if err != nil || !slices.Contains(statuses, Status(cells[atStatus])) {
		return line{}, errTorn
	}
	return line{
		reference: strings.Clone(cells[atReference]), account: strings.Clone(cells[atAccount]), amount: cells[atAmount],
		line: number, status: Status(cells[atStatus]), end: l.at,
	}, nil
}

// cells reads one whole line of CSV: one that ends with a line end and holds no
// zero byte.
func (l *lines) cells() ([]string, error) {
	cells, err := l.csv.Read()
	if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
		return nil, errTorn
	}
	if err != nil {
		return nil, err
	}
	if l.at = l.csv.InputOffset(); l.at > l.whole {
		return nil, errTorn
	}
	for _, cell := range cells {
		if strings.ContainsRune(cell, 0) {
			return nil, errTorn
		}
	}
	return cells, nil
}

func (l *lines) nextJSON() (line, error) {
	text, err := l.in.ReadSlice('\n')
	var whole []byte
	for errors.Is(err, bufio.ErrBufferFull) {
		if whole = append(whole, text...); len(whole) > maxTorn {
			return line{}, errTorn
		}
		text, err = l.in.ReadSlice('\n')
	}
	whole = append(whole, text...)
	if errors.Is(err, io.EOF) && len(whole) > 0 {
		return line{}, errTorn
	}
	if err != nil {
		return line{}, err
	}
	var r Record
	in := json.NewDecoder(bytes.NewReader(whole))
	if in.Decode(&r) != nil || !slices.Contains(statuses, r.Status) {
		return line{}, errTorn
	}
	l.at += int64(len(whole))
	return line{reference: r.MerchantReference, account: r.Account, amount: plainText(r.Amount), line: r.Line, status: r.Status, end: l.at}, nil
}
