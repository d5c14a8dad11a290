package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// errEnough ends follow from within.
var errEnough = errors.New("enough")

// follow gives the messages of a stream to each, in order and without gaps, also
// over lost connections, until ctx ends or each returns an error; errEnough is
// the good end. begun is told how many messages there are to begin with.
func (s *session) follow(ctx context.Context, stream string, from jetstream.OrderedConsumerConfig,
	begun func(there uint64) error, each func(jetstream.Msg, *jetstream.MsgMetadata) error,
) error {
	consumer, err := s.js.OrderedConsumer(ctx, stream, from)
	if err != nil {
		return unreachable(fmt.Errorf("read stream %s: %w", stream, err))
	}
	err = begun(consumer.CachedInfo().NumPending)
	if err != nil {
		return good(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return unreachable(fmt.Errorf("read stream %s: %w", stream, err))
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return unreachable(fmt.Errorf("read stream %s: %w", stream, err))
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read stream %s: %w", stream, err)
		}
		if err := each(m, meta); err != nil {
			return good(err)
		}
	}
}

func good(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
