package failpoint

import (
	"context"
	"time"

	"github.com/vendstream/vendstream/internal/worker"
)

// source wraps where deliveries come from, and their acks.
type source struct {
	at
	next worker.Source
}

func (s source) Pull(ctx context.Context, n int, each func([]*worker.Delivery)) error {
	return s.effect("source.pull", func() error {
		return s.next.Pull(s.ctx(ctx), n, func(chunk []*worker.Delivery) {
			for _, d := range chunk {
				d.Acker = acker{s.at, d.Acker}
			}
			// An error here is a delivery that never arrived: it comes again when the
			// wait for its ack is over.
			_ = s.effect("source.deliver", func() error { each(chunk); return nil })
		})
	})
}

type acker struct {
	at
	next worker.Acker
}

func (a acker) Ack(ctx context.Context) error {
	return a.effect("acker.ack", func() error { return a.next.Ack(ctx) })
}

func (a acker) Retry(ctx context.Context, after time.Duration) error {
	return a.effect("acker.retry", func() error { return a.next.Retry(ctx, after) })
}

func (a acker) Progress(ctx context.Context) error {
	return a.effect("acker.progress", func() error { return a.next.Progress(ctx) })
}
