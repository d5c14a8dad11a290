package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/catalog"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/due"
	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/internal/telemetry"
	"github.com/vendstream/vendstream/internal/tokens"
	"github.com/vendstream/vendstream/internal/vendor"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/poller"
)

// account is what one account has of its own: nothing here is shared with
// another, so that none delays another.
type account struct {
	name     string
	vendor   *vendor.Client
	catalog  *catalog.Catalog   // nil without a merchant_id, or a consumer
	consumer *consumer.Consumer // nil where the role is not this process's
	poller   *poller.Poller     // nil likewise
	gates    map[string]*gate.Gate
	begun    atomic.Bool // the client is prepared
}

func (a *app) newAccount(ctx context.Context, one config.Account, owner string, roles Roles) (*account, error) {
	client, err := vendor.New(seamVendor(vendor.Config{
		Account:     one.Name,
		BaseURL:     one.BaseURL,
		Username:    one.Username,
		Password:    one.Password.Reveal(),
		UserType:    one.UserType,
		UserTypeID:  one.UserTypeID,
		MerchantID:  one.MerchantID,
		Timeout:     a.cfg.Vendor.Timeout,
		MaxInFlight: one.MaxInFlight,
		Share:       tokens.New(a.conns.Redis, a.cfg.Subjects.Prefix, one.Name),
		Observe:     a.observeVendor(one.Name),
	}))
	if err != nil {
		return nil, &lifecycle.Exit{Code: lifecycle.Usage, Err: err}
	}
	acc := &account{name: one.Name, vendor: client, gates: map[string]*gate.Gate{}}
	shared := a.board.Switch(one.Name)
	var hold func(pause.Cause)
	if one.OnInsufficientBalance == config.HoldBalance {
		hold = shared.Trip
	}
	limiter := a.limiter(one)
	if roles.Consumer && one.MerchantID != "" {
		acc.catalog = catalog.New(catalog.Config{
			Vendor:  client,
			Redis:   catalog.NewRedis(a.conns.Redis, a.cfg.Subjects.Prefix, one.Name, one.MerchantID),
			Refresh: a.cfg.Catalog.Refresh,
			Report:  a.report("catalog", one.Name),
		})
	}
	if roles.Consumer {
		source, err := broker.NewPrioritized(ctx, a.conns.JetStream, a.topology, one.Name)
		if err != nil {
			client.Close()
			return nil, err
		}
		source = seamPriority(source)
		config := consumer.Config{
			Account: purchaseAccount(a.cfg, one),
			Owner:   owner,
			Slots:   one.MaxInFlight,

			Neighbours: &a.neighbours,
			Lookups: map[purchase.LookupKind]bool{
				purchase.LookupElectricity:   one.Lookup.Electricity,
				purchase.LookupBillPayment:   one.Lookup.BillPayment,
				purchase.LookupMoneyTransfer: one.Lookup.MoneyTransfer,
			},
			Lease:     a.cfg.Dedupe.Lease,
			Attempts:  a.cfg.Retry.Attempts,
			BackOff:   a.retryPolicy().NewBackOff,
			KeepAlive: source.AckWait() / 3,
			Grace:     a.cfg.Vendor.Timeout + stopMargin,
			Since:     source.Created(),
			Source:    source,
			Vendor:    client,
			Gate:      acc.gate(a, "consumer", shared),
			Hold:      hold,
			Claims:    a.claims,
			Leases:    a.claims,
			Records:   a.claims,
			Ledger:    a.store,
			Writer:    a.store,
			Dead:      a.store,
			Observer:  observer{a, one.Name},
			Report:    a.report("consumer", one.Name),
		}
		if limiter != nil {
			config.Limiter = limiter
		}
		if acc.catalog != nil {
			config.Catalog = acc.catalog
		}
		acc.consumer = consumer.New(seamConsumer(config))
	}
	if roles.Poller {
		source, lease, err := a.handoffs(ctx, one.Name)
		if err != nil {
			client.Close()
			return nil, err
		}
		config := poller.Config{
			Account:       one.Name,
			Owner:         owner,
			Slots:         one.MaxInFlight,
			Schedule:      schedule(a.cfg.Poller.Schedule),
			Bundle:        !a.cfg.Poller.DueIndex,
			EscalateAfter: a.cfg.Poller.EscalateAfter,
			Attempts:      a.cfg.Retry.Attempts,
			BackOff:       a.retryPolicy().NewBackOff,
			PostLease:     2 * a.cfg.Vendor.Timeout,
			KeepAlive:     lease / 3,
			Grace:         a.cfg.Vendor.Timeout + stopMargin,
			Source:        source,
			Vendor:        client,
			Gate:          acc.gate(a, "poller", shared),
			Hold:          hold,
			Records:       a.claims,
			Ledger:        a.store,
			Writer:        a.store,
			Dead:          a.store,
			Observer:      pollObserver{a, one.Name},
			Report:        a.report("poller", one.Name),
		}
		if limiter != nil {
			config.Limiter = limiter
		}
		acc.poller = poller.New(seamPoller(config))
	}
	return acc, nil
}

// handoffs is where an account's poller gets its work, and how long it has a piece of
// it without a word.
func (a *app) handoffs(ctx context.Context, account string) (worker.Source, time.Duration, error) {
	declared := a.topology.PendingConsumer(account)
	if !a.cfg.Poller.DueIndex {
		source, err := broker.NewSource(ctx, a.conns.JetStream, declared)
		if err != nil {
			return nil, 0, err
		}
		return source, source.AckWait(), nil
	}
	schedule, lease := schedule(a.cfg.Poller.Schedule), declared.Config.AckWait
	return due.New(due.Config{
		Index:  due.NewIndex(a.conns.Redis, a.cfg.Subjects.Prefix, account, mostRetry+2*schedule.Longest()),
		Stream: broker.NewHandoffs(a.conns.JetStream, a.store.Wire, a.topology.Subjects, account),
		Lease:  lease,
		// A first poll is late by no more than a fifth of the time that it waits.
		Tick:  max(leastTick, min(mostTick, schedule.Every(0)/5)),
		First: schedule.First,
	}), lease, nil
}

const (
	// leastTick and mostTick bound the time between looks for new hand-offs.
	leastTick, mostTick = 10 * time.Millisecond, time.Second
	// mostRetry is more than a poller waits in any case but by its schedule.
	mostRetry = time.Hour
)

// limiter is nil for an account without a limit, which then costs nothing.
func (a *app) limiter(one config.Account) *quota.Limiter {
	if one.PurchaseLimit.Requests == 0 {
		return nil
	}
	return quota.New(a.conns.Redis, a.cfg.Subjects.Prefix, one.Name,
		quota.Limit{Requests: one.PurchaseLimit.Requests, Per: one.PurchaseLimit.Per})
}

// gate makes the gate of one of the account's pools. A vendor that is away is
// probed after eight of the first backoff's waits, 8 s by default.
func (acc *account) gate(a *app, component string, shared *pause.Switch) *gate.Gate {
	states := map[string]float64{
		"closed": telemetry.BreakerClosed, "half-open": telemetry.BreakerHalfOpen, "open": telemetry.BreakerOpen,
	}
	metric := a.metrics.BreakerState.WithLabelValues(acc.name, component)
	metric.Set(telemetry.BreakerClosed)
	unending := a.retryPolicy()
	unending.Attempts = math.MaxInt // a pause grows for as long as the vendor refuses
	g := gate.New(seamGate(gate.Config{
		BackOff: unending.NewBackOff,
		Probe:   min(a.cfg.Retry.Max, 8*a.cfg.Retry.Base),
		Shared:  shared,
		Polls:   component == "poller",
		Changed: func(state string) {
			metric.Set(states[state])
			a.log.Warn().Str("account", acc.name).Str("component", component).Str("state", state).Msg("breaker of the vendor changed")
		},
	}))
	acc.gates[component] = g
	return g
}

func (acc *account) components() lifecycle.Stage {
	var stage lifecycle.Stage
	if acc.catalog != nil {
		stage = append(stage, lifecycle.Component{Name: "catalog of " + acc.name, Run: acc.prepared(acc.catalog.Run)})
	}
	if acc.consumer != nil {
		stage = append(stage, lifecycle.Component{Name: "consumer of " + acc.name, Run: acc.prepared(acc.consumer.Run)})
	}
	if acc.poller != nil {
		stage = append(stage, lifecycle.Component{Name: "poller of " + acc.name, Run: acc.prepared(acc.poller.Run)})
	}
	return stage
}

// prepared runs a component once the account's client is prepared: the accounts
// do not wait for each other, and no purchase waits for its account.
func (acc *account) prepared(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := acc.vendor.Prepare(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // stopped before it began
			}
			return fmt.Errorf("account %s: %w", acc.name, err)
		}
		acc.begun.Store(true)
		return run(ctx)
	}
}

var errStarting = errors.New("nothing is pulled yet: starting")

func (acc *account) checks() []telemetry.Check {
	if acc.consumer == nil {
		return nil
	}
	return []telemetry.Check{{
		Name: "consumer of " + acc.name,
		Probe: func(context.Context) error {
			if !acc.begun.Load() {
				return errStarting
			}
			if err := acc.consumer.Ready(); err != nil {
				return fmt.Errorf("nothing is pulled: %w", err)
			}
			return nil
		},
	}}
}

func schedule(steps []config.Step) poller.Schedule {
	s := make(poller.Schedule, len(steps))
	for i, step := range steps {
		s[i] = poller.Step{Until: step.Until, Every: step.Every}
		if step.Until == 0 {
			s[i].Until = time.Duration(1<<63 - 1)
		}
	}
	return s
}
