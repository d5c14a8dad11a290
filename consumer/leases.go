package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
)

var (
	errClaimLost = errors.New("consumer: another worker has taken the purchase over")
	errRedisAway = errors.New("consumer: Redis does not answer")
)

// hold is a claim that a job works under. A claim that is lost forbids further
// calls; what an earlier call said is still the truth and is stored.
type hold struct {
	claim dedupe.Claim

	mu    sync.Mutex // the keeper writes, the job reads
	until time.Time  // by this process's clock, never later than in Redis
	lost  bool
}

// state is how long the claim still holds, and whether it is lost for good.
func (h *hold) state() (left time.Duration, lost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.until), h.lost
}

func (h *hold) renew(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = until
}

func (h *hold) lose() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = true
}

// leases extends the leases of all held claims, a third of a lease apart, in one
// pipeline. The jobs add and remove their own.
type leases struct {
	store  Leaser
	lease  time.Duration
	report func(error)

	mu   sync.Mutex
	held map[*hold]struct{}
}

func newLeases(store Leaser, lease time.Duration, report func(error)) *leases {
	return &leases{store: store, lease: lease, report: report, held: map[*hold]struct{}{}}
}

func (l *leases) add(h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[h] = struct{}{}
}

func (l *leases) remove(h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, h)
}

func (l *leases) keep(ctx context.Context) {
	tick := time.NewTicker(max(time.Millisecond, l.lease/3))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.extend(ctx)
		}
	}
}

func (l *leases) extend(ctx context.Context) {
	l.mu.Lock()
	holds := make([]*hold, 0, len(l.held))
	for h := range l.held {
		holds = append(holds, h)
	}
	l.mu.Unlock()
	if len(holds) == 0 {
		return
	}
	// Where this fails nothing is known: the holds run out by their own clock,
	// and no call is made under one that has.
	if err := l.renew(ctx, holds...); err != nil {
		l.report(err)
	}
}

func (l *leases) renew(ctx context.Context, holds ...*hold) error {
	claims := make([]dedupe.Claim, len(holds))
	for i, h := range holds {
		claims[i] = h.claim
	}
	start := time.Now()
	ours, err := l.store.Extend(ctx, claims)
	if err != nil {
		return fmt.Errorf("consumer: extend %d claims: %w", len(holds), err)
	}
	for i, h := range holds {
		if ours[i] {
			h.renew(start.Add(l.lease))
		} else {
			h.lose()
		}
	}
	return nil
}

// fresh makes sure that the claim holds right now, before a call is made under it.
func (l *leases) fresh(ctx context.Context, h *hold) error {
	left, lost := h.state()
	if left <= 0 && !lost {
		if err := l.renew(ctx, h); err != nil {
			return err
		}
		left, lost = h.state()
	}
	if lost || left <= 0 {
		return errClaimLost
	}
	return nil
}
