package worker

import (
	"sync"
	"sync/atomic"
)

const (
	// mostIdle is how many goroutines of a crew wait for work. What they keep is a
	// stack, of which the garbage collector takes back what is not used.
	mostIdle = 512
	// stackRoom is some more bytes of stack than a task with an HTTP call needs.
	stackRoom = 12 << 10
)

// crew runs functions, each in a goroutine that is its alone meanwhile. Some
// goroutines are kept for the next one, and each makes its stack large enough
// before it begins: growing it several times over in the course of a task, with
// frames that have to be moved, is a twentieth of the work of one by a profile.
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
		reserve()
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

// reserve makes the stack grow once, while nearly nothing is on it.
//
//go:noinline
func reserve() byte {
	var room [stackRoom]byte
	return room[atWhichNothingIs.Load()]
}

// atWhichNothingIs keeps the compiler from seeing that room is not used.
var atWhichNothingIs atomic.Uint32
