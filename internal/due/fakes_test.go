package due

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/worker"
)

// times is what an Index does, in memory and with the time of the test. It is held
// against real ones by TestIndexIsAsTimes.
type times struct {
	now func() time.Time

	mu     sync.Mutex
	due    map[uint64]time.Time
	stream string // "": no cursor
	cursor uint64
	away   error
	asked  int // calls of Take
	resets int
}

func newTimes(now func() time.Time) *times { return &times{now: now, due: map[uint64]time.Time{}} }

func (x *times) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.due)
	x.stream, x.cursor = "", 0
}

func (x *times) Add(_ context.Context, stream string, from, upTo uint64, entries []Entry) (uint64, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.away != nil {
		return 0, x.away
	}
	if x.stream != "" && x.stream != stream {
		clear(x.due)
		x.stream, x.cursor = "", 0
	}
	for _, e := range entries {
		if _, there := x.due[e.Sequence]; !there {
			x.due[e.Sequence] = x.now().Add(e.After)
		}
	}
	if upTo > x.cursor && from <= x.cursor {
		x.stream, x.cursor = stream, upTo
	}
	return x.cursor, nil
}

func (x *times) Reset(_ context.Context, stream string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.resets++
	if x.stream != "" && x.stream != stream {
		clear(x.due)
	}
	x.stream, x.cursor = "", 0
	return x.away
}

func (x *times) Take(_ context.Context, n int, lease time.Duration) (Taken, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked++
	if x.away != nil {
		return Taken{}, x.away
	}
	t := Taken{Stream: x.stream, Cursor: x.cursor, Wait: -1}
	t.Sequences = x.those(func(wait time.Duration) bool { return wait <= 0 })
	if len(t.Sequences) == 0 {
		t.Sequences = x.those(func(wait time.Duration) bool { return wait > longest })
	}
	// Those of one time in the order in which Redis has them.
	slices.SortFunc(t.Sequences, func(a, b uint64) int {
		return cmp.Or(x.due[a].Compare(x.due[b]), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	t.Sequences = t.Sequences[:min(n, len(t.Sequences))]
	for _, sequence := range t.Sequences {
		x.due[sequence] = x.now().Add(lease)
	}
	for _, at := range x.due {
		if wait := max(0, at.Sub(x.now())); t.Wait < 0 || wait < t.Wait {
			t.Wait = wait
		}
	}
	return t, nil
}

// those are the sequences with such a wait.
func (x *times) those(is func(time.Duration) bool) (all []uint64) {
	for sequence, at := range x.due {
		if is(at.Sub(x.now())) {
			all = append(all, sequence)
		}
	}
	return all
}

func (x *times) Postpone(_ context.Context, entries ...Entry) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range entries {
		if _, there := x.due[e.Sequence]; there && x.away == nil {
			x.due[e.Sequence] = x.now().Add(e.After)
		}
	}
	return x.away
}

func (x *times) Drop(_ context.Context, sequences ...uint64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.away != nil {
		return x.away
	}
	for _, s := range sequences {
		delete(x.due, s)
	}
	return nil
}

func (x *times) has(sequence uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, there := x.due[sequence]
	return there
}

// stream is a stream in memory.
type stream struct {
	mu       sync.Mutex
	made     time.Time
	messages map[uint64]time.Time // by sequence: when it was submitted
	last     uint64
	away     error
	unread   error  // of Read alone
	stated   func() // called when State is asked, after its answer was made
	scanned  int    // questions of Scan
}

func newStream() *stream { return &stream{made: time.Now(), messages: map[uint64]time.Time{}} }

// store puts a message on the stream, behind as many of other accounts.
func (s *stream) store(others uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last += others + 1
	s.messages[s.last] = time.Now()
	return s.last
}

func (s *stream) State(context.Context) (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stated != nil {
		defer s.stated()
	}
	return State{s.made, s.last}, s.away
}

func (s *stream) Scan(_ context.Context, from uint64, width int) ([]Found, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scanned += width
	if s.away != nil || from > s.last {
		return nil, s.away
	}
	var found []Found
	for _, sequence := range slices.Sorted(maps.Keys(s.messages)) {
		if sequence < from {
			continue
		}
		found = append(found, Found{sequence, s.messages[sequence]})
		if sequence >= from+uint64(width)-1 {
			break
		}
	}
	return found, nil
}

func (s *stream) Read(_ context.Context, sequences []uint64) ([]*worker.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.away, s.unread); err != nil {
		return nil, err
	}
	all := make([]*worker.Delivery, len(sequences))
	for i, sequence := range sequences {
		if at, there := s.messages[sequence]; there {
			all[i] = &worker.Delivery{Subject: "of acme", Sequence: sequence, Time: at}
		}
	}
	return all, nil
}

func (s *stream) Delete(_ context.Context, subject string, sequence uint64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.messages[sequence]; !there || s.away != nil || subject != "of acme" {
		return false, s.away
	}
	delete(s.messages, sequence)
	return true, nil
}

func (s *stream) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}
