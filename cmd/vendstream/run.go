package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
)

// env is what the program gets from its surroundings. It reads and writes
// nothing else, so that several can run in one process.
type env struct {
	Environ        []string // as os.Environ gives it
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Started, where set, is called with the address of the HTTP server when a
	// daemon works.
	Started func(httpAddr string)
}

// program is one run.
type program struct {
	env
	flags *pflag.FlagSet // those of the configuration
	begun bool           // a command's own code was reached: the usage was right
}

// run is the whole program: args are those after its name, and ctx ends at a
// signal. lifecycle.Code gives the exit code of the error.
func run(ctx context.Context, args []string, e env) error {
	if e.Stdin == nil {
		e.Stdin = strings.NewReader("")
	}
	p := &program{env: e}
	root := p.root()
	root.SetArgs(append([]string{}, args...)) // nil would mean the process's own
	root.SetIn(e.Stdin)
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	at, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return nil
	case !p.begun:
		// Cobra's suggestions come as several lines.
		return usage("%s; see `%s --help`", strings.Join(strings.Fields(err.Error()), " "), at.CommandPath())
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		// Whatever else the error says, it was the signal that ended the work.
		return &lifecycle.Exit{Code: lifecycle.Interrupted, Err: fmt.Errorf("%w: %w", context.Cause(ctx), err)}
	default:
		return err
	}
}

// conclude prints a run's error and gives the exit code.
func conclude(stderr io.Writer, err error) int {
	silent := (*lifecycle.Exit)(nil)
	if err != nil && !(errors.As(err, &silent) && silent.Err == nil) {
		lines := strings.Split(err.Error(), "\n")
		for i, line := range lines {
			lines[i] = output.Printable(line) // it may quote what others wrote
		}
		fmt.Fprintln(stderr, "vendstream: "+strings.Join(lines, "\n  "))
	}
	return lifecycle.Code(err)
}

// usage is an error of the one who typed the command.
func usage(format string, args ...any) error {
	return &lifecycle.Exit{Code: lifecycle.Usage, Err: fmt.Errorf(format, args...)}
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "vendstream",
		Short: "Exactly-once-effect purchases from a queue",
		Long: `vendstream takes purchase requests from a JetStream stream, buys each once from
the vendor, and publishes one terminal result for each.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 finished with
failed purchases, 4 outcome still unknown when waiting ended (never submit it
again under another reference), 5 could not connect, 130 interrupted.`,
		Version:       built().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          missing,
	}
	config.RegisterFlags(root.PersistentFlags())
	p.flags = root.PersistentFlags()
	root.SetHelpCommand(p.help())
	root.AddCommand(
		p.consumer(), p.poller(), p.serve(), p.provision(),
		p.submit(), p.batch(), p.results(), p.dead(), p.status(), p.audit(), p.accounts(), p.products(), p.lookup(), p.config(), p.version(),
	)
	return root
}

// action marks the place where a command's own code begins: errors before it are
// cobra's and about usage.
func (p *program) action(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		p.begun = true
		return do(cmd, args)
	}
}

// group is a command that has only commands. Cobra alone would take an unknown
// one for a request for help.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, RunE: missing, SuggestionsMinimumDistance: 2}
	g.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(near, " or "))
		}
		return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint)
	}
	g.AddCommand(commands...)
	return g
}

// exactly takes as many arguments as there are names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return fmt.Errorf("%s takes %s, and %d arguments were given", cmd.CommandPath(), strings.Join(names, " "), len(args))
	}
}

// missing is what a command with commands does without one.
func missing(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("%s needs a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

// help is cobra's help command, with an exit code for unknown commands.
func (p *program) help() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("unknown command %q for %q", rest[0], about.CommandPath())
			}
			if err != nil {
				return err
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
