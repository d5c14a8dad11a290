package worker

import (
	"sync"
	"sync/atomic"
)

// mostIdle is how many goroutines of a crew wait for work. What they keep is a
// stack that has grown to what a task needs, some kilobytes each.
const mostIdle = 64

// crew runs functions, each in a goroutine that is its alone meanwhile. Some
// goroutines are kept for the next one: a new one grows its stack several times
// over in the course of a task, a twentieth of the work of one by a profile.
type crew struct {
	running sync.WaitGroup // functions
	members sync.WaitGroup // goroutines
	next    chan func()
	over    chan struct{}
	idle    atomic.Int32
}

func newCrew() *crew { return &crew{next: make(chan func()), over: make(chan struct{})} }

// do runs f and does not wait for it.
func (c *crew) do(f func()) {
	c.running.Add(1)
	select {
	case c.next <- f:
	default:
		c.members.Go(func() { c.work(f) })
	}
}

func (c *crew) work(f func()) {
	for {
		f()
		c.running.Done()
		if c.idle.Add(1) > mostIdle {
			c.idle.Add(-1)
			return
		}
		select {
		case f = <-c.next:
			c.idle.Add(-1)
		case <-c.over:
			return
		}
	}
}

// wait waits until all that was begun has ended, and sends everybody home. Nothing
// is begun any more but by what still runs.
func (c *crew) wait() {
	c.running.Wait()
	close(c.over)
	c.members.Wait()
}
