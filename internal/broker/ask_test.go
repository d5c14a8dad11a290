package broker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// silent is a JetStream whose first answers are lost, or refused for now.
type silent struct {
	jetstream.JetStream
	first []error // what the first questions end with; nil waits for the context
	asked int
}

var errNone = errors.New("asked to the end")

func (s *silent) question(ctx context.Context) error {
	s.asked++
	if s.asked > len(s.first) {
		return errNone
	}
	if err := s.first[s.asked-1]; err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *silent) Stream(ctx context.Context, _ string) (jetstream.Stream, error) {
	return nil, s.question(ctx)
}

func (s *silent) Consumer(ctx context.Context, _, _ string) (jetstream.Consumer, error) {
	return nil, s.question(ctx)
}

// An answer that is lost at the start is asked for again, and does not use up the
// time that the start has.
func TestLostAnswersAreAskedForAgain(t *testing.T) {
	away := &jetstream.APIError{Code: 503, ErrorCode: 10008}
	for name, start := range map[string]func(context.Context, jetstream.JetStream) error{
		"streams": func(ctx context.Context, js jetstream.JetStream) error {
			_, err := Ensure(ctx, js, Topology{Accounts: []string{"acme"}})
			return err
		},
		"source": func(ctx context.Context, js jetstream.JetStream) error {
			_, err := NewSource(ctx, js, Topology{}.RequestsConsumer("acme"))
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			js := &silent{first: []error{nil, away, nats.ErrNoResponders, nats.ErrTimeout}}
			if err := start(t.Context(), js); !errors.Is(err, errNone) || js.asked != 5 || time.Since(begun) != askTry+4*askPause {
				t.Errorf("%s: %v, asked %d times in %s", name, err, js.asked, time.Since(begun))
			}
		})
		synctest.Test(t, func(t *testing.T) { // never
			begun := time.Now()
			js := &silent{first: make([]error, 100)}
			if err := start(t.Context(), js); !errors.Is(err, context.DeadlineExceeded) || !Unanswered(err) || time.Since(begun) != askFor {
				t.Errorf("%s: %v in %s", name, err, time.Since(begun))
			}
		})
		synctest.Test(t, func(t *testing.T) { // a final answer
			js := &silent{first: []error{jetstream.ErrJetStreamNotEnabled}}
			if err := start(t.Context(), js); !errors.Is(err, jetstream.ErrJetStreamNotEnabled) || js.asked != 1 {
				t.Errorf("%s: %v, asked %d times", name, err, js.asked)
			}
		})
	}
}
