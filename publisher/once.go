package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	publishTimeout = 5 * time.Second
	retryFirst     = 50 * time.Millisecond
	retryLongest   = 2 * time.Second
)

// Codes of the server that mean that nothing is known of the write yet, or that
// there was no room for it: read back, wait, try again. 10071 and 10164 are a
// lost race on the expected sequence, 10077 a subject or a stream that is full,
// 10158 the same message id in another write under way.
var retried = map[jetstream.ErrorCode]bool{
	10071: true, 10164: true, 10077: true, 10158: true,
}

// ErrGone is returned where a hand-off was to be replaced that is no longer
// there: somebody else has ended it.
var ErrGone = errors.New("publisher: the hand-off is gone")

// storeOnce writes the first message of a subject. It returns nil when this
// call's message was stored and is known to be, and the message that is there
// when the subject already had one, which may be this call's own if an answer
// was lost. It waits as long as ctx allows for a stream that is away or full;
// a publish that timed out is read back before it is repeated.
func (s *Store) storeOnce(ctx context.Context, stream string, m *nats.Msg) (*stored, error) {
	return s.storeAfter(ctx, stream, m, 0)
}

// storeAfter is storeOnce for a subject whose last message is expected to have
// that sequence; a last message with another one is returned.
func (s *Store) storeAfter(ctx context.Context, stream string, m *nats.Msg, last uint64) (*stored, error) {
	there, err := s.attempt(ctx, stream, m, last)
	if err == nil {
		return there, nil // as nearly always: the policy is not needed
	}
	first := true
	return backoff.RetryWithData(func() (*stored, error) {
		if first {
			first = false
			return nil, err
		}
		return s.attempt(ctx, stream, m, last)
	}, backoff.WithContext(patiently(), ctx))
}

// patiently waits between tries for as long as ctx allows.
func patiently() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(retryFirst),
		backoff.WithMaxInterval(retryLongest),
		backoff.WithMaxElapsedTime(0),
	)
}

// attempt publishes once, and reads back where that does not say that the message
// was stored. A *backoff.PermanentError says that trying again cannot help.
func (s *Store) attempt(ctx context.Context, stream string, m *nats.Msg, last uint64) (*stored, error) {
	call, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	// The client writes its options into the header: the same ones every time.
	ack, err := s.Wire.Publish(call, m,
		jetstream.WithExpectStream(stream),
		jetstream.WithExpectLastSequencePerSubject(last),
		jetstream.WithRetryAttempts(0))
	if err == nil && !ack.Duplicate {
		return nil, nil
	}
	if err != nil && final(err) {
		return nil, backoff.Permanent(fmt.Errorf("publisher: publish on %s: %w", stream, err))
	}
	there, readErr := s.last(ctx, stream, m.Subject)
	if s.Failed != nil && (readErr != nil || there == nil || there.Sequence == last) {
		s.Failed(stream) // not where somebody else was first, which is no fault
	}
	switch {
	case readErr != nil:
		return nil, fmt.Errorf("publisher: read back from %s: %w", stream, readErr)
	case there != nil && there.Sequence > last:
		return there, nil
	case there != nil && there.Sequence < last:
		// From before what is to be replaced: a leader that is one no longer.
		return nil, fmt.Errorf("publisher: read back from %s: the answer is older than what was read before", stream)
	case there == nil && last > 0:
		return nil, backoff.Permanent(ErrGone)
	case err == nil:
		// The message id was seen in the last minutes, but the subject is
		// empty: the message was removed since. Only another id gets past.
		m.Header.Set(HeaderMessageID, m.Header.Get(HeaderMessageID)+"#"+randomHex(4))
		return nil, fmt.Errorf("publisher: publish on %s: the server took the message for a duplicate of one that is gone", stream)
	default:
		return nil, fmt.Errorf("publisher: publish on %s: %w", stream, err)
	}
}

// final reports whether repeating the publish cannot help.
func final(err error) bool {
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) {
		return true
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && api.Code < 500 && !retried[api.ErrorCode]
}

func copyMsg(m *nats.Msg) *nats.Msg {
	c := nats.NewMsg(m.Subject)
	c.Data = m.Data
	for name, values := range m.Header {
		c.Header[name] = values
	}
	return c
}
