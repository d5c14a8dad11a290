package failpoint

import (
	"context"

	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
)

// Gate puts points around what a gate does about the account's shared pause.
func (s *Set) Gate(c gate.Config) gate.Config {
	role := roleConsumer
	if c.Polls {
		role = rolePoller
	}
	if c.Shared != nil {
		c.Shared = shared{at{s, role}, c.Shared}
	}
	return c
}

type shared struct {
	at
	next gate.Shared
}

// Record reads what the process holds in memory: no effect.
func (g shared) Record() pause.Record { return g.next.Record() }

func (g shared) Probe(ctx context.Context, poller bool) bool {
	ours, _ := value(g.at, "shared.probe", func() (bool, error) { return g.next.Probe(g.ctx(ctx), poller), nil })
	return ours
}

func (g shared) Observe(o purchase.Outcome, c pause.Call) {
	_ = g.effect("shared.observe", func() error { g.next.Observe(o, c); return nil })
}

// holding wraps the function that pauses an account; nil stays nil.
func holding(a at, hold func(pause.Cause)) func(pause.Cause) {
	if hold == nil {
		return nil
	}
	return func(cause pause.Cause) {
		_ = a.effect("hold.call", func() error { hold(cause); return nil })
	}
}

// Pauses puts points around the store of the accounts' pauses.
func (s *Set) Pauses(next pause.Store) pause.Store { return pauses{at{s, rolePauses}, next} }

type pauses struct {
	at
	next pause.Store
}

func (p pauses) Load(ctx context.Context, account string) (pause.Entry, error) {
	return value(p.at, "store.load", func() (pause.Entry, error) { return p.next.Load(ctx, account) })
}

func (p pauses) Save(ctx context.Context, account string, r pause.Record, revision uint64) (pause.Entry, error) {
	return value(p.at, "store.save", func() (pause.Entry, error) { return p.next.Save(ctx, account, r, revision) })
}

// Watch has its second point when all records were seen: a watch lasts. What it
// tells after that has points of its own.
func (p pauses) Watch(ctx context.Context, each func(account string, e pause.Entry), seen func()) error {
	if err := p.set.hit(p.role + ".store.watch" + before); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	var lost error
	all := false
	err := p.next.Watch(ctx, func(account string, e pause.Entry) {
		if !all {
			each(account, e)
			return
		}
		// An error here is a change that was never told: the next watch tells it.
		_ = p.effect("store.tell", func() error { each(account, e); return nil })
	}, func() {
		seen()
		all = true
		if lost = p.set.hit(p.role + ".store.watch" + after); lost != nil {
			end()
		}
	})
	if lost != nil {
		return lost
	}
	return err
}
