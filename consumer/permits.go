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
	taken   int // that the last pull began with
	handed  int // that it found messages for
}

// take gets leave for up to room calls, and waits where there is none now.
func (p *permits) take(ctx context.Context, room int, report func(error)) (int, error) {
	if p.limiter == nil {
		return room, nil
	}
	p.giveBack(ctx, report)
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
	p.granted, p.taken, p.handed = granted, granted.Len(), 0
	return granted.Len(), nil
}

// wanted is how many permits the next pull is worth: twice what the last one had
// messages for. An idle pull holds its permits for as long as it waits, and has
// the next ones at once. With all of them it would keep the poller from calling
// for as long as there is nothing to do.
func (p *permits) wanted() int {
	return max(1, 2*min(p.handed, p.taken))
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
	p.handed++
	return p.granted.Split(1)
}
