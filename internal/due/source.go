package due

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/combine"
	"github.com/vendstream/vendstream/internal/worker"
)

// Found is a hand-off on the stream and when its purchase was submitted.
type Found struct {
	Sequence  uint64
	Submitted time.Time
}

// State is what is said of the stream.
type State struct {
	Made time.Time // when it was made. Another time is another stream; the same need not be the same
	Last uint64    // sequence of its newest message
}

// Stream reads the account's hand-offs, as the stream's leader has them.
type Stream interface {
	State(ctx context.Context) (State, error)
	// Scan asks width times, for the first hand-off at or after from, after from+1
	// and so on, and returns what there is up to the first question without an answer,
	// in order, each once, and with nothing between them left out.
	Scan(ctx context.Context, from uint64, width int) ([]Found, error)
	// Read returns the hand-offs with these sequences, without an Acker; nil for
	// one that is not there.
	Read(ctx context.Context, sequences []uint64) ([]*worker.Delivery, error)
	// Delete removes a hand-off, and reports whether it was there.
	Delete(ctx context.Context, subject string, sequence uint64) (bool, error)
}

// Times is when the account's hand-offs are due. *Index is one, and says more.
type Times interface {
	Add(ctx context.Context, stream string, from, upTo uint64, entries []Entry) (uint64, error)
	Reset(ctx context.Context, stream string) error
	Take(ctx context.Context, n int, lease time.Duration) (Taken, error)
	Postpone(ctx context.Context, entries ...Entry) error
	Drop(ctx context.Context, sequences ...uint64) error
}

// Config is what a Source is made of. All of it is required.
type Config struct {
	Index  Times
	Stream Stream
	// Lease is how long a hand-off that was given out is not given out again,
	// unless it is ended or prolonged before.
	Lease time.Duration
	// Tick is the time between looks for new hand-offs. What is due is asked for at
	// most ten times in it, so that what a question costs is shared.
	Tick time.Duration
	// First is how long from now a hand-off is due that was found, by when its
	// purchase was submitted.
	First func(now, submitted time.Time, sequence uint64) time.Duration
}

const (
	// pullWait is how long a Pull waits for something to be due.
	pullWait = time.Second
	// A Scan that goes on makes from narrow to widest questions: more where messages
	// stand close together. As many as narrow are asked in one round trip.
	narrow, widest = 16, 256
	// mostTaken bounds what is given out at once, and read in one go.
	mostTaken = 256
	// missedFor is the time after which a hand-off that is not found is asked for once
	// more before it leaves the index. mostMissed bounds how many wait for that.
	missedFor  = 30 * time.Second
	mostMissed = 10_000
	// checkEvery is the time between looks at whether the stream is still the one
	// that the index is of.
	checkEvery = time.Minute
	// sweepEvery is the time from the end of one reading of the whole stream to the next.
	// The first comes at the start. They find what the index should have and has not.
	sweepEvery = time.Hour
	// budget bounds a part of a scan or a sweep, in time and in calls of Scan, and the
	// next part of a sweep comes after sweepPause.
	budget     = 20 * time.Millisecond
	mostScans  = 32
	sweepPause = 100 * time.Millisecond
)

// Source gives out an account's hand-offs when they are due. Pull is for one
// goroutine at a time.
type Source struct {
	c Config

	stream  string // identity of the one that is read; "": not known yet
	checked time.Time
	scan    reader // what is new
	sweep   reader // all, now and then
	scanAt  time.Time
	sweepAt time.Time

	// missed is when a hand-off was not found for the first time.
	missed map[uint64]time.Time

	postpones combine.Combiner[Entry, error]

	mu     sync.Mutex
	took   time.Time     // when the index was asked last
	takeAt time.Time     // when it is to be asked again
	wake   chan struct{} // takeAt came closer; never blocks
}

// reader is a place on the stream.
type reader struct {
	next  uint64
	width int
}

// New makes a Source.
func New(c Config) *Source {
	return &Source{c: c, missed: map[uint64]time.Time{}, wake: make(chan struct{}, 1)}
}

// Pull implements worker.Source.
func (s *Source) Pull(ctx context.Context, n int, each func([]*worker.Delivery)) error {
	over := time.Now().Add(pullWait)
	for ctx.Err() == nil {
		if err := s.look(ctx); err != nil {
			return err
		}
		chunk, err := s.take(ctx, n)
		if err != nil {
			return err
		}
		if len(chunk) > 0 {
			each(chunk)
			return nil
		}
		if !s.sleep(ctx, over) {
			return nil
		}
	}
	return nil
}

// sleep waits until there is something to do, and reports false where that is not
// before the end of the pull.
func (s *Source) sleep(ctx context.Context, over time.Time) bool {
	until := s.scanAt
	for _, at := range []time.Time{s.sweepAt, s.takes()} {
		if at.Before(until) {
			until = at
		}
	}
	more := until.Before(over)
	if !more {
		until = over
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return more
	case <-s.wake:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Source) takes() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takeAt
}

// soon has the index asked again after a time at the latest.
func (s *Source) soon(after time.Duration) {
	at := time.Now().Add(after)
	s.mu.Lock()
	if least := s.took.Add(s.c.Tick / 10); at.Before(least) {
		at = least
	}
	earlier := at.Before(s.takeAt)
	if earlier {
		s.takeAt = at
	}
	s.mu.Unlock()
	if earlier {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// take gives out what is due, where the index is to be asked now.
func (s *Source) take(ctx context.Context, n int) ([]*worker.Delivery, error) {
	if time.Now().Before(s.takes()) {
		return nil, nil
	}
	// Before the question: what is put back meanwhile brings it forward again.
	n = min(n, mostTaken)
	s.mu.Lock()
	s.took = time.Now()
	s.takeAt = s.took.Add(s.c.Lease / 2) // a lease of another process may have run out
	s.mu.Unlock()
	taken, err := s.c.Index.Take(ctx, n, s.c.Lease)
	if err != nil {
		s.soon(0)
		return nil, err
	}
	if s.scan.next > 0 && (taken.Stream != s.stream || taken.Cursor < s.scan.next) {
		// Redis has forgotten, wholly or in part.
		s.scan = reader{}
		s.scanAt = time.Now()
	}
	if len(taken.Sequences) == n {
		s.mu.Lock()
		s.takeAt = s.took // there may be more
		s.mu.Unlock()
	} else if taken.Wait >= 0 {
		s.soon(taken.Wait)
	}
	if len(taken.Sequences) == 0 {
		return nil, nil
	}
	read, err := s.c.Stream.Read(ctx, taken.Sequences)
	if err != nil {
		// They were given out to nobody. Those for which this fails too come after the lease.
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullWait)
		defer cancel()
		entries := make([]Entry, len(taken.Sequences))
		for i, sequence := range taken.Sequences {
			entries[i].Sequence = sequence
		}
		_ = s.c.Index.Postpone(back, entries...)
		s.soon(0)
		return nil, err
	}
	chunk := make([]*worker.Delivery, 0, len(read))
	var gone []uint64
	var missed []Entry
	for i, d := range read {
		if sequence := taken.Sequences[i]; d == nil {
			if s.gone(sequence) {
				gone = append(gone, sequence)
			} else {
				missed = append(missed, Entry{sequence, missedFor})
			}
			continue
		}
		d.Count = 1
		d.Acker = &acker{s: s, subject: d.Subject, sequence: d.Sequence, turn: make(chan struct{}, 1)}
		chunk = append(chunk, d)
	}
	err = errors.Join(s.c.Index.Postpone(ctx, missed...), s.c.Index.Drop(ctx, gone...))
	if len(chunk) > 0 {
		return chunk, nil // the rest comes again
	}
	return nil, err
}

// gone reports whether a hand-off that was not found just now was not found before,
// either, so long ago that both answers cannot be those of a server that led the
// stream once and speaks from before (decision 20).
func (s *Source) gone(sequence uint64) bool {
	now := time.Now()
	first, before := s.missed[sequence]
	switch {
	case !before:
		if len(s.missed) >= mostMissed {
			clear(s.missed) // they are asked for twice more
		}
		s.missed[sequence] = now
	case now.Sub(first) >= missedFor:
		delete(s.missed, sequence)
		return true
	}
	return false
}
