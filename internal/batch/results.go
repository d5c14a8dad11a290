package batch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// When what was written to a file is made safe on disk.
const (
	syncEvery = 500 * time.Millisecond
	syncBytes = 1 << 20
)

// log is a file that only grows, in lines. What is appended is safe on disk after
// flush. It is not safe for concurrent use.
type log struct {
	file   *os.File
	buffer []byte
}

// openPrivate makes or opens a file that only its owner can read: receipts hold PINs
// and tokens.
func openPrivate(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Chmod(0o600); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func (l *log) add(line []byte) error {
	l.buffer = append(l.buffer, line...)
	if len(l.buffer) >= syncBytes {
		return l.flush()
	}
	return nil
}

// flush writes what was added, at the end of the file, and waits for the disk.
func (l *log) flush() error {
	if len(l.buffer) == 0 {
		return nil
	}
	if _, err := l.file.Write(l.buffer); err != nil {
		return err
	}
	l.buffer = l.buffer[:0]
	return fsync(l.file)
}

// fsync waits until a file is safe on disk. Tests that count bytes do without.
var fsync = (*os.File).Sync

// cut makes the file end at that place, where the next write goes.
func (l *log) cut(at int64) error {
	if err := l.file.Truncate(at); err != nil {
		return err
	}
	_, err := l.file.Seek(at, io.SeekStart)
	return err
}

func (l *log) close() error { return errors.Join(l.flush(), l.file.Close()) }

// wholeLines is where the last line end of a file stands, and the file's size.
// Only so much as one line can have is looked at.
func wholeLines(file *os.File) (whole, size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	size = info.Size()
	chunk := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(0, end-int64(len(chunk)))
		part := chunk[:end-start]
		if _, err := file.ReadAt(part, start); err != nil {
			return 0, size, err
		}
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			return start + int64(at) + 1, size, nil
		}
		if end = start; size-end > maxTorn {
			return 0, size, fmt.Errorf("%w: its end holds no line", ErrForeign)
		}
	}
	return 0, size, nil
}

// syncDir makes the names in a file's directory safe on disk.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	// Not every file system lets a directory be synced; the file itself is.
	_ = fsync(dir)
	return nil
}

// Results is the results file of a batch: one line for each row that has an end,
// in the order in which the ends came, and at most one block of UNKNOWN lines
// behind them. It is not safe for concurrent use.
type Results struct {
	log
	format   Format
	receipts bool
}

// ErrForeign is wrapped where a file belongs to another batch.
var ErrForeign = errors.New("belongs to another batch")

// maxTorn is how much of the end of a file a crash may have spoiled.
const maxTorn = 4 * syncBytes

// OpenResults opens or makes a results file and gives what it holds to each, row
// by row. A last line that is torn is cut off, and so is a block of UNKNOWN lines,
// whose rows are asked for again. A line that is not of this plan is ErrForeign.
func OpenResults(path string, format Format, receipts bool, plan *Plan, each func(row uint32, status Status, amount string)) (*Results, error) {
	file, err := openPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("results file: %w", err)
	}
	r := &Results{log: log{file: file}, format: format, receipts: receipts}
	if err := r.resume(plan, each); err != nil {
		return nil, errors.Join(fmt.Errorf("results file %s: %w", path, err), file.Close())
	}
	return r, syncDir(path)
}

func (r *Results) resume(plan *Plan, each func(uint32, Status, string)) error {
	whole, size, err := wholeLines(r.file)
	if err != nil {
		return err
	}
	if whole == 0 { // new, or its first line is torn
		return r.begin()
	}
	lines := newLines(bufio.NewReaderSize(r.file, 64<<10), r.format, whole)
	good, err := lines.header()
	seen := map[uint32]bool{}
	for err == nil {
		var l line
		if l, err = lines.next(); err != nil {
			break
		}
		if l.status == Unknown {
			return r.cut(good)
		}
		row, ok := plan.find(l.account, l.reference)
		if !ok || plan.rows[row].line != l.line {
			return fmt.Errorf("%w: its line for merchantReference %q is not of this input; name another file with --results", ErrForeign, l.reference)
		}
		if seen[row] {
			return fmt.Errorf("has two lines for merchantReference %q: it was changed by hand; move it away, and it is written anew from the ledger", l.reference)
		}
		seen[row] = true
		each(row, l.status, l.amount)
		good = l.end
	}
	switch {
	case errors.Is(err, io.EOF):
	case errors.Is(err, errTorn):
		if size-good > maxTorn {
			return fmt.Errorf("is damaged after byte %d: move it away, and it is written anew from the ledger", good)
		}
	default:
		return err
	}
	if good == 0 {
		return r.begin()
	}
	return r.cut(good)
}

// begin empties the file and writes the names of the columns.
func (r *Results) begin() error {
	if err := r.cut(0); err != nil || r.format != CSV {
		return err
	}
	head, err := encodeCells(append([]string{}, columns...))
	if err != nil {
		return err
	}
	return r.add(head)
}

// Add appends a record.
func (r *Results) Add(record Record) error {
	line, err := record.encode(r.format)
	if err != nil {
		return err
	}
	if err := r.add(line); err != nil {
		return fmt.Errorf("results file: %w", err)
	}
	return nil
}

// Flush makes what was added safe on disk.
func (r *Results) Flush() error {
	if err := r.flush(); err != nil {
		return fmt.Errorf("results file: %w", err)
	}
	return nil
}

// Close flushes and closes the file.
func (r *Results) Close() error {
	if err := r.close(); err != nil {
		return fmt.Errorf("results file: %w", err)
	}
	return nil
}
