package consumer

import (
	"sync"
	"time"
)

// Neighbours is what the consumers of one process know of each other: whether another
// account has work. Nil: each is alone.
type Neighbours struct {
	mu   sync.Mutex
	last map[string]time.Time // of an account's latest purchase
}

// quietFor is how long an account must have had no purchase to be nobody's neighbour.
const quietFor = time.Second

func (n *Neighbours) seen(account string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == nil {
		n.last = map[string]time.Time{}
	}
	n.last[account] = time.Now()
}

// alone reports whether no other account has had a purchase lately.
func (n *Neighbours) alone(account string) bool {
	if n == nil {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, at := range n.last {
		switch {
		case time.Since(at) >= quietFor:
			delete(n.last, name)
		case name != account:
			return false
		}
	}
	return true
}
