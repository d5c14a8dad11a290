package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lab"
	"github.com/vendstream/vendstream/internal/simulator"
)

func (p *program) simulator() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "Run the simulated vendor API alone",
		Long: `Run the simulated vendor API alone, until SIGTERM or SIGINT. Without --config it has
the account acme with password acme-secret, and the documented limits.

It is controlled below /_simulator/: GET ledger, ledger/ACCOUNT, stats and faults;
POST faults, reset, revoke, end and advance; DELETE faults. That has no
authentication: keep it on loopback, or in a network of your own.

A merchantReference that contains "sim-" and the name of a fault orders it for
itself; "-xN" behind it strikes N calls, "-x0" all of them. Names:

` + wrapped(faultNames()) + `

and with figures: an HTTP status (503, 500-after), fail-CODE, answer-CODE and
code-CODE. "poll-" before a name strikes the call of /transactions.`,
		Args: cobra.NoArgs,
	}
	addr := cmd.Flags().String("addr", "127.0.0.1:8090", "where to listen")
	file := cmd.Flags().String("config", "", "YAML file: accounts, products, limits, faults …")
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		cfg := simulator.DefaultConfig()
		if *file != "" {
			text, err := os.ReadFile(*file)
			if err != nil {
				return usage("--config: %w", err)
			}
			if cfg, err = simulator.ParseConfig(text); err != nil {
				return usage("--config %s: %w", *file, err)
			}
		}
		vendor, err := simulator.New(cfg)
		if err != nil {
			return usage("--config %s: %w", *file, err)
		}
		server, err := lab.ServeVendor(*addr, vendor)
		if err != nil {
			vendor.Close()
			return fmt.Errorf("cannot listen on --addr %s; is another one running? %w", *addr, err)
		}
		defer server.Close()
		base := server.URL() + vendor.BasePath()
		fmt.Fprintf(p.Stderr, "the simulated vendor is at %s\n", base)
		if !server.Loopback() {
			fmt.Fprintln(p.Stderr, "WARNING: others can reach it, and whoever does can control it below /_simulator/ without a password")
		}
		if p.Started != nil {
			p.Started(started{Vendor: base})
		}
		<-cmd.Context().Done() // a signal is the proper end
		return nil
	})
	return cmd
}

func faultNames() []string {
	names := simulator.FaultNames()
	slices.Sort(names)
	return names
}

// wrapped sets words into lines of a terminal's width.
func wrapped(words []string) string {
	var text strings.Builder
	width := 0
	for i, word := range words {
		if i > 0 {
			text.WriteString(",")
			width++
		}
		if width+len(word)+1 > 78 {
			text.WriteString("\n")
			width = 0
		}
		if width == 0 {
			text.WriteString(" ")
		}
		text.WriteString(" " + word)
		width += len(word) + 1
	}
	return text.String()
}
