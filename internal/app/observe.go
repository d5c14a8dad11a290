package app

import (
	"errors"

	"github.com/rs/zerolog"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/vendor"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/poller"
)

// observer turns what the consumer tells into metrics and log lines. Neither
// ever holds a reference, a number or a body: a purchase is named by the
// sequence of its request.
type observer struct {
	app     *app
	account string
}

// Observe implements consumer.Observer.
func (o observer) Observe(e consumer.Event) {
	m := o.app.metrics
	log := func(l *zerolog.Event, msg string) {
		l.Str("account", o.account).Uint64("sequence", e.Sequence).Err(e.Err).Msg(msg)
	}
	switch e.Kind {
	case consumer.EventClaimed:
		m.Requests.WithLabelValues(o.account, e.Verdict.String()).Inc()
		if e.Count > 1 {
			m.Redelivered.WithLabelValues(o.account).Inc()
		} else if e.Verdict == purchase.ClaimInFlight || e.Verdict == purchase.ClaimPending || e.Verdict == purchase.ClaimSettled {
			m.Duplicates.WithLabelValues(o.account).Inc()
		}
	case consumer.EventSettled:
		o.app.countResult(o.account, e.Result, e.Elapsed.Seconds())
		log(o.app.log.Debug().Str("status", string(e.Result.Status)), "purchase settled")
	case consumer.EventHandedOver:
		log(o.app.log.Debug().Stringer("outcome", e.Outcome), "purchase handed to the poller")
	case consumer.EventBuried:
		m.DeadLetters.WithLabelValues(o.account, string(e.Reason)).Inc()
		if e.Reason == purchase.ReasonConflict {
			m.Conflicts.WithLabelValues(o.account).Inc()
		}
		log(o.app.log.Warn().Str("reason", string(e.Reason)), "request made a dead letter")
	case consumer.EventHeld:
		o.app.countBalance(o.account, e.Message)
	case consumer.EventRetried:
		log(o.app.log.Debug().Stringer("outcome", e.Outcome), "vendor called again")
	case consumer.EventPutBack:
		log(o.app.log.Warn(), "request put back for later")
	case consumer.EventRestored:
		log(o.app.log.Info(), "Redis brought in line with the streams")
	case consumer.EventContradiction:
		m.Contradictions.WithLabelValues(o.account).Inc()
		log(o.app.log.Error(), "INCIDENT: contradicting ends of one purchase")
	}
}

// pollObserver is observer for the poller.
type pollObserver struct {
	app     *app
	account string
}

// Observe implements poller.Observer.
func (o pollObserver) Observe(e poller.Event) {
	m := o.app.metrics
	log := func(l *zerolog.Event, msg string) {
		l.Str("account", o.account).Uint64("sequence", e.Sequence).Dur("age_ms", e.Age).Err(e.Err).Msg(msg)
	}
	switch e.Kind {
	case poller.EventPolled:
		m.Polls.WithLabelValues(o.account, e.Outcome.String()).Inc()
	case poller.EventReposted:
		log(o.app.log.Info().Stringer("outcome", e.Outcome), "purchase posted again under its reference")
	case poller.EventSettled:
		o.app.countResult(o.account, e.Result, e.Elapsed.Seconds())
		log(o.app.log.Debug().Str("status", string(e.Result.Status)), "purchase settled by polling")
	case poller.EventHeld:
		o.app.countBalance(o.account, e.Message)
	case poller.EventEscalated:
		m.EscalatedTotal.WithLabelValues(o.account).Inc()
		log(o.app.log.Error().Str("state", string(e.State)).Stringer("last", e.Outcome), "purchase is open for too long: ask the vendor; it is polled on")
	case poller.EventBuried:
		m.DeadLetters.WithLabelValues(o.account, string(purchase.ReasonConflict)).Inc()
		m.Conflicts.WithLabelValues(o.account).Inc()
		log(o.app.log.Warn().Str("reason", string(purchase.ReasonConflict)), "request made a dead letter")
	case poller.EventPutBack:
		log(o.app.log.Warn(), "hand-off put back for later")
	case poller.EventContradiction:
		m.Contradictions.WithLabelValues(o.account).Inc()
		log(o.app.log.Error(), "INCIDENT: contradicting ends of one purchase")
	}
}

func (a *app) countResult(account string, r *purchase.Result, seconds float64) {
	class := ""
	if r.Failure != nil {
		class = string(r.Failure.Class)
	}
	a.metrics.Results.WithLabelValues(account, string(r.Status), class, string(r.Source)).Inc()
	a.metrics.PurchaseTime.WithLabelValues(account, string(r.Status)).Observe(seconds)
	if r.Failure != nil && r.Failure.Class == purchase.ClassBalance {
		a.log.Error().Str("account", account).Msg("the vendor reports insufficient balance: the float is empty")
		a.countBalance(account, r.ResponseMessage)
	}
}

// countBalance shows the balance that the vendor's message states, if it does.
func (a *app) countBalance(account, message string) {
	if balance, stated := vendor.AvailableBalance(message); stated {
		a.metrics.Balance.WithLabelValues(account).Set(balance)
	}
}

func (a *app) observeVendor(account string) func(vendor.Call) {
	return func(c vendor.Call) {
		a.metrics.VendorCalls.WithLabelValues(account, c.Endpoint, c.Kind).Inc()
		a.metrics.VendorCallTime.WithLabelValues(account, c.Endpoint).Observe(c.Duration.Seconds())
	}
}

// report logs what goes wrong beside single purchases.
func (a *app) report(component, account string) func(error) {
	return func(err error) {
		if panicked := (*worker.PanicError)(nil); errors.As(err, &panicked) {
			a.metrics.Panics.WithLabelValues(component).Inc()
			a.log.Error().Str("component", component).Str("account", account).Str("stack", panicked.Stack).Msg("recovered from a panic")
			return
		}
		a.log.Warn().Str("component", component).Str("account", account).Err(err).Msg("working on in spite of an error")
	}
}
