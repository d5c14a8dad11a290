package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/vendstream/vendstream/internal/output"
)

const formatYAML output.Format = "yaml"

func (p *program) config() *cobra.Command {
	return group("config", "The effective configuration", p.configCheck(), p.configShow())
}

func (p *program) configCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration as the daemons would",
		Long: `Check the configuration as the daemons would, passwords and their files
included. Says so on standard error and exits 0, or names every fault and exits 2.
It connects to nothing.`,
		Args: cobra.NoArgs,
		RunE: p.action(func(*cobra.Command, []string) error {
			cfg, _, err := p.load(false)
			if err != nil {
				return err
			}
			if err := cfg.RequireAccounts(); err != nil {
				// provision, results and dead work without one.
				fmt.Fprintf(p.Stderr, "the configuration is valid, but the daemons would not start: %v\n", err)
				return nil
			}
			fmt.Fprintf(p.Stderr, "the configuration is valid; accounts: %d\n", len(cfg.Accounts))
			return nil
		}),
	}
}

func (p *program) configShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the effective configuration, secrets masked",
		Long: `Print the effective configuration, with secrets masked as ***. table, csv and
jsonl name each key's origin (default, file, env or flag): columns key, value,
origin. yaml and json have the shape of the configuration file. Files of
passwords are not read.`,
		Args: cobra.NoArgs,
	}
	format := outputFlag(cmd, output.Table, formatYAML)
	cmd.RunE = p.action(func(*cobra.Command, []string) error {
		cfg, _, err := p.load(true)
		if err != nil {
			return err
		}
		masked := cfg.Masked()
		switch format.Format {
		case formatYAML:
			text, err := yaml.Marshal(masked)
			if err != nil {
				return fmt.Errorf("encode the configuration: %w", err)
			}
			_, err = p.Stdout.Write(text)
			return err
		case output.JSON:
			return output.One(p.Stdout, output.JSON, nil, masked, nil)
		}
		type row struct {
			Key    string `json:"key"`
			Value  string `json:"value"`
			Origin string `json:"origin"`
		}
		out := output.NewWriter(p.Stdout, format.Format, "key", "value", "origin")
		for _, r := range masked.Rows() {
			if err := out.Record(row(r), []string{r.Key, r.Value, r.Origin}); err != nil {
				return err
			}
		}
		return out.Close()
	})
	return cmd
}
