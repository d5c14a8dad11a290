package simulator

import (
	"context"
	"sync"
	"time"
)

// ManualClock is a clock that stands still until Advance is called. It is safe
// for concurrent use.
type ManualClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[chan struct{}]time.Time // closed when their time has come
}

// NewManualClock makes a clock that shows start.
func NewManualClock(start time.Time) *ManualClock {
	return &ManualClock{now: start, waiting: make(map[chan struct{}]time.Time)}
}

// Now is the time that the clock shows.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on and wakes the sleepers whose time has come.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for wake, at := range c.waiting {
		if !at.After(c.now) {
			delete(c.waiting, wake)
			close(wake)
		}
	}
}

// Sleepers is the number of callers that wait in Sleep, for a test that must
// advance the clock only after they have arrived.
func (c *ManualClock) Sleepers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// Sleep returns when the clock has moved on by d, or with the context's error.
func (c *ManualClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	wake := make(chan struct{})
	c.mu.Lock()
	c.waiting[wake] = c.now.Add(d)
	c.mu.Unlock()
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, wake)
		c.mu.Unlock()
		return ctx.Err()
	}
}

// sleep waits on the machine's clock.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
