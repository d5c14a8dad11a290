package failpoint

import (
	"context"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/worker"
)

// Priority puts points around what a source does to keep low priority apart.
func (s *Set) Priority(p *broker.Prioritized) *broker.Prioritized {
	p.Lane = lane{at{s, roleConsumer}, p.Lane}
	return p
}

type lane struct {
	at
	next broker.Lane
}

func (l lane) Find(ctx context.Context) (broker.Puller, error) {
	return value(l.at, "lane.find", func() (broker.Puller, error) { return l.next.Find(ctx) })
}

func (l lane) Make(ctx context.Context) error {
	return l.effect("lane.make", func() error { return l.next.Make(ctx) })
}

func (l lane) Pass(ctx context.Context, d *worker.Delivery) error {
	return l.effect("lane.pass", func() error { return l.next.Pass(ctx, d) })
}
