package dedupe

import (
	"context"
	"sync"
	"time"
)

const (
	// mostTogether bounds a pipeline: Redis answers nobody else meanwhile.
	mostTogether = 256
	// togetherTimeout bounds a pipeline that serves many callers, whatever time each
	// of them has left. The client's own time-outs and retries are shorter.
	togetherTimeout = 15 * time.Second
)

// combiner puts the calls of many goroutines into common pipelines: those that
// come while one is under way go together in the next. Nobody waits for company.
// go-redis has the like (AutoPipeline), which it calls experimental.
type combiner struct {
	mu      sync.Mutex
	running bool
	waiting []*waiter
}

// waiter is a call and, once done is closed, what became of it.
type waiter struct {
	call  call
	reply reply
	done  chan struct{}
}

// do makes one call. Where ctx ends first nothing is known of it, and it may
// still be made.
func (c *combiner) do(ctx context.Context, one call, run func(context.Context, []call) []reply) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &waiter{call: one, done: make(chan struct{})}
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
		return w.reply.answer, w.reply.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// drain makes pipelines until nobody waits.
func (c *combiner) drain(ctx context.Context, run func(context.Context, []call) []reply) {
	for batch := c.next(); len(batch) > 0; batch = c.next() {
		calls := make([]call, len(batch))
		for i, w := range batch {
			calls[i] = w.call
		}
		bounded, cancel := context.WithTimeout(ctx, togetherTimeout)
		replies := run(bounded, calls)
		cancel()
		for i, w := range batch {
			w.reply = replies[i]
			close(w.done)
		}
	}
}

// next takes those who wait, or notes that nobody does.
func (c *combiner) next() []*waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), mostTogether)
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	if len(c.waiting) == 0 {
		c.waiting = nil
	}
	c.running = n > 0
	return batch
}
