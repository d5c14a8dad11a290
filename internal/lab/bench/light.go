package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vendstream/vendstream/publisher"
)

// warmUp is how many purchases go before those that are measured, so that
// connections are there.
const warmUp = 40

// light measures how long single purchases take where there is room for all of
// them: from the storing of the request to the storing of the result, by the
// server's clock, without the vendor's own latency.
func (w *world) light(ctx context.Context, o one, perSecond int, during time.Duration) (figures, error) {
	r, err := w.start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.kill()
	nothing := func(int) error { return nil }
	if err := w.fill(ctx, o.prefix, 0, warmUp); err != nil {
		return nil, err
	}
	if _, err := r.watch(ctx, warmUp, nothing); err != nil {
		return nil, err
	}
	n := max(1, int(during.Seconds()*float64(perSecond)))
	if err := w.trickle(ctx, o.prefix, n, time.Second/time.Duration(perSecond)); err != nil {
		return nil, err
	}
	if _, err := r.watch(ctx, warmUp+n, nothing); err != nil {
		return nil, err
	}
	if err := errors.Join(w.settled(ctx, o.prefix), r.finish()); err != nil {
		return nil, err
	}
	took, err := w.latencies(ctx, o.prefix, n)
	if err != nil {
		return nil, err
	}
	return figures{
		measureP50: milliseconds(percentile(took, 0.50) - o.latency),
		measureP99: milliseconds(percentile(took, 0.99) - o.latency),
	}, w.clear(ctx, o.prefix)
}

// trickle submits n purchases, one in every period, and returns when all are stored.
func (w *world) trickle(ctx context.Context, prefix string, n int, period time.Duration) error {
	p, err := w.publisher(prefix)
	if err != nil {
		return err
	}
	var submitting sync.WaitGroup
	defer submitting.Wait()
	errs := make(chan error, n)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for i := range n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		submitting.Go(func() {
			if _, err := p.Submit(ctx, asked(warmUp+i)); err != nil {
				errs <- err
			}
		})
	}
	submitting.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// latencies are the times from request to result of the n purchases behind the
// warm-up.
func (w *world) latencies(ctx context.Context, prefix string, n int) ([]time.Duration, error) {
	s := publisher.Subjects{Prefix: prefix}
	requests, err := w.stamps(ctx, s.RequestsStream(), warmUp+n)
	if err != nil {
		return nil, err
	}
	results, err := w.stamps(ctx, s.ResultsStream(), warmUp+n)
	if err != nil {
		return nil, err
	}
	asked := make(map[int]time.Time, len(requests))
	for _, request := range requests {
		asked[request.number] = request.at
	}
	var took []time.Duration
	for _, result := range results {
		from, there := asked[result.number]
		if !there {
			return nil, fmt.Errorf("bench: %s has a result and no request", reference(result.number))
		}
		if result.number >= warmUp {
			took = append(took, result.at.Sub(from))
		}
	}
	return took, nil
}
