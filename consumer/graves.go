package consumer

import (
	"context"
	"time"
)

// graveMargin covers a process that was about to bury a message of an unknown
// account while the account's consumer was made.
const graveMargin = time.Minute

// graves knows which messages from before the account's consumer have become
// dead letters: the account was unknown then. It belongs to the goroutine that
// pulls.
type graves struct {
	dead    Undertaker
	account string
	since   time.Time

	known  map[uint64]bool
	closed bool // read after the margin: no more come
}

// mark tells jobs whose message is a dead letter already.
func (g *graves) mark(ctx context.Context, jobs []*job) {
	limit := g.since.Add(graveMargin)
	var err error
	asked := g.closed
	for _, j := range jobs {
		if j.delivery.Time.After(limit) {
			continue
		}
		if !asked {
			asked = true
			now := time.Now()
			g.known, err = g.dead.DeadSequences(ctx, g.account)
			g.closed = err == nil && now.After(limit)
		}
		if err != nil {
			j.fault = err
			continue
		}
		j.buried = g.known[j.delivery.Sequence]
	}
}
