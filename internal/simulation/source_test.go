package simulation

import (
	"context"
	"strconv"
	"time"

	"github.com/vendstream/vendstream/internal/worker"
)

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// source is a process's view of a stream's consumer: what broker.Source is to a
// real one.
type source struct {
	process *process
	stream  *stream
	wait    time.Duration // of one pull
	// acked, where set, looks at the world at the moment of an ack.
	acked func(*message)
	who   int // the consumer
	// brief, where set, says that a pull is not to last: a real one lasts a second, and
	// must not outlive the right to a probe by much.
	brief func() bool
}

// Pull implements worker.Source.
func (s *source) Pull(ctx context.Context, n int, each func([]*worker.Delivery)) error {
	return s.pull(ctx, n, s.wait, each)
}

func (s *source) pull(ctx context.Context, n int, wait time.Duration, each func([]*worker.Delivery)) error {
	if s.brief != nil && s.brief() {
		wait = min(wait, time.Second)
	}
	end := time.NewTimer(wait)
	defer end.Stop()
	for {
		s.process.awake()
		if s.process.isDead() {
			return errDead
		}
		due, next, changed := s.take(n)
		if len(due) > 0 {
			return s.deliver(ctx, due, each)
		}
		if wait == 0 {
			return nil
		}
		var later <-chan time.Time
		if !next.IsZero() {
			timer := time.NewTimer(time.Until(next))
			defer timer.Stop()
			later = timer.C
		}
		select {
		case <-changed:
		case <-later:
		case <-end.C:
			return nil
		case <-ctx.Done():
			return nil
		}
		// Who wakes first is not left to chance.
		if s.process.fate != nil {
			time.Sleep(s.process.fate.dice(s.process.name, "wakes").upTo(time.Millisecond))
		}
	}
}

// take asks the consumer's leader, or who takes itself for it.
func (s *source) take(n int) (due []delivery, next time.Time, changed <-chan struct{}) {
	if f := s.stream.consumerPast(s.process.name); f != nil {
		return s.stream.takeAt(f, s.process.name, s.who, n), f.until, nil
	}
	return s.stream.take(s.who, n)
}

// deliver hands messages over, or loses them on the way.
func (s *source) deliver(ctx context.Context, due []delivery, each func([]*worker.Delivery)) error {
	key := ""
	chunk := make([]*worker.Delivery, len(due))
	for i, d := range due {
		m := d.message
		key += decimal(m.sequence) + " "
		chunk[i] = &worker.Delivery{
			Subject: m.subject, Header: m.header, Body: m.body, Sequence: m.sequence, Time: m.stored, Count: d.count,
			Acker: &acker{s, m},
		}
	}
	err := s.process.effect(context.WithoutCancel(ctx), "nats", "deliver "+s.name(), key, func() error { return nil })
	if err != nil {
		return err
	}
	each(chunk)
	return nil
}

// name is the stream's and the consumer's, for fate and trace.
func (s *source) name() string {
	if s.who == low {
		return "low " + short(s.stream.config.Name)
	}
	return short(s.stream.config.Name)
}

type acker struct {
	source  *source
	message *message
}

// end sends an ack of some kind. Nobody hears whether it came.
func (a *acker) end(ctx context.Context, name string, change func(*place)) error {
	return a.source.process.effect(ctx, "nats", name+" "+a.source.name(), decimal(a.message.sequence), func() error {
		// The leader hears of it also where a former one has delivered.
		a.source.stream.settle(a.source.who, a.message, change)
		if name == "ack" && a.source.acked != nil {
			a.source.acked(a.message)
		}
		return nil
	})
}

func (a *acker) Ack(ctx context.Context) error {
	return a.end(ctx, "ack", func(m *place) { m.acked = time.Now() })
}

func (a *acker) Retry(ctx context.Context, after time.Duration) error {
	return a.end(ctx, "nak", func(m *place) { m.visible = time.Now().Add(after) })
}

func (a *acker) Progress(ctx context.Context) error {
	return a.end(ctx, "progress", func(m *place) { m.visible = time.Now().Add(a.source.stream.ackWait) })
}

// short is a stream's name without the prefix, in small letters.
func short(stream string) string {
	switch stream {
	case subjects.RequestsStream():
		return "request"
	case subjects.PendingStream():
		return "hand-off"
	case subjects.ResultsStream():
		return "result"
	case subjects.DeadStream():
		return "dead"
	}
	return stream
}
