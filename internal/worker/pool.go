package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Config is what a Pool is made of.
type Config struct {
	Source  Source
	Handler Handler
	// Slots is how many deliveries are worked on at once. At least 1.
	Slots int
	// Usable is how many of the slots may be used now, at least 1; asked before each
	// pull. Nil: all.
	Usable func() int
	// KeepAlive is the time between progress acks of a running task: a third of
	// the consumer's wait for acks, or less.
	KeepAlive time.Duration
	// Grace is how long running tasks may go on after a stop. Past it their work
	// context is cancelled, and they are still waited for.
	Grace time.Duration
	// RetryPanic is the time after which a message whose task panicked comes
	// again. Default: 30 s.
	RetryPanic time.Duration
	// Bundle sends retries of two seconds and more together, and rounds their time up: by
	// 250 ms at most, from 20 s on by a second, from 2 min on by 5 s. For sources with
	// very many open messages.
	Bundle bool
	// Report is told of errors that end no delivery: a source that is away, an
	// ack that could not be sent, a panic. Nil: nobody.
	Report func(error)
}

// PanicError is reported for a task that panicked. Its message holds the place
// and not the value, which may be a customer's.
type PanicError struct{ Stack string }

func (e *PanicError) Error() string { return "worker: a task panicked:\n" + e.Stack }

const (
	sourceRetryFirst   = 100 * time.Millisecond
	sourceRetryLongest = 5 * time.Second
	ackTimeout         = 5 * time.Second
	// Fewer free slots than one in fewSlots are few; fewWait is how long a pull then
	// waits for more.
	fewSlots = 8
	fewWait  = 10 * time.Millisecond
)

// Pool pulls from one source. One goroutine, in Run, pulls; what a chunk needs
// before its tasks has one beside it; each delivery has one to itself for as long as
// it is worked on.
type Pool struct {
	config  Config
	bundles *bundles // nil: each retry is sent by itself

	mu     sync.Mutex
	active map[*Delivery]struct{} // tasks write, the keep-alive loop reads
	freed  chan struct{}          // a slot was freed; never blocks
}

// New makes a pool. It does nothing until Run.
func New(c Config) *Pool {
	if c.Report == nil {
		c.Report = func(error) {}
	}
	if c.RetryPanic == 0 {
		c.RetryPanic = 30 * time.Second
	}
	c.Slots = max(1, c.Slots)
	p := &Pool{config: c, active: map[*Delivery]struct{}{}, freed: make(chan struct{}, 1)}
	if c.Bundle {
		// What is held is not kept alive any more, and was at most KeepAlive ago, a third
		// of its time.
		p.bundles = &bundles{retry: p.retryAll, longest: c.KeepAlive, sending: make(chan struct{}, 1), held: map[pace][]retrying{}}
	}
	return p
}

// Active is the number of deliveries that are worked on.
func (p *Pool) Active() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.active)
}

// Run pulls and works until stop ends, then waits for what is running. It
// returns nil after a stop, also where tasks had to be cut short.
func (p *Pool) Run(stop context.Context) error {
	work, cut := context.WithCancel(context.WithoutCancel(stop))
	defer cut()
	// A task that was cut is still kept alive: until it has returned, its
	// message must not be given to another.
	alive, release := context.WithCancel(context.WithoutCancel(stop))
	defer release()
	// The grace runs from the stop and not from the last pull, which may itself
	// be waiting for a store that does not answer.
	defer context.AfterFunc(stop, func() {
		grace := time.NewTimer(p.config.Grace)
		defer grace.Stop()
		select {
		case <-grace.C:
			cut()
		case <-work.Done():
		}
	})()
	tasks := newCrew()
	keeping := make(chan struct{})
	go func() {
		defer close(keeping)
		p.keepAlive(alive)
	}()

	wait := sourceRetryFirst
	for stop.Err() == nil {
		room := p.room(stop)
		if room == 0 {
			continue
		}
		n := min(room, p.config.Handler.Admit(stop, room))
		if n <= 0 || stop.Err() != nil {
			continue
		}
		err := p.config.Source.Pull(stop, n, func(chunk []*Delivery) { p.begin(work, stop, tasks, chunk) })
		if err == nil {
			wait = sourceRetryFirst
			continue
		}
		if stop.Err() == nil {
			p.config.Report(fmt.Errorf("worker: pull: %w", err))
			Sleep(stop, wait)
			wait = min(2*wait, sourceRetryLongest)
		}
	}

	tasks.wait()
	if p.bundles != nil {
		p.bundles.sendAll()
	}
	cut()
	release()
	<-keeping
	return nil
}

// room waits for a free slot and returns how many there are, or 0 at a stop. Where
// only few are free it waits a moment for more: what a pull costs, and what is asked
// for a chunk at once, is shared by all that come with it.
func (p *Pool) room(stop context.Context) int {
	var over <-chan time.Time
	waited := false
	for {
		slots := p.config.Slots
		if p.config.Usable != nil {
			slots = min(slots, max(1, p.config.Usable()))
		}
		free := slots - p.Active()
		if free > 0 && (waited || free >= slots/fewSlots) {
			return free
		}
		if free > 0 && over == nil {
			timer := time.NewTimer(fewWait)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-p.freed:
		case <-over:
			waited = true
		case <-stop.Done():
			return 0
		}
	}
}

func (p *Pool) begin(work, stop context.Context, tasks *crew, chunk []*Delivery) {
	p.mu.Lock()
	for _, d := range chunk {
		p.active[d] = struct{}{}
	}
	p.mu.Unlock()
	var made []Task
	var prepare func()
	if err := guard(func() { made, prepare = p.config.Handler.Begin(work, chunk) }); err != nil {
		p.config.Report(err)
		made, prepare = nil, nil
	}
	if prepare == nil {
		p.hand(work, stop, tasks, chunk, made)
		return
	}
	tasks.do(func() {
		if err := guard(prepare); err != nil {
			p.config.Report(err)
			made = nil
		}
		p.hand(work, stop, tasks, chunk, made)
	})
}

// hand starts the tasks of a chunk. A delivery without one comes again.
func (p *Pool) hand(work, stop context.Context, tasks *crew, chunk []*Delivery, made []Task) {
	for i, d := range chunk {
		var task Task
		if i < len(made) {
			task = made[i]
		}
		tasks.do(func() { p.run(work, stop, d, task) })
	}
}

func (p *Pool) run(work, stop context.Context, d *Delivery, task Task) {
	end := RetryAfter(p.config.RetryPanic)
	if task != nil {
		if err := guard(func() { end = task(work, stop) }); err != nil {
			p.config.Report(err)
		}
	}
	p.mu.Lock()
	delete(p.active, d)
	p.mu.Unlock()
	// The slot is free before the ack is sent, which is no work for the pool.
	select {
	case p.freed <- struct{}{}:
	default:
	}
	p.end(d, end)
}

// end carries out a disposition. The message is not fenced by it, so an error
// only means that the message comes again.
func (p *Pool) end(d *Delivery, disposition Disposition) {
	if !disposition.done && p.bundles != nil && p.bundles.add(d, disposition.after) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), ackTimeout)
	defer cancel()
	var err error
	if disposition.done {
		err = d.Acker.Ack(ctx)
	} else {
		err = d.Acker.Retry(ctx, disposition.after)
	}
	if err != nil {
		p.config.Report(fmt.Errorf("worker: end a delivery: %w", err))
	}
}

func (p *Pool) keepAlive(alive context.Context) {
	tick := time.NewTicker(max(time.Millisecond, p.config.KeepAlive))
	defer tick.Stop()
	for {
		select {
		case <-alive.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		running := make([]*Delivery, 0, len(p.active))
		for d := range p.active {
			running = append(running, d)
		}
		p.mu.Unlock()
		slices.SortFunc(running, func(a, b *Delivery) int { return cmp.Compare(a.Sequence, b.Sequence) })
		var errs []error
		for _, d := range running {
			errs = append(errs, d.Acker.Progress(alive))
		}
		if err := errors.Join(errs...); err != nil {
			p.config.Report(fmt.Errorf("worker: keep %d deliveries alive: %w", len(running), err))
		}
	}
}

func guard(f func()) (err error) {
	defer func() {
		if recover() != nil {
			err = &PanicError{Stack: string(debug.Stack())}
		}
	}()
	f()
	return nil
}

// Sleep waits, and reports whether the whole time passed before ctx ended.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
