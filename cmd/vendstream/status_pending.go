package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
)

const (
	// pendingCap is how many hand-offs of an account a look reads at most.
	pendingCap = 10_000
	// pendingReaders is how many read at once.
	pendingReaders = 16

	young     = time.Minute
	middleAge = 5 * time.Minute
)

// pending counts an account's open purchases by age. A work queue takes no second
// consumer for a subject, so they are read one by one, each with the request for
// the next of the subject at or after a sequence. The old ones, of which there
// may be very many, are not: where the young begin is found by halving, and the
// old are what is left of the total.
func (l *looker) pending(ctx context.Context, stream jetstream.Stream, info *jetstream.ConsumerInfo, account string, now time.Time) (statusPending, error) {
	var p statusPending
	h := handoffs{stream, l.subjects.AllPending(account), l.most}
	first, at, err := h.next(ctx, 1)
	if err != nil {
		return p, err
	}
	if first == 0 {
		older := uint64(0)
		p.Older = &older
		return p, nil
	}
	oldest := max(0, now.Sub(at)).Seconds()
	p.Oldest = &oldest
	if info != nil {
		p.Total = broker.Unsettled(info, nil)
	} else if p.Total, err = h.total(ctx); err != nil {
		return p, err
	}
	end := stream.CachedInfo().State.LastSeq + 1
	begin, err := h.since(ctx, first, end, now.Add(-middleAge))
	if err != nil {
		return p, err
	}
	if err := h.ages(ctx, begin, end, now, &p); err != nil {
		return p, err
	}
	// The numbers are of slightly different moments.
	p.Total = max(p.Total, p.Under1+p.Under5)
	if !p.Capped {
		older := p.Total - p.Under1 - p.Under5
		p.Older = &older
	}
	return p, nil
}

// handoffs reads one account's messages on the pending stream.
type handoffs struct {
	stream  jetstream.Stream
	subject string
	most    uint64 // to read of those that are counted by age
}

// next is the sequence and time of the first at or after a sequence; 0 where
// there is none.
func (h handoffs) next(ctx context.Context, from uint64) (uint64, time.Time, error) {
	m, err := h.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(h.subject))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, time.Time{}, nil
	case err != nil:
		return 0, time.Time{}, unreachable(fmt.Errorf("read the open purchases: %w", err))
	}
	return m.Sequence, m.Time, nil
}

// total is how many there are, where no consumer can tell.
func (h handoffs) total(ctx context.Context) (uint64, error) {
	info, err := h.stream.Info(ctx, jetstream.WithSubjectFilter(h.subject))
	if err != nil {
		return 0, unreachable(fmt.Errorf("count the open purchases: %w", err))
	}
	return uint64(len(info.State.Subjects)), nil
}

// since is the lowest sequence of lo … hi from which on all are of that time or
// later. Sequences that are gone are no harm: the next message stands for them.
func (h handoffs) since(ctx context.Context, lo, hi uint64, when time.Time) (uint64, error) {
	for lo < hi {
		middle := lo + (hi-lo)/2
		found, at, err := h.next(ctx, middle)
		switch {
		case err != nil:
			return 0, err
		case found == 0 || found >= hi || !at.Before(when):
			hi = middle
		default:
			lo = found + 1
		}
	}
	return lo, nil
}

// ages counts those with a sequence of begin or more and below end, in parts of
// the range at the same time.
func (h handoffs) ages(ctx context.Context, begin, end uint64, now time.Time, p *statusPending) error {
	var under1, under5, read atomic.Uint64
	var capped atomic.Bool
	part := (end-begin)/pendingReaders + 1
	errs := make([]error, pendingReaders)
	var wg sync.WaitGroup
	for i := range errs {
		from := begin + uint64(i)*part
		to := min(from+part, end)
		wg.Go(func() {
			for from < to {
				found, at, err := h.next(ctx, from)
				if err != nil || found == 0 || found >= to {
					errs[i] = err
					return
				}
				if read.Add(1) > h.most {
					capped.Store(true)
					return
				}
				if now.Sub(at) < young {
					under1.Add(1)
				} else {
					under5.Add(1)
				}
				from = found + 1
			}
		})
	}
	wg.Wait()
	p.Under1, p.Under5, p.Capped = under1.Load(), under5.Load(), capped.Load()
	return errors.Join(errs...)
}
