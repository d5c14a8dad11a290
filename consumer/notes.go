package consumer

import (
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/worker"
)

// mostNotes is how many messages are remembered at once. Past it all are forgotten:
// each is then treated as one that nothing is known of, which is only slower.
const mostNotes = 10_000

// notes is what this process remembers of messages that it has put back. It dies
// with the process, and nothing rests on it but what this process itself has done.
type notes struct {
	mu sync.Mutex
	of map[noteKey]note
}

// noteKey is a message: a stream that was made again counts from 1 again.
type noteKey struct {
	sequence uint64
	stored   int64
}

type note struct {
	// unclaimed is how many deliveries ended before a claim was made, and so without
	// a call.
	unclaimed int
	// unseen is when the streams first knew nothing of an end that Redis knows; zero:
	// they were not asked.
	unseen time.Time
}

func keyOf(d *worker.Delivery) noteKey { return noteKey{d.Sequence, d.Time.UnixNano()} }

func (n *notes) get(d *worker.Delivery) note {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.of[keyOf(d)]
}

func (n *notes) change(d *worker.Delivery, change func(*note)) note {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of == nil || len(n.of) >= mostNotes {
		n.of = map[noteKey]note{}
	}
	one := n.of[keyOf(d)]
	change(&one)
	n.of[keyOf(d)] = one
	return one
}

func (n *notes) forget(d *worker.Delivery) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.of, keyOf(d))
}
