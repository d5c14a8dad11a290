package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/internal/worker"
)

// mostYield is the longest that a pull lets others go before it.
const mostYield = 3 * time.Millisecond

// permits holds what the purchase limit has granted for the next pull. It
// belongs to the goroutine that pulls: Admit takes, Begin hands one to each job.
type permits struct {
	limiter Limiter
	granted quota.Permits
	taken   int  // that the last pull began with
	handed  int  // that it found messages for
	bare    bool // the last pull began with none
}

// take gets leave for up to room calls, and waits where there is none now. After a
// pull that found nothing Redis is not asked: what comes next gets its permit when it
// is there. An account with nothing to do costs Redis nothing, and keeps no permit
// from its poller.
func (p *permits) take(ctx context.Context, room int, report func(error)) (int, error) {
	if p.limiter == nil {
		return room, nil
	}
	p.giveBack(ctx, report)
	if p.handed == 0 {
		p.taken, p.bare = 1, true
		return min(room, 1), nil
	}
	granted, wait, err := p.limiter.Take(ctx, min(room, p.wanted()))
	if err != nil {
		return 0, fmt.Errorf("consumer: take purchase permits: %w", err)
	}
	if granted.Len() == 0 {
		// A little longer than need be: a purchase that is in hand, here or at the
		// poller, waits for the same moment and goes before one that is still on the
		// stream. It costs no more than a hundredth of the wait.
		wait = min(wait, time.Second)
		worker.Sleep(ctx, wait+min(wait/100, mostYield))
		return 0, nil
	}
	p.granted, p.taken, p.handed, p.bare = granted, granted.Len(), 0, false
	return granted.Len(), nil
}

// wanted is how many permits the next pull is worth: twice what the last one had
// messages for. A pull holds its permits for as long as it waits: with all of them it
// would keep the poller from calling where little is to do.
func (p *permits) wanted() int {
	return 2 * min(p.handed, p.taken)
}

// giveBack returns what the last pull found no message for.
func (p *permits) giveBack(ctx context.Context, report func(error)) {
	if p.limiter == nil || p.granted.Unused() == 0 {
		return
	}
	if err := p.limiter.GiveBack(ctx, p.granted); err != nil {
		report(fmt.Errorf("consumer: give purchase permits back: %w", err))
	}
	p.granted = quota.Permits{}
}

// one is a permit for one job. That of a pull without permits is taken now, before
// those of the next pull: what came first goes first. Where there is none, or Redis
// is away, the job asks for itself.
func (p *permits) one(ctx context.Context) quota.Permits {
	if p.limiter == nil {
		return quota.Permits{}
	}
	p.handed++
	if p.bare {
		if granted, _, err := p.limiter.Take(ctx, 1); err == nil {
			return granted
		}
	}
	return p.granted.Split(1)
}
