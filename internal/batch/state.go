package batch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// identity is the first line of a state file: what the batch is, and where it was
// submitted.
type identity struct {
	Version int    `json:"version"`
	Input   string `json:"input"`
	Rows    string `json:"rows"`
	Stream  string `json:"stream"`
}

const stateVersion = 1

// State is the file beside the results file that says which batch that is, and
// which rows the server has acknowledged. Losing the end of it is harmless: those
// rows are submitted again, which is a repeat. It is locked while it is open. It is
// not safe for concurrent use.
type State struct {
	log
}

// ErrBusy is returned where another process works on the batch.
var ErrBusy = errors.New("another process is working on this batch")

// StatePath is where the state of a batch with that results file is.
func StatePath(results string) string { return results + ".state" }

// OpenState opens or makes a state file. each gets the rows that were acknowledged
// and their sequences in the requests stream. stream is that stream's identity. A
// state of another batch is ErrForeign; last is the last sequence of the stream:
// an acknowledgement above it is not believed, because the server has lost the
// message.
func OpenState(path string, plan *Plan, stream string, last uint64, each func(row uint32, sequence uint64)) (*State, error) {
	file, err := openPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("state file: %w", err)
	}
	s := &State{log{file: file}}
	err = lock(file)
	if err == nil {
		err = s.resume(identity{stateVersion, plan.Input, plan.Rows, stream}, uint64(plan.Len()), last, each)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state file %s: %w", path, err), file.Close())
	}
	return s, syncDir(path)
}

func (s *State) resume(ours identity, rows, last uint64, each func(uint32, uint64)) error {
	in := bufio.NewReaderSize(s.file, 64<<10)
	first, err := in.ReadSlice('\n')
	if errors.Is(err, io.EOF) { // new, or killed before the first line was whole
		return s.begin(ours)
	}
	var theirs identity
	if err != nil || json.Unmarshal(first, &theirs) != nil || theirs.Version == 0 {
		return fmt.Errorf("%w: it is no state of a batch", ErrForeign)
	}
	if err := ours.same(theirs); err != nil {
		return err
	}
	good := int64(len(first))
	for {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return s.cut(good)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		row, sequence, ok := acknowledged(text)
		if !ok || row >= rows {
			return s.cut(good) // torn: what follows is submitted again
		}
		good += int64(len(text))
		if sequence <= last {
			each(uint32(row), sequence)
		}
	}
}

func (s *State) begin(ours identity) error {
	text, err := json.Marshal(ours)
	if err != nil {
		return err
	}
	if err := s.cut(0); err != nil {
		return err
	}
	if err := s.add(append(text, '\n')); err != nil {
		return err
	}
	return s.flush()
}

// same tells two batches apart, in the words of the one who has to act.
func (i identity) same(theirs identity) error {
	switch {
	case theirs.Version != i.Version:
		return fmt.Errorf("%w: it was written by another version of this program", ErrForeign)
	case theirs.Input != i.Input:
		return fmt.Errorf("%w: the content of the input is not what it was (sha256 %.12s, now %.12s); "+
			"begin the changed file with another --results, its rows under new references unless they are unchanged", ErrForeign, theirs.Input, i.Input)
	case theirs.Rows != i.Rows:
		return fmt.Errorf("%w: the input is the same, but read otherwise: --account, --reference-prefix, --format, "+
			"the account's channel_id or dedupe.digest_key is not what it was when the batch began", ErrForeign)
	case theirs.Stream != i.Stream:
		return fmt.Errorf("%w: it was submitted to %s, and this is %s: connect to the server where it began", ErrForeign, theirs.Stream, i.Stream)
	default:
		return nil
	}
}

// acknowledged reads a line "row sequence".
func acknowledged(text []byte) (row, sequence uint64, ok bool) {
	text, ended := bytes.CutSuffix(text, []byte{'\n'})
	a, b, two := bytes.Cut(text, []byte{' '})
	row, errA := strconv.ParseUint(string(a), 10, 32)
	sequence, errB := strconv.ParseUint(string(b), 10, 64)
	return row, sequence, ended && two && errA == nil && errB == nil && sequence > 0
}

// Acknowledged notes that the server has stored a row.
func (s *State) Acknowledged(row uint32, sequence uint64) error {
	text := strconv.AppendUint(nil, uint64(row), 10)
	text = append(strconv.AppendUint(append(text, ' '), sequence, 10), '\n')
	if err := s.add(text); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// Flush makes what was noted safe on disk.
func (s *State) Flush() error {
	if err := s.flush(); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// Close flushes, unlocks and closes the file.
func (s *State) Close() error {
	if err := s.close(); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// HasState reports whether there is a state file.
func HasState(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
}
