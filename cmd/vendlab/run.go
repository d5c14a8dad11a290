package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
)

// env is what the program gets from its surroundings. It writes nothing else, so
// that several can run in one process.
type env struct {
	Stdout, Stderr io.Writer
	// Started, where set, is called once by a command that keeps running, when
	// it can be used.
	Started func(started)
}

// started is where the servers of a command are.
type started struct {
	Vendor string // base URL of the simulated vendor's API
	Config string // path of the configuration file; dev only
	HTTP   string // address of the daemons' HTTP server; dev only
}

// program is one run.
type program struct {
	env
	begun bool // a command's own code was reached: the usage was right
}

// run is the whole program: args are those after its name, and ctx ends at a
// signal. lifecycle.Code gives the exit code of the error.
func run(ctx context.Context, args []string, e env) error {
	p := &program{env: e}
	root := &cobra.Command{
		Use:   "vendlab",
		Short: "Try vendstream out: embedded servers and a simulated vendor",
		Long: `vendlab runs vendstream with everything it needs in one process: an embedded NATS
server with JetStream, an embedded Redis, and a simulated vendor. It is for trying
out and developing, not for production.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("vendlab needs a command: demo, dev, simulator, bench or chaos")
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(p.demo(), p.dev(), p.simulator(), p.bench(), p.chaos(), p.natsServer())
	root.SetArgs(append([]string{}, args...)) // nil would mean the process's own
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	at, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return nil
	case !p.begun:
		return usage("%w; see `%s --help`", err, at.CommandPath())
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return &lifecycle.Exit{Code: lifecycle.Interrupted, Err: err}
	default:
		return err
	}
}

// action marks the place where a command's own code begins: errors before it are
// cobra's and about usage.
func (p *program) action(do func(cmd *cobra.Command) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		p.begun = true
		return do(cmd)
	}
}

// usage is an error of the one who typed the command.
func usage(format string, args ...any) error {
	return &lifecycle.Exit{Code: lifecycle.Usage, Err: fmt.Errorf(format, args...)}
}

// conclude prints a run's error and gives the exit code.
func conclude(stderr io.Writer, err error) int {
	if err != nil {
		lines := strings.Split(err.Error(), "\n")
		for i, line := range lines {
			lines[i] = output.Printable(line)
		}
		fmt.Fprintln(stderr, "vendlab: "+strings.Join(lines, "\n  "))
	}
	return lifecycle.Code(err)
}
