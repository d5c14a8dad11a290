package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

const (
	// watchBack is how far back the first look goes, and watchYoungest how old a
	// request is at least that is looked at.
	watchBack     = time.Hour
	watchYoungest = time.Minute
	// mostPerLook bounds the requests of an account that one look judges; the next
	// look goes on from there.
	mostPerLook = 20_000
	// mostKept bounds what is looked at again, of each account.
	mostKept = 10_000
)

// Gauges are what Watch measures.
type Gauges interface {
	// Audited is told of each account after each look: the age of what has been
	// open for longest, 0 where nothing is, and how many requests have no end.
	Audited(account string, oldest time.Duration, unaccounted int)
}

// Watch is an audit that goes on beside the daemons. Each look takes the requests
// that were acknowledged since the last one, and those that were pending or
// unaccounted then, so that each request is looked at about once, by each process.
type Watch struct {
	Config
	Accounts []string // the configured ones
	Every    time.Duration
	Gauges   Gauges
	Report   func(error)   // looks that failed
	Accuse   func(Finding) // requests that have no end, told once

	accounts map[string]*watched // only Run's goroutine
}

type watched struct {
	next  uint64 // the first request that is not judged yet; 0: by time
	since time.Time
	kept  map[uint64]Request
	told  map[uint64]bool
}

// Run looks until ctx ends. The looks of several processes are spread by chance.
func (w *Watch) Run(ctx context.Context) error {
	for worker.Sleep(ctx, rand.N(w.Every)) {
		if err := w.Look(ctx); err != nil && ctx.Err() == nil {
			w.Report(fmt.Errorf("audit of recent requests: %w", err))
		}
		if !worker.Sleep(ctx, w.Every/2) {
			break
		}
	}
	return nil
}

// Look takes one look at all accounts.
func (w *Watch) Look(ctx context.Context) error {
	w.Config = w.filled()
	if w.accounts == nil {
		w.accounts = map[string]*watched{}
	}
	ground, err := w.Ground(ctx)
	if err != nil {
		return err
	}
	for _, account := range w.Accounts {
		a := w.accounts[account]
		if a == nil {
			a = &watched{since: ground.Now.Add(-watchBack), kept: map[uint64]Request{}, told: map[uint64]bool{}}
			w.accounts[account] = a
		}
		if err := w.look(ctx, ground, account, a); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watch) look(ctx context.Context, ground Ground, account string, a *watched) error {
	requests, err := w.due(ctx, ground, account, a)
	if err != nil {
		return err
	}
	for _, r := range a.kept {
		requests = append(requests, r)
	}
	states, details, err := w.judge(ctx, ground, requests)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(states, func(s State) bool { return !s.Accounted() }) {
		// Nobody is accused at first sight.
		if !worker.Sleep(ctx, w.Pause) {
			return ctx.Err()
		}
		if err := w.judgeAgain(ctx, ground, requests, states, details); err != nil {
			return err
		}
	}
	unaccounted := 0
	a.kept = map[uint64]Request{}
	told := a.told
	a.told = map[uint64]bool{}
	for i, r := range requests {
		if !states[i].Accounted() {
			unaccounted++
			a.told[r.Sequence] = true
			if !told[r.Sequence] {
				w.Accuse(r.finding(states[i], details[i]))
			}
		}
		if (!states[i].Accounted() || states[i].Open()) && len(a.kept) < mostKept {
			a.kept[r.Sequence] = r
		}
	}
	oldest, err := w.oldest(ctx, ground, account, a)
	if err != nil {
		return err
	}
	w.Gauges.Audited(account, oldest, unaccounted)
	return nil
}

// due reads the requests that are to be judged now: acknowledged, and not of the
// last minute.
func (w *Watch) due(ctx context.Context, ground Ground, account string, a *watched) ([]Request, error) {
	var requests []Request
	reading := broker.Reading{
		Stream: w.Subjects.RequestsStream(), Subjects: []string{w.Subjects.Requests(account)}, Sequence: a.next, Since: a.since,
	}
	next := a.next
	err := w.Streams.Read(ctx, reading, func(d *worker.Delivery) error {
		if d.Sequence > ground.Floors[account] || ground.Now.Sub(d.Time) < watchYoungest || len(requests) == mostPerLook {
			return broker.ErrEnough
		}
		r, err := w.Read(d)
		requests, next = append(requests, r), d.Sequence+1
		return err
	})
	if err != nil {
		return nil, err
	}
	a.next = next
	return requests, nil
}

func (w *Watch) judge(ctx context.Context, ground Ground, requests []Request) ([]State, []string, error) {
	states, details := make([]State, len(requests)), make([]string, len(requests))
	err := parallel(ctx, len(requests), w.Parallel, func(ctx context.Context, i int) (err error) {
		states[i], details[i], err = w.Judge(ctx, ground, requests[i])
		return err
	})
	return states, details, err
}

func (w *Watch) judgeAgain(ctx context.Context, ground Ground, requests []Request, states []State, details []string) error {
	var again []int
	for i, state := range states {
		if !state.Accounted() {
			again = append(again, i)
		}
	}
	return parallel(ctx, len(again), w.Parallel, func(ctx context.Context, at int) (err error) {
		i := again[at]
		states[i], details[i], err = w.Judge(ctx, ground, requests[i])
		return err
	})
}

// oldest is the age of the open request that was stored first: the first that is
// not acknowledged, the first hand-off, or one that was open at an earlier look.
func (w *Watch) oldest(ctx context.Context, ground Ground, account string, a *watched) (time.Duration, error) {
	var oldest time.Duration
	open := func(since time.Time) { oldest = max(oldest, ground.Now.Sub(since)) }
	for sequence, r := range a.kept {
		if !a.told[sequence] {
			open(r.Time)
		}
	}
	first, err := w.Seeker.Next(ctx, w.Subjects.RequestsStream(), w.Subjects.Requests(account), ground.Floors[account]+1)
	if err != nil {
		return 0, err
	}
	if first != nil {
		open(first.Time)
	}
	handoff, err := w.Seeker.Next(ctx, w.Subjects.PendingStream(), w.Subjects.AllPending(account), 1)
	if err != nil {
		return 0, err
	}
	if handoff != nil {
		var h purchase.Handoff
		if json.Unmarshal(handoff.Body, &h) != nil || h.RequestedAt.IsZero() {
			h.RequestedAt = handoff.Time
		}
		open(h.RequestedAt)
	}
	return oldest, nil
}
