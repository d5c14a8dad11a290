package poller

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/worker"
)

// Config is one account's poller. All of it is required unless said otherwise.
type Config struct {
	Account string
	// Owner names this process when it posts a purchase again; unique among all.
	Owner string
	// Slots is how many polls are under way at once.
	Slots    int
	Schedule Schedule
	// EscalateAfter is how long a purchase may be open before somebody is told.
	EscalateAfter time.Duration
	// Attempts is retry.attempts: how often a receipt is asked for.
	Attempts int
	// BackOff makes the policy between these calls.
	BackOff func() backoff.BackOff
	// PostLease is how long the right to post a purchase again is held: longer
	// than one call can take.
	PostLease time.Duration
	// KeepAlive and Grace are the pool's; see worker.Config.
	KeepAlive time.Duration
	Grace     time.Duration
	// Bundle is the pool's: hand-offs may be very many.
	Bundle bool

	Source  worker.Source
	Vendor  Vendor
	Gate    *gate.Gate
	Records Records
	Ledger  Ledger
	Writer  Writer
	Dead    Undertaker
	Limiter Limiter // nil: no limit
	// Hold pauses the account for all its processes. Nil: a purchase that meets
	// insufficient balance fails.
	Hold     func(pause.Cause)
	Observer Observer    // nil: nobody
	Report   func(error) // errors that end no purchase; nil: nobody
}

// awayRetry is the time before a hand-off is taken up again that Redis or NATS
// kept from being finished.
const awayRetry = 2 * time.Second

// unreadableRetry is the time before a hand-off that cannot be read is looked at
// again. It is never dropped.
const unreadableRetry = 5 * time.Minute

// Poller works through one account's hand-offs.
type Poller struct {
	config Config
	pool   *worker.Pool

	mu sync.Mutex
	// open is what this process remembers of hand-offs, by their sequence in the
	// pending stream; dropped when they end.
	open map[uint64]memory
	// posting is what this process is posting again right now: a message that is
	// delivered a second time has the same owner, and is a job of its own.
	posting map[dedupe.Key]struct{}
}

// memory is what is not worth a message of its own.
type memory struct {
	escalated bool
	attempts  int  // purchase calls beyond those in the hand-off
	held      bool // posted again, it met insufficient balance
}

// New makes a poller. It does nothing until Run.
func New(c Config) *Poller {
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Report == nil {
		c.Report = func(error) {}
	}
	p := &Poller{config: c, open: map[uint64]memory{}, posting: map[dedupe.Key]struct{}{}}
	p.pool = worker.New(worker.Config{
		Source:    c.Source,
		Handler:   p,
		Slots:     c.Slots,
		KeepAlive: c.KeepAlive,
		Grace:     c.Grace,
		Bundle:    c.Bundle,
		Report:    c.Report,
	})
	return p
}

// Run polls until ctx ends, then finishes what is in flight.
func (p *Poller) Run(ctx context.Context) error { return p.pool.Run(ctx) }

// InFlight is the number of polls that are under way.
func (p *Poller) InFlight() int { return p.pool.Active() }

// Escalated is the number of purchases that are open for too long, as far as
// this process has seen them.
func (p *Poller) Escalated() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, m := range p.open {
		if m.escalated {
			n++
		}
	}
	return n
}

// Admit implements worker.Handler: nothing is pulled while the vendor is away.
func (p *Poller) Admit(ctx context.Context, room int) int { return p.config.Gate.Room(ctx, room) }

// Begin implements worker.Handler.
func (p *Poller) Begin(_ context.Context, chunk []*worker.Delivery) ([]worker.Task, func()) {
	tasks := make([]worker.Task, len(chunk))
	for i, d := range chunk {
		tasks[i] = p.newJob(d).task
	}
	return tasks, nil
}

func (p *Poller) remembered(sequence uint64) memory {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[sequence]
}

func (p *Poller) remember(sequence uint64, m memory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[sequence] = m
}

func (p *Poller) forget(sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, sequence)
}

// beginPost reports whether no other job of this process is posting the purchase.
func (p *Poller) beginPost(k dedupe.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, busy := p.posting[k]; busy {
		return false
	}
	p.posting[k] = struct{}{}
	return true
}

func (p *Poller) endPost(k dedupe.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.posting, k)
}

type nobody struct{}

func (nobody) Observe(Event) {}
