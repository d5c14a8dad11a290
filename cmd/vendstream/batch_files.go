package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/vendstream/vendstream/internal/batch"
	"github.com/vendstream/vendstream/internal/purchase"
)

// batchFiles are the files of a batch.
type batchFiles struct {
	name          string // of the input; - is standard input
	options       batch.Options
	results       string
	resultsFormat batch.Format

	input *os.File
}

// files reads the flags that name files and formats.
func (f *batchFlags) files(name string) (*batchFiles, error) {
	files := &batchFiles{name: name, results: f.results}
	var err error
	switch {
	case f.format != "":
		files.options.Format, err = batchFormat("--format", f.format)
	case name == "-":
		files.options.Format = batch.JSONL
	default:
		if files.options.Format, err = byExtension(name); err != nil {
			err = usage("FILE: %s does not end with .csv or .jsonl: name its --format", name)
		}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case f.resultsFormat != "":
		files.resultsFormat, err = batchFormat("--results-format", f.resultsFormat)
	case f.results == "":
		files.resultsFormat = batch.CSV
	default:
		if files.resultsFormat, err = byExtension(f.results); err != nil {
			err = usage("--results: %s does not end with .csv or .jsonl: name its --results-format", f.results)
		}
	}
	if err != nil {
		return nil, err
	}
	if files.results == "" {
		if name == "-" && !f.dry {
			return nil, usage("--results is needed where the input is standard input")
		}
		files.results = name + ".results." + string(files.resultsFormat)
	}
	if filepath.Clean(files.results) == filepath.Clean(name) || filepath.Clean(batch.StatePath(files.results)) == filepath.Clean(name) {
		return nil, usage("--results: %s would overwrite the input", f.results)
	}
	return files, nil
}

func batchFormat(flag, text string) (batch.Format, error) {
	switch format := batch.Format(text); format {
	case batch.CSV, batch.JSONL:
		return format, nil
	default:
		return "", usage("%s: %q must be csv or jsonl", flag, text)
	}
}

func byExtension(name string) (batch.Format, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return batch.CSV, nil
	case ".jsonl", ".ndjson":
		return batch.JSONL, nil
	default:
		return "", errors.New("unknown extension")
	}
}

// options adds what the rows have in common.
func (f *batchFlags) options(o batch.Options) (batch.Options, error) {
	delimiter := strings.ReplaceAll(f.delimiter, `\t`, "\t")
	comma, size := utf8.DecodeRuneInString(delimiter)
	if size == 0 || size != len(delimiter) || comma == utf8.RuneError || strings.ContainsRune("\"\r\n", comma) {
		return o, usage("--delimiter: %q is not one character that can separate cells", f.delimiter)
	}
	// The longest number of a row has ten digits.
	if f.prefix != "" && !purchase.ValidReference(f.prefix+"-4294967295") {
		return o, usage("--reference-prefix: %q cannot begin a merchantReference: at most 117 bytes of UTF-8 without control characters and without white space at the front", f.prefix)
	}
	o.Comma, o.Prefix, o.Priority = comma, f.prefix, f.priority
	return o, nil
}

// open opens the input. Standard input is copied to a file without a name, since
// it is read more than once.
func (b *batchFiles) open(stdin io.Reader) error {
	if b.name != "-" {
		file, err := os.Open(b.name)
		if err != nil {
			return usage("FILE: %w", err)
		}
		info, err := file.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return errors.Join(usage("FILE: %s is not a file that can be read again; use - for a pipe", b.name), file.Close())
		}
		b.input = file
		return nil
	}
	spool, err := os.CreateTemp("", "vendstream-batch-*") // its mode is 0600
	if err != nil {
		return fmt.Errorf("keep standard input for a second reading: %w", err)
	}
	b.input = spool
	_ = os.Remove(spool.Name()) // it goes with the process; close tries again where it could not
	if _, err := io.Copy(spool, stdin); err != nil {
		b.close()
		return fmt.Errorf("keep standard input for a second reading: %w", err)
	}
	return nil
}

func (b *batchFiles) close() {
	_ = b.input.Close() // it was only read
	if b.name == "-" {
		_ = os.Remove(b.input.Name()) // where an open file cannot be removed
	}
}

// check checks the entire input.
func (b *batchFiles) check(buyer batch.Buyer) (*batch.Plan, error) {
	if _, err := b.input.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	plan, err := batch.Check(b.input, b.options, buyer)
	if faults := (*batch.InputError)(nil); errors.As(err, &faults) {
		return nil, usage("%w", err)
	}
	return plan, err
}

// source reads the input once more.
func (b *batchFiles) source() (batch.Reader, error) {
	if _, err := b.input.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return batch.NewReader(b.input, b.options)
}

// ours opens the batch's own files and tells the tracker what they hold. results
// is nil where results are not waited for.
func (b *batchFiles) ours(plan *batch.Plan, f *batchFlags, stream string, last uint64, tracker *batch.Tracker) (*batch.State, *batch.Results, error) {
	path := batch.StatePath(b.results)
	if info, err := os.Stat(b.results); err == nil && info.Size() > 0 && !batch.HasState(path) {
		return nil, nil, usage("results file %s: there is no %s beside it, so it may belong to another batch: "+
			"move it away, and it is written anew from the ledger, or name another with --results", b.results, path)
	}
	state, err := batch.OpenState(path, plan, stream, last, func(row uint32, sequence uint64) { tracker.Submitted(row, sequence) })
	if err != nil {
		return nil, nil, refusedFile(err)
	}
	if f.noWait {
		return state, nil, nil
	}
	results, err := batch.OpenResults(b.results, b.resultsFormat, !f.noReceipts, plan, tracker.Ended)
	if err != nil {
		return nil, nil, errors.Join(refusedFile(err), state.Close())
	}
	return state, results, nil
}

// refusedFile is wrong usage where a file belongs to another batch.
func refusedFile(err error) error {
	if errors.Is(err, batch.ErrForeign) || errors.Is(err, batch.ErrBusy) {
		return usage("%w", err)
	}
	return err
}

// goOn says how to go on with the batch.
func (b *batchFiles) goOn() string {
	same := ""
	if b.name == "-" {
		same = " with the same standard input"
	}
	return "run the same command again" + same + " to go on: nothing is vended twice"
}
