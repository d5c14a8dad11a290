package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lab/chaos"
	"github.com/vendstream/vendstream/internal/output"
)

func (p *program) chaos() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Put the built programs through a storm of faults, and check every promise",
		Long: `Run vendstream as real processes, with a cluster of three nats-servers, a Redis
primary with a replica and three sentinels, and the simulated vendor; publish
purchases; and kill, stop, cut, slow and fill whatever a seeded schedule says.

Then the run is checked from outside, by the streams and the vendor's ledger: the
exit code is 0 only if every promise held; otherwise logs and streams are kept. The
report goes to standard error, and with --output json to standard output as well.

It needs redis-server, and Go with the source unless --vendstream names a program
that is built. As root on Linux a small disk is mounted for one nats-server, to be
filled; elsewhere that fault is left out, and the report says so.

Kinds of faults, for --only:

` + wrapped(kindNames()),
		Args: cobra.NoArgs,
	}
	o := chaos.Options{Stdout: p.Stdout, Stderr: p.Stderr}
	flags := cmd.Flags()
	flags.IntVar(&o.Purchases, "purchases", 5000, "how many purchases")
	flags.IntVar(&o.Faults, "faults", 60, "how many faults")
	flags.DurationVar(&o.Every, "every", 3500*time.Millisecond, "from one fault to the next")
	flags.IntVar(&o.Consumers, "consumers", 3, "how many consumers")
	flags.IntVar(&o.Pollers, "pollers", 2, "how many pollers")
	flags.Uint64Var(&o.Seed, "seed", 0, "of purchases and faults; 0 chooses one")
	flags.BoolVar(&o.Simple, "simple", false, "one nats-server and one redis-server, without cluster and sentinels")
	flags.BoolVar(&o.NoDisk, "no-disk", false, "mount and fill no disk")
	flags.BoolVar(&o.DueIndex, "due-index", false, "with poller.due_index: when open purchases are due stands in Redis")
	flags.StringVar(&o.Program, "vendstream", "", "a built vendstream; it is built where this is empty")
	flags.StringVar(&o.Dir, "dir", "", "where logs and streams are; a new directory where this is empty")
	flags.BoolVar(&o.Keep, "keep", false, "keep them though nothing is wrong")
	only := flags.String("only", "", "kinds of faults, separated by commas; empty is all")
	format := output.NewFlag(output.Table)
	flags.VarP(format, "output", "o", "table or json")
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		switch {
		case o.Purchases < 1 || o.Faults < 0 || o.Every <= 0 || o.Consumers < 1 || o.Pollers < 1:
			return usage("--purchases, --every, --consumers and --pollers must be positive, and --faults not negative")
		case format.Format != output.Table && format.Format != output.JSON:
			return usage("--output must be table or json")
		}
		o.JSON = format.Format == output.JSON
		if *only != "" {
			kinds, err := chaos.ParseKinds(*only)
			if err != nil {
				return usage("--only: %w", err)
			}
			o.Kinds = kinds
		}
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program, which is the nats-server too: %w", err)
		}
		o.NATSServer = []string{self, "nats-server"}
		return chaos.Run(cmd.Context(), o)
	})
	return cmd
}

// natsServer is what chaos starts this program as.
func (p *program) natsServer() *cobra.Command {
	return &cobra.Command{
		Use:    "nats-server FILE",
		Short:  "Run a nats-server with a configuration file",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.begun = true
			return chaos.ServeNATS(cmd.Context(), args[0])
		},
	}
}

func kindNames() []string {
	var names []string
	for _, kind := range chaos.Kinds() {
		names = append(names, string(kind))
	}
	return names
}
