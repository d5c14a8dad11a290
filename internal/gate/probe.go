package gate

import (
	"context"
	"time"

	"github.com/vendstream/vendstream/internal/pause"
)

// right is this process's to one call in spite of the pause.
type right struct {
	until time.Time
	// retry: the call may be for a purchase that was tried before. Every second
	// right is for others, as the vendor may answer that one the same for ever.
	retry bool
}

// Shared is the account's pause, the zero Record where there is none.
func (g *Gate) Shared() pause.Record {
	if g.config.Shared == nil {
		return pause.Record{}
	}
	return g.config.Shared.Record()
}

// HoldsBalance reports whether a purchase that met insufficient balance is to
// wait: see pause.Record.
func (g *Gate) HoldsBalance(before bool, published time.Time) bool {
	g.mu.Lock()
	succeeded := g.succeeded
	g.mu.Unlock()
	return g.Shared().HoldsBalance(before, published, succeeded, time.Now())
}

// held reports whether the account's pause holds up purchases, or the calls that
// purchase nothing.
func (g *Gate) held(purchases bool) bool {
	cause := g.Shared().Cause
	return cause == pause.Unauthorized || purchases && cause != pause.None
}

// mayProbe reports whether this process has the right to a probe, and takes it
// where it is due.
func (g *Gate) mayProbe(ctx context.Context) bool {
	if g.hasProbe() {
		return true
	}
	if !g.config.Shared.Probe(ctx, g.config.Polls) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probe = right{until: time.Now().Add(pause.ProbeTime), retry: !g.probe.retry}
	return true
}

// MayRepost reports whether a purchase of unknown outcome may be posted again: the
// account neither rests nor is paused, or this is the pause's probe, to which it
// takes the right where it is due. Without, a pause would last for as long as no
// consumer has a purchase to probe with.
func (g *Gate) MayRepost(ctx context.Context) bool {
	return g.paused() <= 0 && (!g.held(true) || g.mayProbe(ctx))
}

// hasProbe is whether a right was taken and not used. An operator's pause is not
// probed, not even by a right from the pause before it.
func (g *Gate) hasProbe() bool {
	operator := g.Shared().Cause == pause.Operator
	g.mu.Lock()
	defer g.mu.Unlock()
	return !operator && time.Now().Before(g.probe.until)
}

func (g *Gate) useProbe() bool {
	operator := g.Shared().Cause == pause.Operator
	g.mu.Lock()
	defer g.mu.Unlock()
	if operator || !time.Now().Before(g.probe.until) {
		return false
	}
	g.probe.until = time.Time{}
	return true
}

// FreshOnly reports whether the account is paused and its next probe is for a
// purchase that was not tried before.
func (g *Gate) FreshOnly() bool {
	if !g.held(true) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.probe.retry
}
