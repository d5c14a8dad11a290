package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/app"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/telemetry"
	"github.com/vendstream/vendstream/publisher"
)

// load reads the configuration and makes the logger it asks for, which tells the
// configuration's warnings.
func (p *program) load(withoutPasswords bool) (*config.Config, zerolog.Logger, error) {
	cfg, warnings, err := config.Load(config.Options{Flags: p.flags, Environ: p.Environ, WithoutPasswords: withoutPasswords})
	level, format := "info", telemetry.FormatJSON // where the configuration cannot say
	if err == nil {
		level, format = cfg.Log.Level, cfg.Log.Format
	}
	log, logErr := telemetry.Logger(p.Stderr, level, format)
	if logErr != nil {
		return nil, log, logErr
	}
	for _, w := range warnings {
		log.Warn().Str("key", w.Key).Msg("configuration: " + w.Problem)
	}
	if err != nil {
		return nil, log, usage("the configuration is not valid:\n%w", err)
	}
	return cfg, log, nil
}

// session is what the commands that talk to JetStream work with.
type session struct {
	cfg      *config.Config
	log      zerolog.Logger
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects publisher.Subjects
	store    *publisher.Store
}

// connect loads the configuration and connects to NATS. These commands need
// neither Redis nor the vendor's passwords.
func (p *program) connect() (*session, error) {
	cfg, log, err := p.load(true)
	if err != nil {
		return nil, err
	}
	return open(cfg, log)
}

func open(cfg *config.Config, log zerolog.Logger) (*session, error) {
	nc, js, err := app.ConnectNATS(cfg, log)
	if err != nil {
		return nil, err
	}
	s := &session{cfg: cfg, log: log, nc: nc, js: js, subjects: publisher.Subjects{Prefix: cfg.Subjects.Prefix}}
	if s.store, err = publisher.NewStore(nc, s.subjects); err != nil {
		nc.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() { s.nc.Close() }

// stream opens one of the four streams. One that is missing is told at once:
// the publisher would wait for it.
func (s *session) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := s.js.Stream(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("stream %s is missing: run `vendstream provision`, or check subjects.prefix: %w", name, err)
	case err != nil:
		return nil, unreachable(fmt.Errorf("open stream %s: %w", name, err))
	}
	return stream, nil
}

// unreachable gives an error the exit code of a failed connection where it says
// that JetStream did not answer.
func unreachable(err error) error {
	for _, away := range []error{
		nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrDisconnected,
		context.DeadlineExceeded, jetstream.ErrJetStreamNotEnabled, jetstream.ErrJetStreamNotEnabledForAccount,
	} {
		if errors.Is(err, away) {
			return &lifecycle.Exit{Code: lifecycle.NotConnected, Err: err}
		}
	}
	return err
}

// account is the account that --account names, or the only configured one. It
// need not be configured: whoever only reads results has no credentials.
func account(cfg *config.Config, name string) (string, error) {
	switch {
	case name != "":
		return name, validAccount(name)
	case len(cfg.Accounts) == 1:
		return cfg.Accounts[0].Name, nil
	case len(cfg.Accounts) == 0:
		return "", usage("no account is configured: name one with --account")
	default:
		return "", usage("%d accounts are configured: name one with --account", len(cfg.Accounts))
	}
}

// anyAccount is --account as one token of a subject filter.
func anyAccount(name string) (string, error) {
	if name == "" {
		return "*", nil
	}
	return name, validAccount(name)
}

func validAccount(name string) error { return validAccountOf("--account", name) }

// validAccountOf is validAccount for a name that what gave.
func validAccountOf(what, name string) error {
	if purchase.ValidAccount(name) {
		return nil
	}
	return usage(what+": %q is no account's name: a lower-case letter or digit and up to 31 more of a-z, 0-9, _ and -", name)
}

// outputFlag adds --output.
func outputFlag(cmd *cobra.Command, standard output.Format, extra ...output.Format) *output.Flag {
	flag := output.NewFlag(standard, extra...)
	cmd.Flags().VarP(flag, "output", "o", flag.Names())
	return flag
}
