package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/worker"
)

// statisticsInterval is the time between readings of what is open.
const statisticsInterval = 5 * time.Second

// pauses are the reasons of gate.Gate.Reason.
var pauses = []string{
	"limited", "vendor away",
	string(pause.Operator), string(pause.Unauthorized), string(pause.Forbidden), string(pause.Balance),
}

// statistics reads the gauges until ctx ends. Errors are of servers that are
// away, which the readiness probe tells.
func (a *app) statistics(ctx context.Context) error {
	for {
		for _, account := range a.accounts {
			if err := a.read(ctx, account); err != nil && ctx.Err() == nil {
				a.log.Debug().Str("account", account.name).Err(err).Msg("statistics not read")
			}
		}
		if !worker.Sleep(ctx, statisticsInterval) {
			return nil
		}
	}
}

func (a *app) read(ctx context.Context, acc *account) error {
	ctx, cancel := context.WithTimeout(ctx, statisticsInterval)
	defer cancel()
	m := a.metrics
	reasons := map[string]bool{}
	for _, g := range acc.gates {
		reasons[g.Reason()] = true
	}
	for _, reason := range pauses {
		value := 0.0
		if reasons[reason] {
			value = 1
		}
		m.Paused.WithLabelValues(acc.name, reason).Set(value)
	}
	if acc.consumer != nil {
		m.InFlight.WithLabelValues(acc.name).Set(float64(acc.consumer.InFlight()))
	}
	if acc.poller != nil {
		m.Escalated.WithLabelValues(acc.name).Set(float64(acc.poller.Escalated()))
	}
	s := a.topology.Subjects
	backlog, err := a.open(ctx, s.RequestsStream(), acc.name, broker.LowName(acc.name))
	if err != nil {
		return err
	}
	m.Backlog.WithLabelValues(acc.name).Set(float64(backlog))
	pending, err := a.open(ctx, s.PendingStream(), acc.name, "")
	if err != nil {
		return err
	}
	m.Pending.WithLabelValues(acc.name).Set(float64(pending))
	oldest, err := a.oldest(ctx, s.PendingStream(), s.AllPending(acc.name))
	if err != nil {
		return err
	}
	m.PendingOldestAge.WithLabelValues(acc.name).Set(oldest.Seconds())
	return nil
}

// open is how many messages a consumer has not acknowledged, or two have not. The
// second need not exist.
func (a *app) open(ctx context.Context, stream, name, second string) (uint64, error) {
	c, err := a.conns.JetStream.Consumer(ctx, stream, name)
	if err != nil {
		return 0, fmt.Errorf("app: %w", err)
	}
	if second == "" {
		return broker.Unsettled(c.CachedInfo(), nil), nil
	}
	low, err := a.conns.JetStream.Consumer(ctx, stream, second)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return broker.Unsettled(c.CachedInfo(), nil), nil
	case err != nil:
		return 0, fmt.Errorf("app: %w", err)
	}
	return broker.Unsettled(c.CachedInfo(), low.CachedInfo()), nil
}

// oldest is the age of the first message on a subject, 0 where there is none.
func (a *app) oldest(ctx context.Context, stream, subject string) (time.Duration, error) {
	s, err := a.conns.JetStream.Stream(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("app: %w", err)
	}
	m, err := s.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(subject))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("app: %w", err)
	}
	return max(0, time.Since(m.Time)), nil
}
