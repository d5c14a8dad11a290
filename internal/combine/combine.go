// Package combine puts the calls of many goroutines into common round trips.
package combine

import (
	"context"
	"sync"
	"time"
)

const (
	// Most bounds a round trip: Redis answers nobody else meanwhile.
	Most = 256
	// timeout bounds a round trip that serves many callers, whatever time each
	// of them has left. The client's own time-outs and retries are shorter.
	timeout = 15 * time.Second
)

// Combiner combines calls: those that come while a round trip is under way go together
// in the next. Nobody waits for company. The zero value is ready. go-redis has the like
// (AutoPipeline), which it calls experimental.
type Combiner[C, R any] struct {
	mu      sync.Mutex
	running bool
	waiting []*waiter[C, R]
}

// waiter is a call and, once done is closed, what became of it.
type waiter[C, R any] struct {
	call  C
	reply R
	done  chan struct{}
}

// Do makes one call and returns what became of it; run makes many at once, and returns
// a reply for each. Where ctx ends first the error is ctx's, nothing is known of the
// call, and it may still be made. run's context has 15 seconds.
func (c *Combiner[C, R]) Do(ctx context.Context, one C, run func(context.Context, []C) []R) (reply R, err error) {
	if err := ctx.Err(); err != nil {
		return reply, err
	}
	w := &waiter[C, R]{call: one, done: make(chan struct{})}
	c.mu.Lock()
	c.waiting = append(c.waiting, w)
	begin := !c.running
	c.running = true
	c.mu.Unlock()
	if begin {
		// Not in this goroutine: its caller may have less time than the others.
		go c.drain(context.WithoutCancel(ctx), run)
	}
	select {
	case <-w.done:
		return w.reply, nil
	case <-ctx.Done():
		return reply, ctx.Err()
	}
}

// drain makes round trips until nobody waits.
func (c *Combiner[C, R]) drain(ctx context.Context, run func(context.Context, []C) []R) {
	for batch := c.next(); len(batch) > 0; batch = c.next() {
		calls := make([]C, len(batch))
		for i, w := range batch {
			calls[i] = w.call
		}
		bounded, cancel := context.WithTimeout(ctx, timeout)
		replies := run(bounded, calls)
		cancel()
		for i, w := range batch {
			w.reply = replies[i]
			close(w.done)
		}
	}
}

// next takes those who wait, or notes that nobody does.
func (c *Combiner[C, R]) next() []*waiter[C, R] {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), Most)
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	if len(c.waiting) == 0 {
		c.waiting = nil
	}
	c.running = n > 0
	return batch
}
