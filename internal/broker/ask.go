package broker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// askTry is how long one question to JetStream may take, askFor how long it is
	// asked again where no answer comes, and askPause the time in between.
	askTry   = 4 * time.Second
	askFor   = 30 * time.Second
	askPause = 250 * time.Millisecond
)

// ask asks until there is an answer, for askFor at most or until ctx ends. An answer
// that is lost with its connection never comes, and a stream that is choosing a
// leader gives none: without tries of its own one question would take up all the
// time that a program has to start.
func ask[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	for {
		try, end := context.WithTimeout(ctx, askTry)
		answer, err := question(try)
		end()
		if err == nil || ctx.Err() != nil || !Unanswered(err) {
			return answer, err
		}
		timer := time.NewTimer(askPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer, err
		}
	}
}

// Unanswered reports whether an error says only that there was no answer, or none
// yet: the servers are away or have no leader.
func Unanswered(err error) bool {
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return false // an answer, and a final one
	}
	var api *jetstream.APIError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrDisconnected) ||
		errors.As(err, &api) && api.Code == 503
}
