package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/publisher"
)

// figures are what one run gave, by the name of the measure.
type figures map[string]float64

// drain measures how a program works off a backlog of n purchases.
func (w *world) drain(ctx context.Context, o one, n int) (figures, error) {
	if err := w.fill(ctx, o.prefix, 0, n); err != nil {
		return nil, err
	}
	if o.other != "" {
		if err := w.prepareOther(ctx, o); err != nil {
			return nil, err
		}
	}
	r, err := w.start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.kill()
	var heap [2]struct {
		objects float64
		at      time.Time
	}
	look := 0 // of heap
	samples, err := r.watch(ctx, n, func(results int) error {
		if look == 0 && results >= n/10 || results >= n {
			var err error
			if heap[look].objects, err = r.allocations(ctx); err != nil {
				return err
			}
			heap[look].at = time.Now()
			look = 1
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := w.settled(ctx, o.prefix); err != nil {
		return nil, err
	}
	stats, err := r.vendorStats(ctx)
	if err != nil {
		return nil, err
	}
	if stats.Calls != int64(n) {
		return nil, r.program.explain(fmt.Errorf("the vendor was called %d times for %d purchases", stats.Calls, n))
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	stamps, err := w.stamps(ctx, publisher.Subjects{Prefix: o.prefix}.ResultsStream(), n)
	if err != nil {
		return nil, err
	}
	if err := w.complete(ctx, o.prefix, stamps); err != nil {
		return nil, r.program.explain(err)
	}
	times := make([]time.Time, len(stamps))
	between := 0
	for i, s := range stamps {
		times[i] = s.at
		if s.at.After(heap[0].at) && !s.at.After(heap[1].at) {
			between++
		}
	}
	part := middle(times)
	f := figures{
		measureRate:     part.rate(),
		measureCPU:      microseconds(part.cpu(samples, ofProgram)),
		measureCPUAll:   microseconds(part.cpu(samples, ofProgram, ofVendor, ofNATS, ofRedis)),
		measureCPUNATS:  microseconds(part.cpu(samples, ofNATS)),
		measureCPURedis: microseconds(part.cpu(samples, ofRedis)),
		measureMemory:   float64(r.program.peak) / 1e6,
		measureStart:    milliseconds(time.Unix(0, stats.First).Sub(r.program.begun)),
	}
	if between > 0 {
		f[measureAllocations] = (heap[1].objects - heap[0].objects) / float64(between)
	}
	return f, w.clear(ctx, o.prefix)
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
