package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrOriginalGone is returned for a dead letter whose body was cut, and whose
// original is no longer in the requests stream: nobody has the whole of it.
var ErrOriginalGone = errors.New("publisher: the dead letter's body was cut, and the original is no longer in the requests stream")

// Redrive publishes the message of a dead letter once more, with its original
// body and headers: a new message, with an end of its own. The dead letter stays.
// The original is read from the requests stream where it is still there, since a
// dead letter may hold less of it. It returns the new message's sequence, and
// duplicate where the server has the same redrive from the last minutes.
//
// Publishing it twice is harmless: it is a repeat. A time-out is tried again until
// ctx ends (30 s where ctx has no deadline); then the error wraps
// ErrNotAcknowledged.
func (s *Store) Redrive(ctx context.Context, d DeadLetter) (sequence uint64, duplicate bool, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, submitTimeout)
		defer cancel()
	}
	original, err := s.Original(ctx, d.Account, d.Sequence)
	if err != nil {
		return 0, false, err
	}
	header, body := original.Header, original.Body
	if body == nil {
		if Header(d.Header, HeaderTruncated) != "" {
			return 0, false, ErrOriginalGone
		}
		header, body = d.Header, d.Body
	}
	m := &nats.Msg{Subject: s.subjects.Requests(d.Account), Header: redriveHeader(d, header), Data: body}
	var last error // why, where only ctx's end is returned
	ack, err := backoff.RetryWithData(func() (*jetstream.PubAck, error) {
		call, cancel := context.WithTimeout(ctx, publishTimeout)
		defer cancel()
		ack, err := s.Wire.Publish(call, copyMsg(m), jetstream.WithExpectStream(s.subjects.RequestsStream()))
		if err != nil && (refused(err) || errors.Is(err, nats.ErrConnectionClosed)) {
			return nil, backoff.Permanent(err)
		}
		if err != nil {
			last = err
		}
		return ack, err
	}, backoff.WithContext(patiently(), ctx))
	switch {
	case err == nil:
		return ack.Sequence, ack.Duplicate, nil
	case refused(err):
		return 0, false, fmt.Errorf("publisher: the server refused the request: %w", err)
	case last != nil && !errors.Is(err, last):
		return 0, false, fmt.Errorf("publisher: %w: %w: %w", ErrNotAcknowledged, err, last)
	default:
		return 0, false, fmt.Errorf("publisher: %w: %w", ErrNotAcknowledged, err)
	}
}

// redriveHeader is the original's header without what JetStream would obey and
// what a dead letter says of itself.
func redriveHeader(d DeadLetter, header map[string][]string) nats.Header {
	h := nats.Header{}
	for name, values := range header {
		ours := slices.ContainsFunc(deadHeaders, func(of string) bool { return strings.EqualFold(of, name) })
		prefixed := len(name) >= len(HeaderOriginalPrefix) && strings.EqualFold(name[:len(HeaderOriginalPrefix)], HeaderOriginalPrefix)
		if ours || prefixed || obeyed(name) || strings.ContainsAny(name, "\r\n:") {
			continue
		}
		h[name] = values
	}
	h[HeaderMessageID] = []string{"redrive/" + d.Account + "/" + strconv.FormatUint(d.Sequence, 10)}
	return h
}
