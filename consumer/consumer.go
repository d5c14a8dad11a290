package consumer

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

// Config is one account's consumer. All of it is required unless said otherwise.
type Config struct {
	Account purchase.Account
	// Owner names this process in claims; unique among all processes.
	Owner string
	// Slots is max_in_flight: how many purchases are at the vendor at once. As many
	// again less one, 256 at most, are claimed, looked up and stored meanwhile: with
	// 1 they go one by one.
	Slots int
	// Lease is dedupe.lease: how long a claim holds without being extended.
	Lease time.Duration
	// Lookups are the look-ups that every purchase of the account is to pass,
	// also without the header Vendstream-Lookup.
	Lookups map[purchase.LookupKind]bool
	// Attempts is retry.attempts: how often the vendor is called for one
	// handling of a purchase before the poller takes over.
	Attempts int
	// BackOff makes the policy between these calls.
	BackOff func() backoff.BackOff
	// KeepAlive and Grace are the pool's; see worker.Config.
	KeepAlive time.Duration
	Grace     time.Duration
	// Since is when the account's consumer was made. Messages from before may
	// have become dead letters while the account was unknown.
	Since time.Time

	Source  worker.Source
	Vendor  Vendor
	Gate    *gate.Gate
	Claims  Claimer
	Leases  Leaser
	Records Recorder
	Ledger  Ledger
	Writer  Writer
	Dead    Undertaker
	Limiter Limiter // nil: no limit
	Catalog Catalog // nil: none
	// Neighbours is one for all accounts of the process.
	Neighbours *Neighbours
	// Hold pauses the account for all its processes. Nil: a purchase that meets
	// insufficient balance fails.
	Hold     func(pause.Cause)
	Observer Observer    // nil: nobody
	Report   func(error) // errors that end no purchase; nil: nobody
}

const (
	// busyRetry is the least time before a purchase that another worker holds is
	// looked at again.
	busyRetry = 250 * time.Millisecond
	// conflictRetry is the longest time before a purchase is looked at again whose
	// reference another payload holds and has not brought to an end.
	conflictRetry = 15 * time.Second
	// awayRetry is the time before a purchase is taken up again that Redis or
	// NATS kept from being finished.
	awayRetry = 2 * time.Second
	// releaseTimeout is how long a claim may take to be given back.
	releaseTimeout = time.Second
	// mostAhead is how many purchases are at hand beyond those at the vendor. Claims,
	// looks and results take their time too, in which the vendor need not be idle;
	// more than that would be kept from other processes.
	mostAhead = 256
	// besideOthers is the part of Slots that is at hand beyond them while another account
	// of the process has work, whose purchases would have to wait for their turn.
	besideOthers = 8 // one for each so many
	// redisProbe is the time between looks at a Redis that is away.
	redisProbe = 500 * time.Millisecond
)

// Consumer works through one account's requests.
type Consumer struct {
	config  Config
	notes   notes
	pool    *worker.Pool
	leases  *leases
	permits permits
	graves  graves
	calls   chan struct{} // one for each call of the vendor under way
	away    atomic.Bool   // Redis did not answer; set by tasks, cleared by Admit
	serial  atomic.Uint64
}

// New makes a consumer. It does nothing until Run.
func New(c Config) *Consumer {
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Report == nil {
		c.Report = func(error) {}
	}
	c.Slots = max(1, c.Slots)
	consumer := &Consumer{config: c, calls: make(chan struct{}, c.Slots)}
	consumer.leases = newLeases(c.Leases, c.Lease, c.Report)
	consumer.permits.limiter = c.Limiter
	consumer.graves = graves{dead: c.Dead, account: c.Account.Name, since: c.Since}
	alone := c.Slots + min(c.Slots-1, mostAhead)
	consumer.pool = worker.New(worker.Config{
		Source:  c.Source,
		Handler: consumer,
		Slots:   alone,
		Usable: func() int {
			if c.Neighbours.alone(c.Account.Name) {
				return alone
			}
			return c.Slots + c.Slots/besideOthers
		},
		KeepAlive:  c.KeepAlive,
		Grace:      c.Grace,
		RetryPanic: c.Lease,
		Report:     c.Report,
	})
	return consumer
}

// Run works until ctx ends, then finishes what is in flight.
func (c *Consumer) Run(ctx context.Context) error {
	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.leases.keep(keeping)
	}()
	err := c.pool.Run(ctx)
	giving, given := context.WithTimeout(keeping, releaseTimeout)
	c.permits.giveBack(giving, c.config.Report)
	given()
	stopKeeping()
	<-done
	return err
}

// InFlight is the number of purchases that are worked on, those before and after
// their calls among them.
func (c *Consumer) InFlight() int { return c.pool.Active() }

// enter waits for room at the vendor. False: the consumer is to stop.
func (c *Consumer) enter(stop context.Context) bool {
	select {
	case c.calls <- struct{}{}:
		return true
	case <-stop.Done():
		return false
	}
}

func (c *Consumer) leave() { <-c.calls }

// Ready says why the consumer cannot work, or nil.
func (c *Consumer) Ready() error {
	if c.away.Load() {
		return errRedisAway
	}
	return nil
}

// Admit implements worker.Handler: nothing is pulled while Redis is away, the
// vendor is away or refuses, or the purchase limit is used up.
func (c *Consumer) Admit(ctx context.Context, room int) int {
	for c.away.Load() {
		if !worker.Sleep(ctx, redisProbe) {
			return 0
		}
		if err := c.config.Records.Ping(ctx); err == nil {
			c.away.Store(false)
		}
	}
	if room = c.config.Gate.Room(ctx, room); room == 0 {
		return 0
	}
	room, err := c.permits.take(ctx, room, c.config.Report)
	if err != nil && ctx.Err() == nil {
		c.redisAway(err)
	}
	return room
}

// Begin implements worker.Handler: it reads the requests. Before their tasks run
// they are all claimed in one go, and the streams are asked for all at once.
func (c *Consumer) Begin(ctx context.Context, chunk []*worker.Delivery) ([]worker.Task, func()) {
	c.config.Neighbours.seen(c.config.Account.Name)
	tasks := make([]worker.Task, len(chunk))
	jobs := make([]*job, 0, len(chunk))
	for i, d := range chunk {
		j := c.newJob(ctx, d)
		tasks[i] = j.task
		if j.request != nil {
			jobs = append(jobs, j)
		}
	}
	c.graves.mark(ctx, jobs)
	// One that is buried, or may be, claims nothing: nobody would end the claim.
	jobs = slices.DeleteFunc(jobs, func(j *job) bool { return j.buried || j.fault != nil })
	return tasks, func() {
		c.claim(ctx, jobs)
		c.look(ctx, jobs)
	}
}

func (c *Consumer) redisAway(err error) {
	if c.away.CompareAndSwap(false, true) {
		c.config.Report(err)
	}
}

func (c *Consumer) observe(e Event) {
	e.Account = c.config.Account.Name
	c.config.Observer.Observe(e)
}

type nobody struct{}

func (nobody) Observe(Event) {}
