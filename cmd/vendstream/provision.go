package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/app"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/output"
)

func (p *program) provision() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Make and update the streams and consumers",
		Long: `Make and update the streams, and the consumers of every configured account, until
they are as declared. Prints each with what was done about it: columns object,
action (create, update or keep), setting, have, want, breaks (the promise that
does not hold with the setting as it was); one line for each setting that
differs. An update that the server refuses is named, and the exit code is 1; what
was done before it stays done.`,
		Args: cobra.NoArgs,
	}
	dryRun := cmd.Flags().Bool("dry-run", false, "only show what would be done; change nothing")
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(cmd *cobra.Command, _ []string) error {
		s, err := p.connect()
		if err != nil {
			return err
		}
		defer s.close()
		actions, failed := broker.Provision(cmd.Context(), s.js, app.Topology(s.cfg), *dryRun)
		out := output.NewWriter(p.Stdout, format.Format, "object", "action", "setting", "have", "want", "breaks")
		for _, a := range actions {
			if err := out.Record(a, provisionRows(a)...); err != nil {
				return err
			}
		}
		if failed == nil || len(actions) > 0 {
			if err := out.Close(); err != nil {
				return err
			}
		}
		if failed != nil {
			return unreachable(fmt.Errorf("provision: %w", failed))
		}
		if *dryRun {
			fmt.Fprintln(p.Stderr, "dry run: nothing was changed")
		}
		return nil
	})
	return cmd
}

func provisionRows(a broker.Action) [][]string {
	if len(a.Differences) == 0 {
		return [][]string{{a.Object, a.Verb, "", "", "", ""}}
	}
	var rows [][]string
	for _, d := range a.Differences {
		rows = append(rows, []string{a.Object, a.Verb, d.Setting, d.Have, d.Want, d.Breaks})
	}
	return rows
}
