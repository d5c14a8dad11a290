// Package housekeeping purges settled requests that are older than
// retention.requests, and nothing else.
//
// A purge takes the oldest requests of one account, up to a sequence. Each of them
// is proven first, one by one: it is acknowledged by every consumer of its subject,
// no hand-off of it is open, and its own end is stored, a result with its digest or
// a dead letter under its sequence. The first that is not so stops the purge, of this
// account alone, and is told. Requests of an account without a consumer have
// nobody to acknowledge them: they go with their end alone.
//
// Where ends are kept for a shorter time than requests (retention.results), there
// comes a time at which an end is no longer there to be seen. Then the proof is the
// acknowledgement, which follows the stored end, with no hand-off open.
//
// What is proven stays proven: an acknowledged request is not delivered again, ends
// are written once, and hand-offs are made of unacknowledged requests only. So a
// crash between proof and purge, or another process that purges at the same time,
// does no harm.
package housekeeping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/audit"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

const (
	// longest and shortest are the limits of the time between two rounds.
	longest  = time.Hour
	shortest = time.Second
	// batchSize is how many requests are proven, and then purged, together.
	batchSize = 1000
	// width is how many are proven at once.
	width = 4
)

// Streams is what is purged, and who has it.
type Streams interface {
	// Accounts are those with requests on the stream, configured or not.
	Accounts(ctx context.Context) ([]string, error)
	// PurgeRequests removes the requests of an account below a sequence.
	PurgeRequests(ctx context.Context, account string, below uint64) (uint64, error)
}

// Config is what housekeeping works with. All of it is required.
type Config struct {
	Audit   audit.Config
	Streams Streams
	// Accounts are the configured ones. Of the others, only those without a consumer
	// are looked at: those with one belong to a process that knows how to read them.
	Accounts []string
	// Retention is retention.requests.
	Retention time.Duration
	// Purged is told how many requests went.
	Purged func(account string, n uint64)
	// Blocked is told after each round of each account: the request that stopped the
	// purge, or nil.
	Blocked func(account string, by *Block)
	Report  func(error)
}

// Block is a request that is older than the retention and must stay.
type Block struct {
	Sequence uint64
	Age      time.Duration
	State    audit.State
	Detail   string
}

// Keeper does the housekeeping.
type Keeper struct{ Config }

// New makes a Keeper. It does nothing until Run.
func New(c Config) *Keeper { return &Keeper{c} }

// Run keeps house until ctx ends: every hour, or more often where the retention is
// less than a day. Rounds of several processes are spread by chance.
func (k *Keeper) Run(ctx context.Context) error {
	every := min(longest, max(shortest, k.Retention/24))
	for worker.Sleep(ctx, rand.N(every)) {
		if err := k.Round(ctx); err != nil && ctx.Err() == nil {
			k.Report(err)
		}
		if !worker.Sleep(ctx, every/2) {
			break
		}
	}
	return nil
}

// Round goes through all accounts once. An account that fails keeps no other from
// its turn.
func (k *Keeper) Round(ctx context.Context) error {
	accounts, err := k.Streams.Accounts(ctx)
	if err != nil {
		return fmt.Errorf("housekeeping: %w", err)
	}
	// Also those of which nothing is left: they are not blocked any more.
	accounts = append(accounts, k.Accounts...)
	slices.Sort(accounts)
	accounts = slices.Compact(accounts)
	var errs []error
	for _, account := range accounts {
		if strings.ContainsAny(account, "*>") {
			continue // a subject that somebody made up, and that would stand for others
		}
		ground, err := k.Audit.Ground(ctx) // before any end is looked for
		if err == nil {
			err = k.account(ctx, ground, account)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("housekeeping: account %s: %w", account, err))
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) account(ctx context.Context, ground audit.Ground, account string) error {
	_, served := ground.Floors[account]
	if served && !slices.Contains(k.Accounts, account) {
		return nil
	}
	subject := k.Audit.Subjects.Requests(account)
	limit := ground.Now.Add(-k.Retention)
	first, err := k.Audit.Seeker.Next(ctx, k.Audit.Subjects.RequestsStream(), subject, 1)
	if err != nil {
		return err
	}
	if first == nil || !first.Time.Before(limit) {
		k.Blocked(account, nil)
		return nil
	}
	held, err := k.held(ctx, account)
	if err != nil {
		return err
	}
	p := &purge{Keeper: k, ground: ground, account: account, held: held}
	// From the leader, message by message: one that a replica lacks would go unproven.
	err = k.Audit.Seeker.Walk(ctx, k.Audit.Subjects.RequestsStream(), subject, func(d *worker.Delivery) error {
		if !d.Time.Before(limit) {
			return broker.ErrEnough
		}
		r, err := k.Audit.Read(d)
		if err != nil {
			return err
		}
		if p.batch = append(p.batch, r); len(p.batch) == batchSize {
			return p.flush(ctx)
		}
		return nil
	})
	if err == nil {
		err = p.flush(ctx)
	}
	if err != nil && !errors.Is(err, broker.ErrEnough) { // of the last flush
		return err
	}
	k.Blocked(account, p.blocked)
	return nil
}

// held is the lowest request of an open hand-off of the account: the poller may
// have to read it again.
func (k *Keeper) held(ctx context.Context, account string) (uint64, error) {
	lowest := uint64(math.MaxUint64)
	s := k.Audit.Subjects
	err := k.Audit.Seeker.Walk(ctx, s.PendingStream(), s.AllPending(account), func(d *worker.Delivery) error {
		var h purchase.Handoff
		if err := json.Unmarshal(d.Body, &h); err != nil {
			return fmt.Errorf("hand-off %d cannot be read, so that it is not known which request it needs: %w", d.Sequence, err)
		}
		lowest = min(lowest, h.RequestSequence)
		return nil
	})
	return lowest, err
}

// purge is one account's turn.
type purge struct {
	*Keeper
	ground  audit.Ground
	account string
	held    uint64
	batch   []audit.Request
	blocked *Block
}

// flush proves the requests of the batch and purges those before the first that is
// not proven. That one ends the reading.
func (p *purge) flush(ctx context.Context) error {
	settled, err := p.settled(ctx)
	if err != nil {
		return err
	}
	if settled > 0 {
		n, err := p.Streams.PurgeRequests(ctx, p.account, p.batch[settled-1].Sequence+1)
		if err != nil {
			return err
		}
		p.Purged(p.account, n)
	}
	p.batch = p.batch[:0]
	if p.blocked != nil {
		return broker.ErrEnough
	}
	return nil
}

// settled is how many of the batch, from its first on, are proven.
func (p *purge) settled(ctx context.Context) (int, error) {
	blocks := make([]*Block, len(p.batch))
	errs := make([]error, len(p.batch))
	indexes := make(chan int)
	var wg sync.WaitGroup
	for range width {
		wg.Go(func() {
			for i := range indexes {
				blocks[i], errs[i] = p.prove(ctx, p.batch[i])
			}
		})
	}
	for i := range p.batch {
		indexes <- i
	}
	close(indexes)
	wg.Wait()
	for i := range p.batch {
		if errs[i] != nil {
			return 0, errs[i]
		}
		if blocks[i] != nil {
			p.blocked = blocks[i]
			return i, nil
		}
	}
	return len(p.batch), nil
}

// prove is nil where the request may go, and else why not.
func (p *purge) prove(ctx context.Context, r audit.Request) (*Block, error) {
	block := &Block{Sequence: r.Sequence, Age: p.ground.Now.Sub(r.Time)}
	if floor, served := p.ground.Floors[p.account]; served && r.Sequence > floor {
		block.State, block.Detail = audit.Waiting, "it, or one before it, is not acknowledged"
		return block, nil
	}
	if r.Sequence >= p.held {
		block.State, block.Detail = audit.Pending, fmt.Sprintf("the hand-off of request %d is open", p.held)
		return block, nil
	}
	var err error
	block.State, block.Detail, err = p.Audit.Judge(ctx, p.ground, r)
	if err != nil {
		return nil, err
	}
	switch block.State {
	case audit.Settled, audit.Dead, audit.Expired:
		return nil, nil
	default:
		return block, nil
	}
}
