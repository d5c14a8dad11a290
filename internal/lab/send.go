package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/publisher"
)

// sent counts what was put on the requests stream.
type sent struct {
	sequences []uint64 // acknowledged, each once
	messages  int      // acknowledged, repeats that JetStream dropped too
	dropped   int      // by JetStream, by their Nats-Msg-Id
	strays    int      // for an account that nobody serves
}

func (s *sent) add(a ask, sequence uint64, dropped bool) {
	s.messages++
	if dropped {
		s.dropped++
		return
	}
	s.sequences = append(s.sequences, sequence)
	if a.account == unknownAccount {
		s.strays++
	}
}

// sender puts messages on the requests stream: with the publisher as any program
// would, and past it what the publisher would refuse.
type sender struct {
	publisher *publisher.Publisher
	js        jetstream.JetStream
	sent      *sent
}

func newSender(nc *nats.Conn, js jetstream.JetStream, count *sent) (*sender, error) {
	p, err := publisher.New(nc)
	if err != nil {
		return nil, err
	}
	return &sender{p, js, count}, nil
}

// send returns when all are acknowledged.
func (s *sender) send(ctx context.Context, wave []ask) error {
	var requests []publisher.Request
	for _, a := range wave {
		if !a.bare {
			requests = append(requests, a.request())
		}
	}
	var errs []error
	err := s.publisher.SubmitMany(ctx, slices.Values(requests), func(done publisher.Submitted) {
		if done.Err != nil {
			errs = append(errs, done.Err)
			return
		}
		s.sent.add(ask{account: done.Request.Account}, done.Sequence, done.Duplicate)
	})
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("lab: submit: %w", err)
	}
	for _, a := range wave {
		if !a.bare {
			continue
		}
		m := &nats.Msg{Subject: subjects.Requests(a.account), Header: nats.Header{}, Data: a.body}
		if !a.expires.IsZero() {
			m.Header.Set(publisher.HeaderExpiresAt, a.expires.UTC().Format(time.RFC3339Nano))
		}
		ack, err := s.js.PublishMsg(ctx, m)
		if err != nil {
			return fmt.Errorf("lab: publish a request: %w", err)
		}
		s.sent.add(a, ack.Sequence, ack.Duplicate)
	}
	return nil
}
