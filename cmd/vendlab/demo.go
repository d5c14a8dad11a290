package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lab"
	"github.com/vendstream/vendstream/internal/output"
)

const (
	defaultPurchases = 240
	maxPurchases     = 5000
	// A shorter time-out would end before the simulator's slow answers come.
	minDemoTimeout = time.Second
	maxDemoTimeout = time.Minute
)

func (p *program) demo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Vend a batch that meets every kind of outcome, and check every promise",
		Long: `Vend a batch of purchases of every category through the whole pipeline, in one
process and with nothing to install. The simulated vendor answers with every kind
of outcome, and some requests come twice, contradict each other or cannot be read.

Then the run is checked from outside, by the streams and the vendor's ledger: the
exit code is 0 only if every promise held. Tables, one receipt and a summary go to
standard output; with --output json, jsonl or csv it gets every result instead,
and the summary goes to standard error.`,
		Args: cobra.NoArgs,
	}
	purchases := cmd.Flags().Int("purchases", defaultPurchases, "how many purchases")
	seed := cmd.Flags().Uint64("seed", 1, "which of them meets what; the same seed makes the same batch")
	timeout := cmd.Flags().Duration("timeout", lab.DemoTimeout,
		"how long a call to the vendor may take, 1s to 1m; raise it where the machine is slow or busy")
	dueIndex := cmd.Flags().Bool("due-index", false, "with poller.due_index: when open purchases are due stands in Redis")
	keep := cmd.Flags().Bool("keep", false, "keep the data directory and print where it is")
	verbose := cmd.Flags().Bool("verbose", false, "show the daemons' logs on standard error")
	format := output.NewFlag(output.Table)
	cmd.Flags().VarP(format, "output", "o", format.Names())
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		if *purchases < 1 || *purchases > maxPurchases {
			return usage("--purchases must be 1 to %d", maxPurchases)
		}
		if *timeout < minDemoTimeout || *timeout > maxDemoTimeout {
			return usage("--timeout must be %s to %s", minDemoTimeout, maxDemoTimeout)
		}
		return lab.Demo(cmd.Context(), lab.DemoOptions{
			Purchases: *purchases,
			Seed:      *seed,
			Format:    format.Format,
			Timeout:   *timeout,
			DueIndex:  *dueIndex,
			Keep:      *keep,
			Verbose:   *verbose,
			Stdout:    p.Stdout,
			Stderr:    p.Stderr,
		})
	})
	return cmd
}
