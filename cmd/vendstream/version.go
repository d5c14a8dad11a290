package main

import (
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/output"
)

// build is what the Go toolchain wrote into the program about itself.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the revision
	Go       string `json:"go"`
}

func built() build {
	b := build{Version: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Go = info.GoVersion; info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Revision = setting.Value
		case "vcs.time":
			b.Time = setting.Value
		}
	}
	return b
}

func (p *program) version() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Print the version: columns version, revision, time (of the revision), go.",
		Args:  cobra.NoArgs,
	}
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(*cobra.Command, []string) error {
		b := built()
		return output.One(p.Stdout, format.Format, []string{"version", "revision", "time", "go"},
			b, []string{b.Version, b.Revision, b.Time, b.Go})
	})
	return cmd
}
