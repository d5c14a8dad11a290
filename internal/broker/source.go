package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/worker"
)

// pullWait is how long one pull waits for messages. A stop waits for it, so that
// no message is delivered to a request that nobody reads any more.
const pullWait = time.Second

// Source pulls from one durable consumer. Pull is for one goroutine at a time.
type Source struct {
	js       jetstream.JetStream
	want     ConsumerOf
	consumer jetstream.Consumer
}

// NewSource makes the source of a declared consumer. The consumer must exist:
// Ensure has made it.
func NewSource(ctx context.Context, js jetstream.JetStream, want ConsumerOf) (*Source, error) {
	s := &Source{js: js, want: want}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Source) open(ctx context.Context) error {
	c, err := ask(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
		return s.js.Consumer(ctx, s.want.Stream, s.want.Config.Durable)
	})
	if err != nil {
		return fmt.Errorf("broker: consumer %s/%s: %w", s.want.Stream, s.want.Config.Durable, err)
	}
	s.consumer = c
	return nil
}

// AckWait is the consumer's own, which is not always the declared one.
func (s *Source) AckWait() time.Duration { return s.consumer.CachedInfo().Config.AckWait }

// Created is when the consumer was made.
func (s *Source) Created() time.Time { return s.consumer.CachedInfo().Created }

// Pull implements worker.Source. A consumer that was deleted is made again: it
// then starts from the beginning, which the ledger makes harmless.
func (s *Source) Pull(ctx context.Context, n int, each func([]*worker.Delivery)) error {
	_, err := s.PullSome(ctx, n, pullWait, func(chunk []*worker.Delivery) int {
		each(chunk)
		return len(chunk)
	})
	return err
}

// drain pulls what is there now, until n were taken. take is told of each chunk
// and returns how many of it it took.
func drain(ctx context.Context, s Puller, n int, take func([]*worker.Delivery) int) (taken int, err error) {
	for began := time.Now(); taken < n && time.Since(began) < sortTime && ctx.Err() == nil; {
		came := false
		got, err := s.PullSome(ctx, n-taken, 0, func(chunk []*worker.Delivery) int {
			came = true
			return take(chunk)
		})
		taken += got
		if err != nil || !came {
			return taken, err
		}
	}
	return taken, nil
}

// PullSome implements Puller.
func (s *Source) PullSome(ctx context.Context, n int, wait time.Duration, take func([]*worker.Delivery) int) (taken int, err error) {
	if most := s.consumer.CachedInfo().Config.MaxRequestBatch; most > 0 {
		n = min(n, most) // a larger pull is refused
	}
	var batch jetstream.MessageBatch
	if wait > 0 {
		batch, err = s.consumer.Fetch(n, jetstream.FetchMaxWait(wait))
	} else {
		batch, err = s.consumer.FetchNoWait(n)
	}
	if err != nil {
		return 0, err
	}
	messages := batch.Messages()
	for m := range messages {
		chunk := []*worker.Delivery{delivery(m)}
		for more := true; more; {
			select {
			case m, ok := <-messages:
				if ok {
					chunk = append(chunk, delivery(m))
				}
				more = ok
			default:
				more = false
			}
		}
		taken += take(chunk)
	}
	err = batch.Error()
	if gone(err) {
		if made := createConsumer(ctx, s.js, s.want); made != nil {
			return taken, errors.Join(err, made)
		}
		return taken, errors.Join(err, s.open(ctx))
	}
	return taken, err
}

func gone(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) ||
		errors.Is(err, nats.ErrNoResponders)
}

func delivery(m jetstream.Msg) *worker.Delivery {
	d := &worker.Delivery{Subject: m.Subject(), Header: m.Headers(), Body: m.Data(), Acker: acker{m}}
	if meta, err := m.Metadata(); err == nil {
		d.Sequence, d.Time, d.Count = meta.Sequence.Stream, meta.Timestamp, int(meta.NumDelivered)
	}
	return d
}

type acker struct{ m jetstream.Msg }

// Ack does not wait for the server: a lost ack brings the message again, and
// what it asked for is found stored.
func (a acker) Ack(context.Context) error { return a.m.Ack() }

func (a acker) Retry(_ context.Context, after time.Duration) error {
	if after <= 0 {
		return a.m.Nak()
	}
	return a.m.NakWithDelay(after)
}

// Progress of a delivery that was ended a moment ago is no error.
func (a acker) Progress(context.Context) error {
	if err := a.m.InProgress(); !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
		return err
	}
	return nil
}
