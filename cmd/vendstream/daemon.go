package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/app"
)

func (p *program) consumer() *cobra.Command {
	return p.daemon("consumer", "Run the consumer pools: requests to purchases", app.Roles{Consumer: true})
}

func (p *program) poller() *cobra.Command {
	return p.daemon("poller", "Run the pollers: open purchases to results", app.Roles{Poller: true})
}

func (p *program) serve() *cobra.Command {
	return p.daemon("serve", "Run consumer and poller in one process", app.Roles{Consumer: true, Poller: true})
}

func (p *program) daemon(use, short string, roles app.Roles) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Long: short + `.

SIGTERM or SIGINT: stop taking work, finish what is in flight and exit 0, within
vendor.timeout and 5 s; a second signal ends it at once. Logs go to standard
error; /healthz, /readyz and /metrics are served on http.addr.`,
		Args: cobra.NoArgs,
		RunE: p.action(func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := p.load(false)
			if err != nil {
				return err
			}
			defer roomyHeap()()
			ctx := cmd.Context()
			err = app.Run(ctx, cfg, app.Options{Roles: roles, Log: log, Started: p.Started})
			if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
				return nil // stopped while it was starting: a proper end too
			}
			return err
		}),
	}
}
