package simulation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// prioritized is the real source of requests over the model's two consumers.
func (w *world) prioritized(p *process) *broker.Prioritized {
	all := &source{process: p, stream: w.streams.requests, wait: 10 * time.Minute, acked: w.ackedRequest, brief: w.pauses.isOn}
	return &broker.Prioritized{All: puller{all}, Lane: &lane{w, all}}
}

// puller is a source as broker.Source is one.
type puller struct{ *source }

// PullSome implements broker.Puller. It waits for longer than it is asked to, which
// costs low priority some time and saves the history many pulls; where there is one
// consumer only, for as long as a source does.
func (p puller) PullSome(ctx context.Context, n int, wait time.Duration, take func([]*worker.Delivery) int) (taken int, err error) {
	switch {
	case wait == 0:
	case p.stream.hasLane():
		wait = 20 * time.Second
	default:
		wait = p.wait
	}
	err = p.pull(ctx, n, wait, func(chunk []*worker.Delivery) { taken += take(chunk) })
	return taken, err
}

// lane is what a process does to keep low priority apart.
type lane struct {
	world *world
	all   *source
}

func (l *lane) Find(ctx context.Context) (broker.Puller, error) {
	there, err := reach(ctx, l.all.process, "nats", "look for lane", "", func() (bool, error) { return l.all.stream.hasLane(), nil })
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, fmt.Errorf("simulation: %w", jetstream.ErrConsumerNotFound)
	}
	other := *l.all
	other.who = low
	return puller{&other}, nil
}

func (l *lane) Make(ctx context.Context) error {
	return l.all.process.effect(ctx, "nats", "make lane", "", func() error { l.all.stream.makeLane(); return nil })
}

// Pass looks at the world as an ack does: what is passed over must be another's.
func (l *lane) Pass(ctx context.Context, d *worker.Delivery) error {
	a := d.Acker.(*acker)
	isLow := strings.EqualFold(publisher.Header(d.Header, publisher.HeaderPriority), publisher.PriorityLow)
	if a.source.who == ordinary && (!isLow || !a.source.stream.hasLane()) || a.source.who == low && isLow {
		l.world.breach("", "request %d is passed over, and nobody else works on it", d.Sequence)
	}
	passing := *a.source
	passing.acked = nil
	return (&acker{&passing, a.message}).end(ctx, "pass", func(at *place) { at.acked = time.Now() })
}
