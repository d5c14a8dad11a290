package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/batch"
	"github.com/vendstream/vendstream/internal/purchase"
)

const (
	// feedSilence is how long a subscription may tell nothing before a new one
	// takes its place: one that is dead does not always say so.
	feedSilence = time.Minute
	feedAgain   = time.Second
	// feedAccounts is for how many accounts results are asked for one by one.
	feedAccounts = 50
)

// batchFeed tells a batch what comes in the results and dead letters streams.
type batchFeed struct {
	session *session
	say     func(text string)

	accounts []string // of the subjects: those of the plan, or "*"
	results  uint64   // the next sequence of the results stream
}

// begin fixes where the results begin, before any is looked up.
func (f *batchFeed) begin(ctx context.Context, plan *batch.Plan) error {
	results, err := f.session.stream(ctx, f.session.subjects.ResultsStream())
	if err != nil {
		return err
	}
	if _, err := f.session.stream(ctx, f.session.subjects.DeadStream()); err != nil {
		return err
	}
	f.results = results.CachedInfo().State.LastSeq + 1
	f.accounts = []string{"*"}
	if len(plan.Accounts) <= feedAccounts {
		f.accounts = nil
		for i := range plan.Accounts {
			f.accounts = append(f.accounts, plan.Accounts[i].Name)
		}
	}
	return nil
}

// Results implements batch.Feed.
func (f *batchFeed) Results(ctx context.Context, each func(account, reference string, body []byte) error) error {
	s := f.session
	return f.stream(ctx, s.subjects.ResultsStream(), s.subjects.AllResults, f.results, false, func(m jetstream.Msg) error {
		reference, err := purchase.FromToken(lastToken(m.Subject()))
		if err != nil {
			return nil // no purchase has this subject
		}
		return each(s.subjects.AccountOf(m.Subject()), reference, m.Data())
	})
}

// Dead implements batch.Feed.
func (f *batchFeed) Dead(ctx context.Context, each func(account string, sequence uint64) error) error {
	s := f.session
	return f.stream(ctx, s.subjects.DeadStream(), s.subjects.AllDead, 1, true, func(m jetstream.Msg) error {
		return each(s.subjects.AccountOf(m.Subject()), lastNumber(m.Subject()))
	})
}

// stream follows a stream from a sequence on until ctx ends, whatever becomes of
// the connection.
func (f *batchFeed) stream(ctx context.Context, name string, subject func(string) string, next uint64, headers bool, each func(jetstream.Msg) error) error {
	from := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, HeadersOnly: headers}
	for _, account := range f.accounts {
		from.FilterSubjects = append(from.FilterSubjects, subject(account))
	}
	var failed error // of each
	told := false
	for {
		from.OptStartSeq = next
		attempt, cancel := context.WithCancel(ctx)
		silence := time.AfterFunc(feedSilence, cancel)
		err := f.session.follow(attempt, name, from, func(uint64) error { return nil }, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
			silence.Reset(feedSilence)
			if failed = each(m); failed != nil {
				return errEnough
			}
			next, told = meta.Sequence.Stream+1, false
			return nil
		})
		silent := attempt.Err() != nil
		silence.Stop()
		cancel()
		switch {
		case failed != nil:
			return failed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case silent:
			continue
		case !told:
			f.say("stream " + name + " cannot be read, tried again until it can: " + err.Error())
			told = true
		}
		select {
		case <-time.After(feedAgain):
		case <-ctx.Done():
		}
	}
}
