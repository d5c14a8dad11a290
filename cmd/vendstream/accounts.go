package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/pause"
)

func (p *program) accounts() *cobra.Command {
	return group("accounts", "Pause and resume accounts", p.accountsList(), p.accountsPause(), p.accountsResume())
}

// accountRow is one account of a list. Cause, Reason and By are of its pause or,
// where it is open, of the end of the last one.
type accountRow struct {
	Account    string      `json:"account"`
	State      string      `json:"state"` // "open" or "paused"
	Cause      pause.Cause `json:"cause,omitempty"`
	Reason     string      `json:"reason,omitempty"`
	By         string      `json:"by,omitempty"`
	Since      time.Time   `json:"since,omitzero"`
	ProbeAt    time.Time   `json:"probe_at,omitzero"`
	Configured bool        `json:"configured"`
}

var accountColumns = []string{"account", "state", "cause", "reason", "by", "since", "probe_at", "configured"}

func (r accountRow) cells() []string {
	return []string{r.Account, r.State, string(r.Cause), r.Reason, r.By, stamp(r.Since), stamp(r.ProbeAt), fmt.Sprint(r.Configured)}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (p *program) accountsList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the accounts and what pauses them",
		Long: `List the configured accounts, and others that were paused once: columns account,
state (open or paused), cause (operator, unauthorized, forbidden, balance), reason,
by, since, probe_at (when one purchase is tried in spite of the pause), configured.
Needs NATS alone.`,
		Args: cobra.NoArgs,
	}
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(cmd *cobra.Command, _ []string) error {
		s, err := p.connect()
		if err != nil {
			return err
		}
		defer s.close()
		rows, err := s.accountRows(cmd.Context())
		if err != nil {
			return err
		}
		out := output.NewWriter(p.Stdout, format.Format, accountColumns...)
		for _, row := range rows {
			if err := out.Record(row, row.cells()); err != nil {
				return err
			}
		}
		return out.Close()
	})
	return cmd
}

// bucket opens the bucket with the accounts' pauses.
func (s *session) bucket(ctx context.Context) (*broker.Pauses, error) {
	name := s.subjects.AccountsBucket()
	_, err := s.js.KeyValue(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return nil, fmt.Errorf("key-value bucket %s is missing: run `vendstream provision`, or check subjects.prefix: %w", name, err)
	case err != nil:
		return nil, unreachable(fmt.Errorf("open key-value bucket %s: %w", name, err))
	}
	return broker.NewPauses(s.js, name), nil
}

// records are the accounts' pauses as the bucket has them.
func (s *session) records(ctx context.Context) (map[string]pause.Record, error) {
	bucket, err := s.bucket(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	records := map[string]pause.Record{}
	complete := false
	err = bucket.Watch(ctx,
		func(account string, e pause.Entry) { records[account] = e.Record },
		func() { complete = true; cancel() })
	if err == nil && !complete {
		err = context.Cause(ctx) // interrupted
	}
	if err != nil {
		return nil, unreachable(fmt.Errorf("read the accounts' pauses: %w", err))
	}
	return records, nil
}

func (s *session) accountRows(ctx context.Context) ([]accountRow, error) {
	records, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	var rows []accountRow
	add := func(name string, configured bool) {
		r := records[name]
		delete(records, name)
		row := accountRow{Account: name, State: "open", Cause: r.Cause, Reason: r.Reason, By: r.By, Since: r.Since, ProbeAt: r.ProbeAt, Configured: configured}
		if r.Paused() {
			row.State = "paused"
		}
		rows = append(rows, row)
	}
	for _, a := range s.cfg.Accounts {
		add(a.Name, true)
	}
	for _, name := range slices.Sorted(maps.Keys(records)) {
		add(name, false)
	}
	return rows, nil
}

func (p *program) accountsPause() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pause ACCOUNT --reason TEXT",
		Short: "Pause an account in all processes at once",
		Long: `Pause an account: none of its processes calls /purchase for it until it is resumed.
What is in flight is finished, open purchases are looked up as before, and requests
wait on the stream with nothing lost. A pause that is there is replaced.`,
		Args: exactly("ACCOUNT"),
	}
	reason := cmd.Flags().String("reason", "", "why, for others to read (required)")
	force := cmd.Flags().Bool("force", false, "pause an account that is not in this configuration")
	by := cmd.Flags().String("by", "", "who (default: the user and host of this command)")
	cmd.RunE = p.action(func(cmd *cobra.Command, args []string) error {
		if strings.TrimSpace(*reason) == "" {
			return usage("--reason is missing: say why, others will read it in `vendstream accounts list`")
		}
		if err := oneLine(*reason, *by); err != nil {
			return err
		}
		return p.change(cmd.Context(), args[0], *force, func(ctx context.Context, b *pause.Board) error {
			if err := b.Pause(ctx, args[0], who(*by), *reason); err != nil {
				return err
			}
			fmt.Fprintf(p.Stderr, "account %s is paused\n", args[0])
			return nil
		})
	})
	return cmd
}

func (p *program) accountsResume() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume ACCOUNT",
		Short: "Resume a paused account",
		Long: `Resume an account, whoever or whatever paused it. Where the vendor still refuses
it, the pipeline pauses it again.`,
		Args: exactly("ACCOUNT"),
	}
	reason := cmd.Flags().String("reason", "", "why, for others to read")
	by := cmd.Flags().String("by", "", "who (default: the user and host of this command)")
	cmd.RunE = p.action(func(cmd *cobra.Command, args []string) error {
		if err := oneLine(*reason, *by); err != nil {
			return err
		}
		return p.change(cmd.Context(), args[0], true, func(ctx context.Context, b *pause.Board) error {
			was, err := b.Resume(ctx, args[0], who(*by), *reason)
			if err != nil {
				return err
			}
			if was {
				fmt.Fprintf(p.Stderr, "account %s is resumed\n", args[0])
			} else {
				fmt.Fprintf(p.Stderr, "account %s was not paused\n", args[0])
			}
			return nil
		})
	})
	return cmd
}

// oneLine is nil for texts that others can read in a list and a log.
func oneLine(texts ...string) error {
	const longest = 200
	for _, text := range texts {
		if len(text) > longest || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return usage("--reason and --by take one line of at most %d bytes", longest)
		}
	}
	return nil
}

// change opens the board for one change to one account, configured or not.
func (p *program) change(ctx context.Context, account string, unknown bool, do func(context.Context, *pause.Board) error) error {
	if err := validAccountOf("ACCOUNT", account); err != nil {
		return err
	}
	s, err := p.connect()
	if err != nil {
		return err
	}
	defer s.close()
	bucket, err := s.bucket(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(s.cfg.Accounts, func(a config.Account) bool { return a.Name == account }) {
		if !unknown && len(s.cfg.Accounts) > 0 {
			return usage("account %s is not in this configuration: check the name, or say --force", account)
		}
		fmt.Fprintf(p.Stderr, "note: account %s is not in this configuration\n", account)
	}
	if err := do(ctx, pause.NewBoard(bucket, func(error) {})); err != nil {
		return unreachable(err)
	}
	return nil
}

// who is the person that a change is made in the name of.
func who(name string) string {
	if name != "" {
		return name
	}
	name = "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
