package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// Sender submits purchases. *publisher.Publisher is one.
type Sender interface {
	SubmitMany(ctx context.Context, requests iter.Seq[publisher.Request], done func(publisher.Submitted)) error
}

// Ledger is asked what is known. *publisher.Store is one.
type Ledger interface {
	// ResultBody is a purchase's result, or nil.
	ResultBody(ctx context.Context, account, reference string) (json.RawMessage, error)
	// Dead is the dead letter of a request, or nil.
	Dead(ctx context.Context, account string, sequence uint64) (*publisher.DeadLetter, error)
}

// Feed tells what comes. Both go on over lost connections, leave nothing out, may
// tell something twice, and end with ctx or with the error of each.
type Feed interface {
	// Results gives the results that were stored since before the run began.
	Results(ctx context.Context, each func(account, reference string, body []byte) error) error
	// Dead gives all dead letters there are, of before the run too.
	Dead(ctx context.Context, each func(account string, sequence uint64) error) error
}

// Runner submits the rows of a plan and collects their ends. Every field is needed
// unless it says otherwise.
type Runner struct {
	Plan    *Plan
	Tracker *Tracker
	State   *State
	Results *Results // nil: do not wait for ends; then Ledger and Feed are not used
	Sender  Sender
	Ledger  Ledger
	Feed    Feed
	// Source reads the input from its beginning.
	Source func() (Reader, error)
	Buyer  Buyer
	// After is the last sequence of the requests stream when the run began.
	After uint64
	// Rate is how many purchases are submitted in a second at most; 0 is as many
	// as are acknowledged.
	Rate int
	// Say tells the user what holds the run up.
	Say func(text string)

	other sync.Once // a result of another payload was told
}

// ErrChanged is returned where the input is not what it was when it was checked.
var ErrChanged = errors.New("the input was changed while it was read")

var errDone = errors.New("all rows have an end")

// Run submits what is not submitted and waits until every row has an end or ctx
// ends. What it has learned is on disk when it returns, whatever the error; rows
// without an end are written as UNKNOWN. The error is nil where nothing is left to
// do, and ctx's cause where that ended it.
func (r *Runner) Run(ctx context.Context) error {
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if r.Results != nil && r.Tracker.Progress().Total == r.Tracker.ended() {
		return r.finish(nil, true) // a batch that was done already
	}
	g, work := errgroup.WithContext(work)
	g.Go(func() error {
		err := r.submitAll(work)
		if err == nil && r.Results == nil {
			return errDone
		}
		return err
	})
	g.Go(func() error { return r.keep(work) })
	if r.Results != nil {
		g.Go(func() error {
			return r.Feed.Results(work, func(a, ref string, b []byte) error { return r.result(a, ref, b) })
		})
		g.Go(func() error { return r.Feed.Dead(work, r.dead(work)) })
		g.Go(func() error {
			select {
			case <-r.Tracker.done:
				return errDone
			case <-work.Done():
				return context.Cause(work)
			}
		})
	}
	err := g.Wait()
	switch {
	case errors.Is(err, errDone):
		return r.finish(nil, true)
	case ctx.Err() != nil:
		return r.finish(context.Cause(ctx), true)
	default:
		return r.finish(err, false)
	}
}

// finish makes all that was learned safe on disk, with what is still open where
// the files and the input are as they should be. Nobody else is at work any more.
func (r *Runner) finish(err error, sound bool) error {
	if r.Results == nil {
		return errors.Join(err, r.State.Flush())
	}
	if sound {
		err = errors.Join(err, r.unknowns())
	}
	return errors.Join(err, r.Results.Flush(), r.State.Flush())
}

// keep makes what was learned safe on disk from time to time.
func (r *Runner) keep(ctx context.Context) error {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := r.flush(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *Runner) flush() error {
	r.Tracker.mu.Lock()
	defer r.Tracker.mu.Unlock()
	if r.Results != nil {
		if err := r.Results.Flush(); err != nil {
			return err
		}
	}
	return r.State.Flush()
}

// result takes a result of the ledger. One of a purchase that is not in the batch,
// or of another payload under the same reference, is none of a row.
func (r *Runner) result(account, reference string, body []byte) error {
	row, ours := r.Plan.find(account, reference)
	if !ours || r.Tracker.stage(row) >= ended {
		return nil
	}
	var result purchase.Result
	if err := json.Unmarshal(body, &result); err != nil || result.Status != purchase.StatusCompleted && result.Status != purchase.StatusFailed {
		r.leaveOpen(row, "the result in the ledger")
		return nil
	}
	if markOf(string(result.RequestDigest)) != r.Plan.rows[row].digest {
		r.other.Do(func() {
			r.Say(fmt.Sprintf("line %d: there is a result under this reference, and it is of another payload, or the channel_id or "+
				"dedupe.digest_key configured here is not the daemons': waiting for what becomes of the row (told once for all rows)", r.Plan.rows[row].line))
		})
		return nil
	}
	return r.end(row, recordOf(&result, r.Plan.rows[row].line, r.Results.receipts))
}

// leaveOpen gives up on a row whose end is there and cannot be read.
func (r *Runner) leaveOpen(row uint32, what string) {
	if r.Tracker.unreadable(row) {
		r.Say(fmt.Sprintf("line %d: %s cannot be read, and the row is left open", r.Plan.rows[row].line, what))
	}
}

// end writes a row's end, once.
func (r *Runner) end(row uint32, record Record) error {
	r.Tracker.mu.Lock()
	defer r.Tracker.mu.Unlock()
	if r.Tracker.stages[row] >= ended {
		return nil
	}
	if err := r.Results.Add(record); err != nil {
		return err
	}
	r.Tracker.end(row, record.Status, plainText(record.Amount))
	return nil
}

// dead takes the dead letters.
func (r *Runner) dead(ctx context.Context) func(string, uint64) error {
	return func(account string, sequence uint64) error {
		row, ours := r.Tracker.grave(sequence, sequence > r.After)
		if !ours {
			return nil
		}
		return r.bury(ctx, row, account, sequence)
	}
}

// bury ends a row whose message is a dead letter, if it is one.
func (r *Runner) bury(ctx context.Context, row uint32, account string, sequence uint64) error {
	var letter *publisher.DeadLetter
	err := r.persist(ctx, "the dead letters cannot be read", func() (err error) {
		letter, err = r.Ledger.Dead(ctx, account, sequence)
		return err
	})
	if err != nil || letter == nil {
		return err
	}
	record := Record{
		Line: r.Plan.rows[row].line, Account: account, Status: Dead,
		DeadReason: string(letter.Reason), Detail: letter.Detail,
	}
	request, err := purchase.Parse(letter.Body, purchase.Account{Name: account})
	if err != nil {
		r.leaveOpen(row, "the dead letter")
		return nil
	}
	if at, ok := r.Plan.find(account, request.Reference); !ok || at != row {
		return nil
	}
	record.MerchantReference = request.Reference
	if text := request.AmountText(); text != "" {
		record.Amount = json.RawMessage(text)
	}
	return r.end(row, record)
}

const (
	retryFirst   = time.Second
	retryLongest = 15 * time.Second
)

// persist tries again until it succeeds or ctx ends, and says so once.
func (r *Runner) persist(ctx context.Context, trouble string, try func() error) error {
	for wait := retryFirst; ; wait = min(2*wait, retryLongest) {
		err := try()
		if err == nil {
			if wait > retryFirst {
				r.Say("it goes on")
			}
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if wait == retryFirst {
			r.Say(fmt.Sprintf("%s, tried again until they can: %v", trouble, err))
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unknowns writes the rows that may have been bought and have no end, and counts
// those that were never submitted.
func (r *Runner) unknowns() error {
	if r.Tracker.ended() == r.Plan.Len() {
		return nil
	}
	return r.rows(func(row uint32, request *purchase.Request, _ *publisher.Request) error {
		var amount json.RawMessage
		if text := request.AmountText(); text != "" {
			amount = json.RawMessage(text)
		}
		switch stage := r.Tracker.stage(row); stage {
		case idle:
			r.Tracker.count(row, notSent, string(amount))
		case sending, open, stuck:
			r.Tracker.count(row, Unknown, string(amount))
			record := Record{
				MerchantReference: request.Reference, Line: r.Plan.rows[row].line, Account: request.Account,
				Status: Unknown, Amount: amount, Detail: details[stage],
			}
			return r.Results.Add(record)
		}
		return nil
	})
}

var details = map[stage]string{
	sending: "submitted, and not acknowledged",
	open:    "submitted, and without an end when waiting ended",
	stuck:   "its end is stored and cannot be read",
}

// rows reads the input once more and gives the rows without an end. An input that
// is not the checked one is ErrChanged.
func (r *Runner) rows(each func(row uint32, parsed *purchase.Request, request *publisher.Request) error) error {
	reader, err := r.Source()
	if err != nil {
		return changed(err)
	}
	for row := uint32(0); int(row) < r.Plan.Len(); row++ {
		next, err := reader.Next()
		if err != nil {
			return changed(err)
		}
		if r.Tracker.stage(row) == ended {
			continue
		}
		parsed, err := parse(&next, r.Buyer)
		if err != nil {
			return changed(err)
		}
		if at, ok := r.Plan.find(parsed.Account, parsed.Reference); !ok || at != row || markOf(string(parsed.Digest)) != r.Plan.rows[row].digest {
			return ErrChanged
		}
		if err := each(row, parsed, &next.Request); err != nil {
			return err
		}
	}
	return nil
}

func changed(err error) error { return fmt.Errorf("%w: %w", ErrChanged, err) }

func (t *Tracker) ended() int { return t.Progress().Ended() }
