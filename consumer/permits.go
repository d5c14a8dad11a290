package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/internal/worker"
)

// permits holds what the purchase limit has granted for the next pull. It
// belongs to the goroutine that pulls: Admit takes, Begin hands one to each job.
type permits struct {
	limiter Limiter
	granted quota.Permits
}

// take gets leave for up to room calls, and waits where there is none now.
func (p *permits) take(ctx context.Context, room int, report func(error)) (int, error) {
	if p.limiter == nil {
		return room, nil
	}
	p.giveBack(ctx, report)
	granted, wait, err := p.limiter.Take(ctx, room)
	if err != nil {
		return 0, fmt.Errorf("consumer: take purchase permits: %w", err)
	}
	if granted.Len() == 0 {
		worker.Sleep(ctx, min(wait, time.Second))
		return 0, nil
	}
	p.granted = granted
	return granted.Len(), nil
}

// giveBack returns what the last pull found no message for.
func (p *permits) giveBack(ctx context.Context, report func(error)) {
	if p.limiter == nil || p.granted.Len() == 0 {
		return
	}
	if err := p.limiter.GiveBack(ctx, p.granted); err != nil {
		report(fmt.Errorf("consumer: give purchase permits back: %w", err))
	}
	p.granted = quota.Permits{}
}

// one is a permit for one job.
func (p *permits) one() quota.Permits {
	if p.limiter == nil {
		return quota.Permits{}
	}
	return p.granted.Split(1)
}
