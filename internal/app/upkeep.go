package app

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/audit"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/housekeeping"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/telemetry"
	"github.com/vendstream/vendstream/publisher"
)

// upkeepWidth bounds what audit and housekeeping ask of the servers at once: they
// have time, and the purchases have not.
const upkeepWidth = 4

// Audit is an audit of the streams of a configuration.
func Audit(cfg *config.Config, js jetstream.JetStream, store *publisher.Store) audit.Config {
	subjects := publisher.Subjects{Prefix: cfg.Subjects.Prefix}
	trail := broker.NewTrail(js, subjects)
	return audit.Config{
		Subjects: subjects, Streams: trail, Seeker: trail, Ends: store,
		Account: func(name string) purchase.Account {
			for _, one := range cfg.Accounts {
				if one.Name == name {
					return purchaseAccount(cfg, one)
				}
			}
			// Of one that is not configured the key may still hold.
			return purchaseAccount(cfg, config.Account{Name: name})
		},
	}
}

// purchaseAccount is what the configuration says of the reading of an account's requests.
func purchaseAccount(cfg *config.Config, one config.Account) purchase.Account {
	return purchase.Account{Name: one.Name, ChannelID: one.ChannelID, DigestKey: []byte(cfg.Dedupe.DigestKey.Reveal())}
}

// upkeep is what goes on beside the consumers: several processes may do it at once.
func (a *app) upkeep(roles Roles) lifecycle.Stage {
	if !roles.Consumer {
		return nil
	}
	base := Audit(a.cfg, a.conns.JetStream, a.store)
	base.Parallel = upkeepWidth
	stage := lifecycle.Stage{{Name: "housekeeping", Run: a.housekeeping(base).Run}}
	if a.cfg.Audit.Every > 0 {
		watch := &audit.Watch{
			Config: base, Accounts: a.topology.Accounts, Every: a.cfg.Audit.Every, Gauges: a,
			Report: a.report("audit", ""),
			Accuse: func(f audit.Finding) {
				a.log.Error().Str("account", f.Account).Uint64("sequence", f.Sequence).Str("finding", string(f.State)).
					Str("detail", f.Detail).Msg("INCIDENT: a request has no end; see `vendstream audit`")
			},
		}
		stage = append(stage, lifecycle.Component{Name: "audit", Run: watch.Run})
	}
	return stage
}

// Audited implements audit.Gauges.
func (a *app) Audited(account string, oldest time.Duration, unaccounted int) {
	a.metrics.AuditOldestOpen.WithLabelValues(account).Set(oldest.Seconds())
	a.metrics.AuditUnaccounted.WithLabelValues(account).Set(float64(unaccounted))
}

// purgeable is the requests stream as housekeeping has it.
type purgeable struct {
	*broker.Requests
	*broker.Trail
}

func (a *app) housekeeping(base audit.Config) *housekeeping.Keeper {
	// A sender must not make up series.
	label := func(account string) string {
		if slices.Contains(a.topology.Accounts, account) {
			return account
		}
		return telemetry.UnknownAccount
	}
	return housekeeping.New(housekeeping.Config{
		Audit:     base,
		Streams:   purgeable{broker.NewRequests(a.conns.JetStream, a.topology.Subjects), broker.NewTrail(a.conns.JetStream, a.topology.Subjects)},
		Accounts:  a.topology.Accounts,
		Retention: a.cfg.Retention.Requests,
		Purged: func(account string, n uint64) {
			a.metrics.RequestsPurged.WithLabelValues(label(account)).Add(float64(n))
			a.log.Info().Str("account", account).Uint64("requests", n).Msg("purged settled requests older than retention.requests")
		},
		Blocked: func(account string, by *housekeeping.Block) {
			if by == nil {
				a.metrics.HousekeepingBlocked.WithLabelValues(label(account)).Set(0)
				return
			}
			a.metrics.HousekeepingBlocked.WithLabelValues(label(account)).Set(1)
			a.log.Warn().Str("account", account).Uint64("sequence", by.Sequence).Dur("age_ms", by.Age).
				Str("state", string(by.State)).Str("detail", by.Detail).
				Msg("a request older than retention.requests is not settled: it stays, and all after it")
		},
		Report: a.report("housekeeping", ""),
	})
}
