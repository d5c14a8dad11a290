package publisher

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// ErrOriginalGone is returned for a dead letter whose body was cut or whose headers
// were left out, and whose original is no longer in the requests stream: nobody has
// the whole of it, and one of the headers may have been when it expires.
var ErrOriginalGone = errors.New("publisher: the dead letter lacks a part of its body or its headers, and the original is no longer in the requests stream")

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
		if Incomplete(d.Header) {
			return 0, false, ErrOriginalGone
		}
		header, body = d.Header, d.Body
	}
	m := &nats.Msg{Subject: s.subjects.Requests(d.Account), Header: redriveHeader(d, header), Data: body}
	ack, err := ask(ctx, s.Wire, s.subjects, m)
	if err != nil {
		return 0, false, err
	}
	return ack.Sequence, ack.Duplicate, nil
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
