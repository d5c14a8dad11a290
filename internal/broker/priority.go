package broker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

const (
	// lowShare is how many other deliveries one of low priority stands behind while
	// both wait: it is never starved.
	lowShare = 9
	// sortTime bounds what one pull spends on passing over messages that are the
	// other consumer's.
	sortTime = 100 * time.Millisecond
	// laneLook is the time between looks for a consumer of low priority that
	// another process has made.
	laneLook = time.Minute
)

// Prioritized pulls an account's requests, and those with the header
// Vendstream-Priority: low behind the others. Each of two consumers is delivered
// every request and passes over, by acknowledging it, what is the other's. The
// consumer of low priority is made for the first such request; until then
// nothing is delivered twice. Pull is for one goroutine at a time.
type Prioritized struct {
	*Source // of all requests; nil where they are pulled from elsewhere
	// All are all requests, and Lane what it does to keep the two apart. NewPrioritized
	// sets them.
	All    Puller
	Lane   Lane
	low    Puller    // nil: the account has had none of low priority
	looked time.Time // when it was last looked for
	ahead  int       // deliveries since the last one of low priority
}

// Puller pulls from one consumer, as Source does.
type Puller interface {
	// PullSome makes one pull for up to n deliveries, that waits for them, or with a
	// wait of 0 takes those that are there. take is told of each chunk and returns
	// how many of it it kept; taken is the sum.
	PullSome(ctx context.Context, n int, wait time.Duration, take func([]*worker.Delivery) int) (taken int, err error)
}

// Lane are the effects of a Prioritized beside its pulls.
type Lane interface {
	// Find opens the consumer of low priority. The error wraps
	// jetstream.ErrConsumerNotFound where there is none.
	Find(ctx context.Context) (Puller, error)
	// Make makes it.
	Make(ctx context.Context) error
	// Pass acknowledges a delivery that is the other consumer's.
	Pass(ctx context.Context, d *worker.Delivery) error
}

type lane struct {
	js   jetstream.JetStream
	want ConsumerOf
}

func (l lane) Find(ctx context.Context) (Puller, error) { return NewSource(ctx, l.js, l.want) }
func (l lane) Make(ctx context.Context) error           { return createConsumer(ctx, l.js, l.want) }

func (lane) Pass(ctx context.Context, d *worker.Delivery) error { return d.Acker.Ack(ctx) }

// NewPrioritized makes the source of an account's requests. The consumer of the
// account must exist: Ensure has made it.
func NewPrioritized(ctx context.Context, js jetstream.JetStream, t Topology, account string) (*Prioritized, error) {
	source, err := NewSource(ctx, js, t.RequestsConsumer(account))
	if err != nil {
		return nil, err
	}
	p := &Prioritized{Source: source, All: source, Lane: lane{js, t.LowConsumer(account)}}
	return p, p.look(ctx)
}

// look finds the consumer of low priority where there is one.
func (p *Prioritized) look(ctx context.Context) error {
	p.looked = time.Now()
	low, err := p.Lane.Find(ctx)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil
	case err != nil:
		return err
	}
	p.low = low
	return nil
}

// openLane makes the consumer of low priority where there is none. It begins with
// the first request of all: what this one passes over, that one is delivered.
func (p *Prioritized) openLane(ctx context.Context) error {
	if p.low != nil {
		return nil
	}
	if err := p.Lane.Make(ctx); err != nil {
		return err
	}
	return p.look(ctx)
}

// Pull implements worker.Source.
func (p *Prioritized) Pull(ctx context.Context, n int, each func([]*worker.Delivery)) error {
	if p.low == nil && time.Since(p.looked) >= laneLook {
		if err := p.look(ctx); err != nil {
			return err
		}
	}
	if p.low == nil {
		_, err := p.All.PullSome(ctx, n, pullWait, p.sorted(ctx, each))
		return err
	}
	left := n
	takeLow := func(most int) error {
		got, err := drain(ctx, p.low, min(most, left), p.passing(isLow, each))
		left -= got
		if got > 0 {
			p.ahead = 0
		}
		return err
	}
	if p.ahead >= lowShare {
		if err := takeLow(max(1, n/(lowShare+1))); err != nil || left == 0 {
			return err
		}
	}
	got, err := drain(ctx, p.All, left, p.sorted(ctx, each))
	left -= got
	p.ahead += got
	if err != nil || left == 0 {
		return err
	}
	if err := takeLow(left); err != nil || left < n {
		return err
	}
	got, err = p.All.PullSome(ctx, n, pullWait, p.sorted(ctx, each))
	p.ahead += got
	return err
}

// sorted hands on what is not of low priority. Where the consumer of low priority
// cannot be made, a request goes with the others rather than not at all.
func (p *Prioritized) sorted(ctx context.Context, each func([]*worker.Delivery)) func([]*worker.Delivery) int {
	return p.passing(func(d *worker.Delivery) bool { return !isLow(d) || p.openLane(ctx) != nil }, each)
}

// passing hands on what is ours, acknowledges the rest, and counts what it handed
// on. An acknowledgement that is lost brings the message again, to be passed over.
func (p *Prioritized) passing(ours func(*worker.Delivery) bool, each func([]*worker.Delivery)) func([]*worker.Delivery) int {
	return func(chunk []*worker.Delivery) int {
		kept := make([]*worker.Delivery, 0, len(chunk))
		for _, d := range chunk {
			if ours(d) {
				kept = append(kept, d)
				continue
			}
			_ = p.Lane.Pass(context.Background(), d)
		}
		if len(kept) > 0 {
			each(kept)
		}
		return len(kept)
	}
}

// isLow reads the header; any other value than low is the ordinary priority.
func isLow(d *worker.Delivery) bool {
	return strings.EqualFold(strings.TrimSpace(publisher.Header(d.Header, publisher.HeaderPriority)), publisher.PriorityLow)
}
