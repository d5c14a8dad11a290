package audit

import (
	"context"
	"errors"
	"sync"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

var (
	_ Streams = (*broker.Trail)(nil)
	_ Seeker  = (*broker.Trail)(nil)
	_ Ends    = (*publisher.Store)(nil)
)

func rejection(err error) (*purchase.Rejection, error) {
	var why *purchase.Rejection
	if !errors.As(err, &why) {
		return nil, err
	}
	return why, nil
}

// parallel runs do for 0 … n-1, width of them at once, and stops at the first error.
func parallel(ctx context.Context, n, width int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	indexes := make(chan int)
	var wg sync.WaitGroup
	for range min(n, width) {
		wg.Go(func() {
			for i := range indexes {
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case indexes <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(indexes)
	wg.Wait()
	return context.Cause(ctx)
}
