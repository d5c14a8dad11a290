// Package app puts the daemons together: it alone knows every part. Both
// programs use it, and so do the end-to-end tests.
package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/telemetry"
	"github.com/vendstream/vendstream/internal/vendor"
	"github.com/vendstream/vendstream/publisher"
)

// Roles says which daemons run in this process.
type Roles struct{ Consumer, Poller bool }

// String is the name of the command that has these roles.
func (r Roles) String() string {
	switch {
	case r.Consumer && r.Poller:
		return "serve"
	case r.Consumer:
		return "consumer"
	default:
		return "poller"
	}
}

// Options are what Run needs beside the configuration.
type Options struct {
	Roles Roles
	Log   zerolog.Logger
	// Started, where set, is called once with the address of the HTTP server
	// when the daemons work.
	Started func(httpAddr string)
}

// startTimeout is how long NATS and Redis may take to answer at the start.
const startTimeout = 10 * time.Second

// stopMargin is what storing the answers may take at a stop, beyond the vendor's
// time-out. The contract gives 5 s for all; the rest is for writing down what is
// known of purchases that could not be ended, and for closing.
const stopMargin = 2 * time.Second

// Run runs the daemons until ctx ends, then finishes what is in flight: within
// vendor.timeout and a few seconds. An error that no server could be reached
// carries the exit code for it. The HTTP server answers from the start, and says
// that the program is not ready while it is starting and once it is stopping.
func Run(ctx context.Context, cfg *config.Config, opt Options) error {
	if err := cfg.RequireAccounts(); err != nil {
		return &lifecycle.Exit{Code: lifecycle.Usage, Err: err}
	}
	reg := telemetry.NewRegistry()
	var started atomic.Bool
	web, err := telemetry.NewServer(cfg.HTTP.Addr, reg, []telemetry.Check{{
		Name: "taking work",
		Probe: func(context.Context) error {
			switch {
			case ctx.Err() != nil:
				return errors.New("stopping")
			case !started.Load():
				return errors.New("starting")
			}
			return nil
		},
	}}, opt.Log)
	if err != nil {
		return err
	}
	defer web.Close()
	defer context.AfterFunc(ctx, func() { opt.Log.Info().Msg("stopping") })()
	return lifecycle.Run(ctx,
		lifecycle.Stage{{Name: opt.Roles.String(), Run: func(ctx context.Context) error {
			return work(ctx, cfg, opt, web, reg, func() {
				started.Store(true)
				if opt.Started != nil {
					opt.Started(web.Addr())
				}
			})
		}}},
		lifecycle.Stage{{Name: "http", Run: web.Run}})
}

// work connects, starts the daemons, and waits for their end.
func work(ctx context.Context, cfg *config.Config, opt Options, web *telemetry.Server, reg prometheus.Registerer, started func()) error {
	c, err := Connect(ctx, cfg, opt.Log)
	if err != nil {
		return err
	}
	defer c.Close()
	a, err := newApp(ctx, cfg, opt, c, reg)
	if err != nil {
		return err
	}
	defer a.close()
	for _, check := range a.checks() {
		web.AddCheck(check)
	}
	opt.Log.Info().Int("accounts", len(cfg.Accounts)).Bool("consumer", opt.Roles.Consumer).Bool("poller", opt.Roles.Poller).
		Str("http", web.Addr()).Msg("started")
	started()
	err = lifecycle.Run(ctx, a.work(), append(a.upkeep(opt.Roles), lifecycle.Component{Name: "statistics", Run: a.statistics}))
	opt.Log.Info().Err(err).Msg("stopped")
	return err
}

// Connections are the program's to NATS and Redis.
type Connections struct {
	NATS      *nats.Conn
	JetStream jetstream.JetStream
	Redis     redis.UniversalClient
}

// Connect connects to NATS and Redis. The error carries the exit code.
func Connect(ctx context.Context, cfg *config.Config, log zerolog.Logger) (*Connections, error) {
	nc, js, err := ConnectNATS(cfg, log)
	if err != nil {
		return nil, err
	}
	client, err := dedupe.Open(cfg.Redis.URL.Reveal(), dedupe.WithName("vendstream"))
	if err != nil {
		nc.Close()
		return nil, &lifecycle.Exit{Code: lifecycle.Usage, Err: fmt.Errorf("redis.url: %w", err)}
	}
	c := &Connections{NATS: nc, JetStream: js, Redis: client}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		c.Close()
		return nil, &lifecycle.Exit{Code: lifecycle.NotConnected, Err: fmt.Errorf("could not connect to Redis at %s: %w", cfg.Redis.URL, err)}
	}
	return c, nil
}

// ConnectNATS connects to NATS alone, for commands that need no more.
func ConnectNATS(cfg *config.Config, log zerolog.Logger) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := broker.Connect(broker.ConnectConfig{
		URL:             cfg.NATS.URL.Reveal(),
		CredentialsFile: cfg.NATS.CredentialsFile,
		Name:            "vendstream",
		Notify: func(connected bool, err error) {
			switch {
			case !connected:
				log.Warn().Err(err).Msg("connection to NATS lost; trying to get it back")
			case err != nil:
				log.Warn().Err(err).Msg("NATS reports an error")
			default:
				log.Info().Msg("connection to NATS regained")
			}
		},
	})
	if err != nil {
		return nil, nil, &lifecycle.Exit{Code: lifecycle.NotConnected, Err: err}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}

// Close closes both connections. What was published has been acknowledged by
// then; acks that are still buffered are sent.
func (c *Connections) Close() {
	if c.NATS.IsConnected() {
		_ = c.NATS.FlushTimeout(500 * time.Millisecond) // a lost ack only brings a repeat
	}
	c.NATS.Close()
	_ = c.Redis.Close()
}

// Topology is the streams and consumers that the configuration asks for.
func Topology(cfg *config.Config) broker.Topology {
	t := broker.Topology{
		Subjects: publisher.Subjects{Prefix: cfg.Subjects.Prefix},
		Replicas: cfg.NATS.Replicas,
		Results:  cfg.Retention.Results,
		AckWait:  cfg.Dedupe.Lease,
	}
	for _, account := range cfg.Accounts {
		t.Accounts = append(t.Accounts, account.Name)
	}
	return t
}

// app is the running program.
type app struct {
	cfg      *config.Config
	log      zerolog.Logger
	conns    *Connections
	topology broker.Topology
	store    *publisher.Store
	claims   *dedupe.Store
	metrics  *telemetry.Metrics
	strays   *consumer.Strays
	board    *pause.Board
	accounts []*account

	neighbours consumer.Neighbours
}

func newApp(ctx context.Context, cfg *config.Config, opt Options, c *Connections, reg prometheus.Registerer) (*app, error) {
	a := &app{cfg: cfg, log: opt.Log, conns: c, topology: Topology(cfg), metrics: telemetry.NewMetrics(reg)}
	var err error
	if a.store, err = publisher.NewStore(c.NATS, a.topology.Subjects); err != nil {
		return nil, err
	}
	seamStore(a.store)
	a.store.Failed = func(stream string) { a.metrics.PublishErrors.WithLabelValues(stream).Inc() }
	a.claims = dedupe.New(c.Redis, dedupe.Config{Prefix: cfg.Subjects.Prefix, Lease: cfg.Dedupe.Lease, TTL: cfg.Dedupe.TTL})
	if err := a.check(ctx); err != nil {
		return nil, err
	}
	a.board = pause.NewBoard(seamPauses(broker.NewPauses(c.JetStream, a.topology.Subjects.AccountsBucket())), a.report("pauses", ""))
	a.board.Changed = func(account string, r pause.Record) {
		if r.Paused() {
			a.log.Warn().Str("account", account).Str("cause", string(r.Cause)).Str("by", r.By).Str("reason", r.Reason).Msg("account paused")
		} else {
			a.log.Warn().Str("account", account).Str("by", r.By).Str("reason", r.Reason).Msg("account resumed")
		}
	}
	if err := a.board.Load(ctx, a.topology.Accounts); err != nil {
		return nil, err
	}
	owner := uuid.NewString()
	for _, one := range cfg.Accounts {
		a.metrics.AddAccount(one.Name)
		account, err := a.newAccount(ctx, one, owner, opt.Roles)
		if err != nil {
			a.close()
			return nil, away(err)
		}
		a.accounts = append(a.accounts, account)
	}
	if opt.Roles.Consumer {
		a.strays = seamStrays(&consumer.Strays{
			Known:     a.topology.Accounts,
			DigestKey: []byte(cfg.Dedupe.DigestKey.Reveal()),
			Requests:  broker.NewRequests(c.JetStream, a.topology.Subjects),
			Ledger:    a.store,
			Dead:      a.store,
			Observer:  observer{a, telemetry.UnknownAccount},
			Report:    a.report("strays", telemetry.UnknownAccount),
		})
	}
	return a, nil
}

// check makes what is missing on the servers and refuses what would break a
// promise.
func (a *app) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*startTimeout)
	defer cancel()
	warning, err := a.claims.CheckPolicy(ctx)
	if err != nil {
		return err
	}
	if warning != "" {
		a.log.Warn().Msg(warning)
	}
	differences, err := broker.Ensure(ctx, a.conns.JetStream, a.topology)
	if err != nil {
		return away(err)
	}
	for _, d := range differences {
		a.log.Warn().Str("object", d.Object).Str("setting", d.Setting).Str("have", d.Have).Str("want", d.Want).
			Msg("not as declared; `vendstream provision` changes it")
	}
	return nil
}

// away gives an error that JetStream does not answer the exit code for it.
func away(err error) error {
	if broker.Unanswered(err) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return &lifecycle.Exit{Code: lifecycle.NotConnected, Err: err}
	}
	return err
}

// work is every pool of every account: they are stopped first.
func (a *app) work() lifecycle.Stage {
	stage := lifecycle.Stage{{Name: "pauses", Run: a.board.Run}}
	if a.strays != nil {
		stage = append(stage, lifecycle.Component{Name: "unknown accounts", Run: a.strays.Run})
	}
	for _, account := range a.accounts {
		stage = append(stage, account.components()...)
	}
	return stage
}

func (a *app) checks() []telemetry.Check {
	checks := []telemetry.Check{
		{Name: "nats", Probe: func(ctx context.Context) error {
			if !a.conns.NATS.IsConnected() {
				return errors.New("not connected")
			}
			_, err := a.conns.JetStream.AccountInfo(ctx)
			return err
		}},
		{Name: "redis", Probe: a.claims.Ping},
	}
	for _, account := range a.accounts {
		checks = append(checks, account.checks()...)
	}
	return checks
}

func (a *app) close() {
	for _, account := range a.accounts {
		account.vendor.Close()
	}
}

// retryPolicy is the vendor's rule as configured.
func (a *app) retryPolicy() vendor.RetryPolicy {
	r := a.cfg.Retry
	return vendor.RetryPolicy{Base: r.Base, Max: r.Max, Jitter: r.Jitter, Attempts: r.Attempts}
}
