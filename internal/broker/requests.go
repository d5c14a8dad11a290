package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// Requests reads the requests stream beside its consumers.
type Requests struct {
	js       jetstream.JetStream
	subjects publisher.Subjects
}

// NewRequests makes a reader of the requests stream.
func NewRequests(js jetstream.JetStream, subjects publisher.Subjects) *Requests {
	return &Requests{js: js, subjects: subjects}
}

// Accounts are those that have requests on the stream, configured or not.
func (r *Requests) Accounts(ctx context.Context) ([]string, error) {
	stream, err := r.js.Stream(ctx, r.subjects.RequestsStream())
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(r.subjects.AllRequests()))
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	accounts := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		accounts = append(accounts, r.subjects.AccountOf(subject))
	}
	return accounts, nil
}

// Served reports whether a consumer for the account exists.
func (r *Requests) Served(ctx context.Context, account string) (bool, error) {
	_, err := r.js.Consumer(ctx, r.subjects.RequestsStream(), account)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrInvalidConsumerName):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("broker: %w", err)
	default:
		return true, nil
	}
}

// Next is the account's first request at or after a sequence, and nil where
// there is none.
func (r *Requests) Next(ctx context.Context, account string, from uint64) (*worker.Delivery, error) {
	stream, err := r.js.Stream(ctx, r.subjects.RequestsStream())
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	m, err := stream.GetMsg(ctx, max(1, from), jetstream.WithGetMsgSubject(r.subjects.Requests(account)))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("broker: %w", err)
	}
	return &worker.Delivery{
		Subject: m.Subject, Header: m.Header, Body: m.Data,
		Sequence: m.Sequence, Time: m.Time, Count: 1,
	}, nil
}
