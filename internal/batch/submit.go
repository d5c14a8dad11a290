package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

const (
	// chunkRows is how many rows are in memory while they are submitted.
	chunkRows = 1024
	// askers is how many questions to the ledger are under way at once.
	askers = 64
)

// item is a row on its way.
type item struct {
	row       uint32
	reference string
	request   publisher.Request
}

// submitAll takes the rows in chunks: each row is looked up in the ledger, and
// submitted where nothing is known of it.
func (r *Runner) submitAll(ctx context.Context) error {
	pace := &pace{rate: r.Rate}
	chunk := make([]item, 0, chunkRows)
	flush := func() error {
		err := r.chunk(ctx, chunk, pace)
		clear(chunk)
		chunk = chunk[:0]
		return err
	}
	err := r.rows(func(row uint32, parsed *purchase.Request, request *publisher.Request) error {
		if r.Results == nil && r.Tracker.stage(row) >= open {
			return nil
		}
		chunk = append(chunk, item{row, parsed.Reference, *request})
		if len(chunk) < chunkRows {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		r.Tracker.allSubmitted()
	}
	return err
}

func (r *Runner) chunk(ctx context.Context, chunk []item, pace *pace) error {
	if r.Results != nil {
		if err := r.lookUp(ctx, chunk); err != nil {
			return err
		}
	}
	var todo []item
	for _, i := range chunk {
		if r.Tracker.stage(i.row) < open {
			todo = append(todo, i)
		}
	}
	for wait := retryFirst; len(todo) > 0; wait = min(2*wait, retryLongest) {
		before := len(todo)
		var err, trouble error
		if todo, trouble, err = r.submit(ctx, todo, pace); err != nil {
			return err
		}
		switch {
		case trouble == nil:
			continue
		case len(todo) < before:
			wait = retryFirst
		}
		r.Say(fmt.Sprintf("the server does not take purchases now, the next try is in %s and no row is left out: %v", wait, trouble))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

// lookUp asks the ledger for the results of rows. The feed has begun before, so
// whatever comes later is told by it.
func (r *Runner) lookUp(ctx context.Context, chunk []item) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askers)
	for _, i := range chunk {
		g.Go(func() error {
			var body json.RawMessage
			err := r.persist(ctx, "the results cannot be read", func() (err error) {
				body, err = r.Ledger.ResultBody(ctx, i.request.Account, i.reference)
				return err
			})
			if err != nil || body == nil {
				return err
			}
			return r.result(i.request.Account, i.reference, body)
		})
	}
	return g.Wait()
}

// submit publishes rows and gives those that were not acknowledged, in order, with
// the first reason.
func (r *Runner) submit(ctx context.Context, todo []item, pace *pace) (left []item, trouble, err error) {
	var (
		failed atomic.Bool // the server does not take them: no more for now
		taken  int         // of todo
		graves []grave
	)
	// Reports come from another goroutine than that which takes rows.
	order := make(chan item, len(todo))
	sendErr := r.Sender.SubmitMany(ctx, func(yield func(publisher.Request) bool) {
		for _, i := range todo {
			if failed.Load() || pace.wait(ctx) != nil {
				return
			}
			taken++
			if !r.Tracker.send(i.row) {
				continue // it has an end by now
			}
			order <- i
			if !yield(i.request) {
				return
			}
		}
	}, func(s publisher.Submitted) {
		i := <-order
		if s.Err != nil {
			failed.Store(true)
			left = append(left, i)
			if trouble == nil {
				trouble = s.Err
			}
			return
		}
		if seen := r.Tracker.Submitted(i.row, s.Sequence); seen || s.Duplicate {
			graves = append(graves, grave{i.row, i.request.Account, s.Sequence})
		}
		if noteErr := r.acknowledged(i.row, s.Sequence); noteErr != nil && err == nil {
			err = noteErr
			failed.Store(true)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	if sendErr != nil {
		return nil, nil, sendErr
	}
	if invalid := (*publisher.InvalidError)(nil); errors.As(trouble, &invalid) {
		return nil, nil, fmt.Errorf("%w: %w", ErrChanged, trouble) // the check has let it pass
	}
	for _, g := range graves {
		if r.Results == nil {
			break
		}
		if err := r.bury(ctx, g.row, g.account, g.sequence); err != nil {
			return nil, nil, err
		}
	}
	return append(left, todo[taken:]...), trouble, nil
}

// grave is a row whose dead letter may have been there before its
// acknowledgement.
type grave struct {
	row      uint32
	account  string
	sequence uint64
}

func (r *Runner) acknowledged(row uint32, sequence uint64) error {
	r.Tracker.mu.Lock()
	defer r.Tracker.mu.Unlock()
	return r.State.Acknowledged(row, sequence)
}

// pace spreads submissions over time.
type pace struct {
	rate int // in a second; 0 is no limit
	next time.Time
}

// wait waits for the next one's turn.
func (p *pace) wait(ctx context.Context) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.next.Before(now) {
		p.next = now // what was not used is lost: no burst after a halt
	}
	ahead := p.next.Sub(now)
	p.next = p.next.Add(time.Second / time.Duration(p.rate))
	if ahead <= 0 {
		return ctx.Err()
	}
	return sleep(ctx, ahead)
}
