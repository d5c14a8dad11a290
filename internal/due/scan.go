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
	if now.Before(s.scanAt) {
		return nil
	}
	found, err := s.c.Stream.Scan(ctx, s.scan.next, max(1, s.scan.width))
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return s.add(ctx, found)
	}
	// Nothing new: a part of the whole, where it is time for that.
	s.scan.width = 1
	s.scanAt = now.Add(s.c.Tick)
	if now.Before(s.sweepAt) {
		return nil
	}
	return s.sweepOn(ctx)
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
		// Sequences below the cursor will be given to new messages.
		if err := s.c.Index.Reset(ctx, made); err != nil {
			return err
		}
		cursor = 0
	}
	if s.stream != made || s.scan.next > state.Last+1 {
		s.scan = reader{next: cursor}
		s.sweep, s.sweepAt = reader{}, now.Add(sweepEvery)
		s.scanAt = now
	}
	s.stream, s.checked = made, now
	return nil
}

// add puts what a scan found into the index.
func (s *Source) add(ctx context.Context, found []Found) error {
	from, upTo := s.scan.next, found[len(found)-1].Sequence+1
	entries, soonest := s.entries(found)
	there, err := s.c.Index.Add(ctx, s.stream, from, upTo, entries)
	if err != nil {
		return err
	}
	s.soon(soonest)
	s.scan.after(found)
	if there != upTo {
		// Redis has forgotten some, or another process is further on.
		s.scan.next = there
	}
	return nil
}

// sweepOn reads a part of the whole stream. What is in the index stays as it is.
func (s *Source) sweepOn(ctx context.Context) error {
	found, err := s.c.Stream.Scan(ctx, s.sweep.next, max(1, s.sweep.width))
	if err != nil {
		return err
	}
	if len(found) == 0 || found[len(found)-1].Sequence >= s.scan.next {
		s.sweep, s.sweepAt = reader{}, time.Now().Add(sweepEvery)
		return nil
	}
	entries, soonest := s.entries(found)
	if _, err := s.c.Index.Add(ctx, s.stream, 0, 0, entries); err != nil {
		return err
	}
	s.sweep.after(found)
	s.soon(soonest)
	return nil
}

// entries are what was found with the times at which it is due, and the first of them.
func (s *Source) entries(found []Found) (entries []Entry, soonest time.Duration) {
	now := time.Now()
	for i, f := range found {
		e := Entry{f.Sequence, s.c.First(max(0, now.Sub(f.Submitted)), f.Sequence)}
		if i == 0 || e.After < soonest {
			soonest = e.After
		}
		entries = append(entries, e)
	}
	return entries, soonest
}

// after moves the place behind what was found, and fits the width to how close
// together that stood.
func (r *reader) after(found []Found) {
	width := max(1, r.width)
	r.next = found[len(found)-1].Sequence + 1
	if 2*len(found) > width {
		r.width = min(widest, 2*width)
	} else {
		r.width = max(1, width/4)
	}
}
