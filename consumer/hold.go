package consumer

import (
	"context"
	"time"

	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

// onHold puts a purchase back whose refusal is the account's and not its own: it
// waits on the stream, with nothing bought, until the account's pause has ended.
func (j *job) onHold(work context.Context, o purchase.Outcome) (end worker.Disposition, held bool) {
	c := j.c.config
	switch {
	case o.Kind == purchase.Forbidden && c.Gate.Shared().Cause == pause.Forbidden:
		// The call did nothing, and does not count as one.
	case j.holdsBalance(o):
		c.Hold(pause.Balance)
		j.attempts++
		j.acted = true
	default:
		return end, false
	}
	j.observe(Event{Kind: EventHeld, Outcome: o.Kind, Message: o.Message})
	return j.putBackHeld(work, pause.Delay, errPaused), true
}

// holdsBalance reports whether the account is to be paused for the outcome. A
// purchase whose time is over need not wait to hear the same again.
func (j *job) holdsBalance(o purchase.Outcome) bool {
	c := j.c.config
	if c.Hold == nil || o.Kind != purchase.Failed || o.Class != purchase.ClassBalance {
		return false
	}
	if !j.expires.IsZero() && !time.Now().Before(j.expires) {
		return false
	}
	return c.Gate.HoldsBalance(j.actedBefore, j.delivery.Time)
}
