package due

import (
	"context"
	"strconv"
	"time"
)

// look brings the index up to date with the stream, a part at a time: what is due
// does not wait for it.
func (s *Source) look(ctx context.Context) error {
	now := time.Now()
	if s.stream == "" || now.Sub(s.checked) >= checkEvery {
		if err := s.check(ctx, now); err != nil {
			return err
		}
	}
	if !now.Before(s.scanAt) {
		more, err := s.part(ctx, now, s.scanOn)
		if err != nil {
			return err
		}
		if !more {
			s.scanAt = now.Add(s.c.Tick)
		}
	}
	if !now.Before(s.sweepAt) {
		more, err := s.part(ctx, now, s.sweepOn)
		if err != nil {
			return err
		}
		s.sweepAt = time.Now().Add(sweepPause)
		if !more {
			s.sweep, s.sweepAt = reader{}, time.Now().Add(sweepEvery)
		}
	}
	return nil
}

// part goes on with a reading for a while, and reports whether there is more of it.
func (s *Source) part(ctx context.Context, began time.Time, on func(context.Context) (bool, error)) (more bool, err error) {
	more = true
	for n := 0; more && err == nil && n < mostScans && time.Since(began) < budget; n++ {
		more, err = on(ctx)
	}
	return more, err
}

// check finds out whether the stream is still the one that the index is of, and not
// one that was made anew or has lost its end, as after a power cut.
func (s *Source) check(ctx context.Context, now time.Time) error {
	state, err := s.c.Stream.State(ctx)
	if err != nil {
		return err
	}
	made := strconv.FormatInt(state.Made.UnixNano(), 10)
	cursor, err := s.c.Index.Add(ctx, made, 0, 0, nil)
	if err != nil {
		return err
	}
	if cursor > state.Last+1 {
		// Another process may have gone on since the stream was asked.
		if state, err = s.c.Stream.State(ctx); err != nil {
			return err
		}
	}
	if cursor > state.Last+1 {
		// Sequences below the cursor will be given to new messages.
		if err := s.c.Index.Reset(ctx, made); err != nil {
			return err
		}
		cursor = 0
	}
	if s.stream != made || s.scan.next > state.Last+1 {
		s.scan, s.scanAt = reader{next: cursor}, now
		s.sweep, s.sweepAt = reader{}, now
		if cursor == 0 {
			s.sweepAt = now.Add(sweepEvery) // the scan is one
		}
	}
	s.stream, s.checked = made, now
	return nil
}

// scanOn reads what is new, and moves the cursor.
func (s *Source) scanOn(ctx context.Context) (more bool, err error) {
	found, err := s.scan.read(ctx, s.c.Stream)
	if err != nil || len(found) == 0 {
		return false, err
	}
	entries, soonest := s.entries(found)
	upTo := found[len(found)-1].Sequence + 1
	there, err := s.c.Index.Add(ctx, s.stream, s.scan.next, upTo, entries)
	if err != nil {
		return false, err
	}
	// Less where Redis has forgotten some, and more where another process is further on.
	s.scan.next = there
	s.soon(soonest)
	return true, nil
}

// sweepOn reads a part of the whole stream. What is in the index stays as it is.
func (s *Source) sweepOn(ctx context.Context) (more bool, err error) {
	found, err := s.sweep.read(ctx, s.c.Stream)
	if err != nil || len(found) == 0 {
		return false, err
	}
	entries, soonest := s.entries(found)
	if _, err := s.c.Index.Add(ctx, s.stream, 0, 0, entries); err != nil {
		return false, err
	}
	s.sweep.next = found[len(found)-1].Sequence + 1
	s.soon(soonest)
	return s.sweep.next < s.scan.next, nil
}

// entries are what was found with the times at which it is due, and the first of them.
func (s *Source) entries(found []Found) (entries []Entry, soonest time.Duration) {
	now := time.Now()
	for i, f := range found {
		e := Entry{f.Sequence, s.c.First(now, f.Submitted, f.Sequence)}
		if i == 0 || e.After < soonest {
			soonest = e.After
		}
		entries = append(entries, e)
	}
	return entries, soonest
}

// read reads on from the place, which stays, and fits the width to how close together
// the messages stand. Where there was nothing, one question is enough to see that there
// still is nothing.
func (r *reader) read(ctx context.Context, stream Stream) ([]Found, error) {
	width := max(1, r.width)
	found, err := stream.Scan(ctx, r.next, width)
	switch {
	case len(found) == 0:
		r.width = 1
	case 2*len(found) > width:
		r.width = min(widest, max(narrow, 2*width))
	default:
		r.width = max(narrow, width/4)
	}
	return found, err
}
