package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/app"
	"github.com/vendstream/vendstream/internal/audit"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
)

// progressEvery is the time between lines of progress.
const progressEvery = 2 * time.Second

func (p *program) audit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove that every request has its one end, or is known to be open",
		Long: `Look at every request of a period, and at the results, dead letters and hand-offs that
belong to it. Exit code 0: each request has exactly one end or a known open place; 1: there
are findings. Needs NATS only, and account names, channel_id and dedupe.digest_key as the
daemons have them.

A request is
  settled    its result is stored (a repeat shares its purchase's)
  dead       its dead letter is
  pending    it is open at the vendor, which the poller asks about
  waiting    it is not acknowledged yet, or one of its account before it is not
  expired    acknowledged and not pending, and so old that ends of its time are not kept
  repaired   it was put back to work, and the request that did it is one of the above
Findings are
  unaccounted          acknowledged, and nothing of it is there
  unreported_conflict  its reference is another payload's, and no dead letter says so
  doubled              it has a result and a dead letter
  misburied            its dead letter says that it can have no result, and it can
  lingering            it has a result, and a hand-off that has been open for an hour since
  orphan               a result without a request, and younger requests are older than it
  unverifiable         its end was made with a digest key that is not configured here
  unreadable           what is stored as its end cannot be read

table and json have the numbers of each account and the findings; jsonl has a line for each
account ("record": "account") and each finding ("finding", with --verbose "open"); csv has
the findings alone. Progress and the numbers are on standard error, too.

--repair puts unaccounted requests back to work under their own reference: published again
as they are, or, where they can have no result, made dead letters. That is safe at any time
and may be repeated. Doubled and other contradicting ones are only listed. One that has
expired (Vendstream-Expires-At) is left alone: only the vendor knows whether it was sent.`,
		Args: cobra.NoArgs,
	}
	accounts := cmd.Flags().StringArray("account", nil, "only this account; may be repeated (default: all, unknown ones too)")
	since := cmd.Flags().String("since", "24h", "requests published since: a time such as 2026-01-02T15:04:05Z, or a duration back from now")
	until := cmd.Flags().String("until", "0s", "and until: likewise")
	report := cmd.Flags().String("report", "", "also write the findings to this file: JSON lines where it ends in .jsonl, else CSV")
	repair := cmd.Flags().Bool("repair", false, "put unaccounted requests back to work")
	dryRun := cmd.Flags().Bool("dry-run", false, "with --repair: only say what would be done")
	verbose := cmd.Flags().BoolP("verbose", "v", false, "list pending and waiting requests too")
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		scope := audit.Scope{Accounts: *accounts, Open: *verbose}
		var err error
		if scope.Since, err = pointInTime("since", *since, now); err != nil {
			return err
		}
		if scope.Until, err = pointInTime("until", *until, now); err != nil {
			return err
		}
		if !scope.Since.Before(scope.Until) {
			return usage("--since must be before --until")
		}
		if *dryRun && !*repair {
			return usage("--dry-run goes with --repair")
		}
		for _, name := range *accounts {
			if err := validAccount(name); err != nil {
				return err
			}
		}
		s, err := p.connect()
		if err != nil {
			return err
		}
		defer s.close()
		return p.runAudit(cmd.Context(), s, scope, auditOutput{format.Format, *report, *repair, *dryRun})
	})
	return cmd
}

type auditOutput struct {
	format         output.Format
	report         string // path, or ""
	repair, dryRun bool
}

// pointInTime is a time, or a duration back from now.
func pointInTime(flag, text string, now time.Time) (time.Time, error) {
	if back, err := time.ParseDuration(text); err == nil && back >= 0 {
		return now.Add(-back), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, usage("--%s: %q is neither a time such as 2026-01-02T15:04:05Z nor a duration such as 24h", flag, text)
	}
	return at, nil
}

func (p *program) runAudit(ctx context.Context, s *session, scope audit.Scope, out auditOutput) error {
	for _, name := range []string{s.subjects.RequestsStream(), s.subjects.PendingStream(), s.subjects.ResultsStream(), s.subjects.DeadStream()} {
		if _, err := s.stream(ctx, name); err != nil {
			return err
		}
	}
	var file io.WriteCloser
	if out.report != "" {
		// Before the work: it may take long, and must not end in a file that cannot be written.
		f, err := os.OpenFile(out.report, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("--report: %w", err)
		}
		defer f.Close()
		file = f
	}
	a := app.Audit(s.cfg, s.js, s.store)
	scope.Progress = p.auditProgress(scope)
	report, err := a.Run(ctx, scope)
	if err != nil {
		return unreachable(err)
	}
	if out.repair {
		if err := a.Repair(ctx, report, s.store, out.dryRun); err != nil {
			return unreachable(err)
		}
	}
	p.auditSummary(report)
	if err := printAudit(p.Stdout, out.format, report); err != nil {
		return err
	}
	if file != nil {
		form := output.CSV
		if strings.HasSuffix(out.report, ".jsonl") {
			form = output.JSONL
		}
		err := printFindings(file, form, report)
		if closed := file.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	if !report.Accounted() {
		return &lifecycle.Exit{Code: lifecycle.Failed, Err: fmt.Errorf("not every request is accounted for")}
	}
	return nil
}

// auditProgress writes a line now and then.
func (p *program) auditProgress(scope audit.Scope) func(uint64, time.Time) {
	began := time.Now()
	last := began
	return func(judged uint64, at time.Time) {
		now := time.Now()
		if now.Sub(last) < progressEvery {
			return
		}
		last = now
		part := 100 * float64(at.Sub(scope.Since)) / float64(scope.Until.Sub(scope.Since))
		fmt.Fprintf(p.Stderr, "%d requests, %.0f a second, up to %s (%.0f%% of the period)\n",
			judged, float64(judged)/now.Sub(began).Seconds(), at.UTC().Format(time.RFC3339), part)
	}
}
