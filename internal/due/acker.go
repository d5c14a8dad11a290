package due

import (
	"context"
	"errors"
	"time"
)

// postpone is Index.Postpone, for all that ask for it meanwhile at once.
func (s *Source) postpone(ctx context.Context, one Entry) error {
	failed, err := s.postpones.Do(ctx, one, func(ctx context.Context, entries []Entry) []error {
		all := make([]error, len(entries))
		if err := s.c.Index.Postpone(ctx, entries...); err != nil {
			for i := range all {
				all[i] = err
			}
		}
		return all
	})
	return errors.Join(err, failed)
}

// acker ends or prolongs what was given out.
type acker struct {
	s        *Source
	subject  string
	sequence uint64
	turn     chan struct{} // holds one while a call is made: they come in order
	ended    bool
}

// begin waits for the call before this one, and reports whether the delivery was
// ended by it.
func (a *acker) begin(ctx context.Context) (ended bool, err error) {
	select {
	case a.turn <- struct{}{}:
		return a.ended, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// Ack removes the hand-off from the stream, and then from the index. One that is not
// found leaves the index as any other that is not.
func (a *acker) Ack(ctx context.Context) error {
	if _, err := a.begin(ctx); err != nil {
		return err
	}
	defer func() { <-a.turn }()
	a.ended = true
	if deleted, err := a.s.c.Stream.Delete(ctx, a.subject, a.sequence); err != nil || !deleted {
		return err
	}
	return a.s.c.Index.Drop(ctx, a.sequence)
}

func (a *acker) Retry(ctx context.Context, after time.Duration) error {
	if _, err := a.begin(ctx); err != nil {
		return err
	}
	defer func() { <-a.turn }()
	a.ended = true
	if err := a.s.postpone(ctx, Entry{a.sequence, after}); err != nil {
		return err
	}
	a.s.soon(after)
	return nil
}

// Progress of a delivery that was ended a moment ago is no error.
func (a *acker) Progress(ctx context.Context) error {
	ended, err := a.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { <-a.turn }()
	if ended {
		return nil
	}
	return a.s.postpone(ctx, Entry{a.sequence, a.s.c.Lease})
}
