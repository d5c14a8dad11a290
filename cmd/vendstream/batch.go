package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/batch"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// batchFlags are those of `batch`.
type batchFlags struct {
	account, prefix, priority string
	format, delimiter         string
	results, resultsFormat    string
	noReceipts, noWait, dry   bool
	rate                      int
	timeout                   time.Duration
}

func (p *program) batch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "batch FILE",
		Short: "Submit a file of purchases and collect their results",
		Long: `Submit a file of purchases, CSV or JSONL, and write a file with what became of each.
FILE - is standard input.

CSV: the header line names the fields of the body: productCode, amount, paymentMethod,
channelId, merchantReference, mobileNumber, meterNumber, accountNumber; any other column
travels on as a field with a string. Columns additionalInfo.KEY become the keys of
additionalInfo. Column account chooses the account (default: as for submit); expiresAt,
lookup (true or false) and priority (low) become the request's headers. An empty cell is
left out. Cells are taken as they are: a leading zero counts.
JSONL: one body a line, as it is. A line with the key "request" is an envelope, in which
nothing else may stand but account and headers:
  {"account": "acme", "headers": {"Vendstream-Lookup": "true"}, "request": {…}}

Every row needs a merchantReference of its own, or gets PREFIX-NUMBER from
--reference-prefix, NUMBER counting the rows from 1. The entire file is checked before
anything is submitted. If a row could only become a dead letter, or two rows of an account
have one reference, all faults are listed and it ends with 2. A row with a fault of a single
field, such as the amount "abc", is told with its line, submitted all the same, and FAILED.
--dry-run ends after that, and tells the rows and the sum of each account.

Killed or interrupted at any time, the same command goes on where it was and vends nothing
twice: the results file and FILE.results.csv.state beside it belong to the file's content,
and are refused for another. Results, in the order in which they come: columns
merchantReference, line, account, status (COMPLETED, FAILED, DEAD or UNKNOWN), amount,
transactionId, responseCode, responseMessage, failureClass, receipt (JSON), source, attempts,
resolvedAt, deadReason, detail. UNKNOWN rows are those still open when waiting ended; the
next run asks for them again. Receipts hold PINs and tokens: the file is for its owner only.

Standard error has the progress and a summary; standard output the summary where --output
is given: columns account, status, rows, sum.

Exit 0: all rows are COMPLETED; 3: all have an end, and some are FAILED or DEAD; 4: waiting
ended first, and what is open must never be submitted under another reference; 130:
interrupted.`,
		Args: exactly("FILE"),
	}
	var f batchFlags
	flags := cmd.Flags()
	flags.StringVar(&f.account, "account", "", "account of the rows that name none (default: the only configured one)")
	flags.StringVar(&f.format, "format", "", "csv or jsonl (default: by the file's extension; jsonl for -)")
	flags.StringVar(&f.delimiter, "delimiter", ",", `what separates the cells of a CSV file; \t is a tab`)
	flags.StringVar(&f.prefix, "reference-prefix", "", "gives rows without a merchantReference PREFIX-NUMBER")
	flags.StringVar(&f.priority, "priority", "", "low: behind other purchases of the account")
	flags.StringVar(&f.results, "results", "", "results file (default: FILE.results.csv or .jsonl)")
	flags.StringVar(&f.resultsFormat, "results-format", "", "csv or jsonl (default: by the extension of --results, else csv)")
	flags.BoolVar(&f.noReceipts, "no-receipts", false, "leave the receipts out of the results file")
	flags.BoolVar(&f.noWait, "no-wait", false, "only submit; the same command without it collects the results")
	flags.BoolVar(&f.dry, "dry-run", false, "only check the file")
	flags.IntVar(&f.rate, "rate", 0, "purchases to submit in a second at most (default: as many as are stored)")
	flags.DurationVar(&f.timeout, "timeout", 0, "how long all of it may take (default: as long as it takes)")
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(cmd *cobra.Command, args []string) error {
		files, err := f.files(args[0])
		if err != nil {
			return err
		}
		if f.rate < 0 || f.timeout < 0 || flags.Changed("timeout") && f.timeout == 0 {
			return usage("--rate and --timeout must be above zero")
		}
		if !batch.ValidPriority(f.priority) {
			return usage("--priority: %q must be low or left out", f.priority)
		}
		if files.options, err = f.options(files.options); err != nil {
			return err
		}
		if err := files.open(p.Stdin); err != nil {
			return err
		}
		defer files.close()
		cfg, log, err := p.load(true)
		if err != nil {
			return err
		}
		buyer := buyers(cfg, f.account, !f.noWait && !f.dry)
		plan, err := files.check(buyer)
		if err != nil {
			return err
		}
		p.planned(plan)
		if f.dry {
			return p.printPlan(plan, format.Format, flags.Changed("output"))
		}
		s, err := open(cfg, log)
		if err != nil {
			return err
		}
		defer s.close()
		err = p.runBatch(cmd.Context(), s, files, &f, plan, buyer, func(lines []batch.Line) error {
			return p.printSummary(lines, format.Format, flags.Changed("output"))
		})
		return err
	})
	return cmd
}

// buyers gives the account of each row.
func buyers(cfg *config.Config, standard string, wait bool) batch.Buyer {
	return func(name string) (purchase.Account, error) {
		if name == "" {
			return buyer(cfg, standard, wait)
		}
		if !purchase.ValidAccount(name) {
			return purchase.Account{}, fmt.Errorf("account %q is no account's name", name)
		}
		a, err := buyer(cfg, name, wait)
		switch {
		case err != nil && len(cfg.Accounts) > 0:
			err = fmt.Errorf("account %s is not configured", name)
		case err != nil:
			err = fmt.Errorf("account %s must be configured to tell this purchase's result from another's, or use --no-wait", name)
		}
		return a, err
	}
}

// runBatch does the work between the check and the summary.
func (p *program) runBatch(ctx context.Context, s *session, files *batchFiles, f *batchFlags, plan *batch.Plan, buyer batch.Buyer,
	summarize func([]batch.Line) error,
) (err error) {
	requests, err := s.stream(ctx, s.subjects.RequestsStream())
	if err != nil {
		return err
	}
	info := requests.CachedInfo()
	feed := &batchFeed{session: s, say: p.say}
	if !f.noWait {
		if err := feed.begin(ctx, plan); err != nil {
			return err
		}
	}
	tracker := batch.NewTracker(plan)
	stream := fmt.Sprintf("%s of %s", info.Config.Name, info.Created.UTC().Format(time.RFC3339Nano))
	state, results, err := files.ours(plan, f, stream, info.State.LastSeq, tracker)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, state.Close())
		if results != nil {
			err = errors.Join(err, results.Close())
		}
	}()
	sender, err := publisher.New(s.nc, publisher.WithSubjects(s.subjects))
	if err != nil {
		return err
	}
	if before := tracker.Progress(); before.Submitted > 0 {
		p.say(fmt.Sprintf("going on with a batch: %d of %d rows are submitted, %d have an end", before.Submitted, before.Total, before.Ended()))
	}
	run := &batch.Runner{
		Plan: plan, Tracker: tracker, State: state, Results: results, Sender: sender, Ledger: s.store, Feed: feed,
		Source: files.source, Buyer: buyer, After: info.State.LastSeq, Rate: f.rate, Say: p.say,
	}
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, f.timeout, errWaited)
		defer cancel()
	}
	stop := p.showProgress(tracker, !f.noWait)
	err = run.Run(ctx)
	stop()
	return errors.Join(concluded(ctx, err, tracker.Progress(), files, f), summarize(tracker.Summary()))
}

// concluded is how the run ended, with its exit code and what to do now.
func concluded(ctx context.Context, err error, now batch.Progress, files *batchFiles, f *batchFlags) error {
	unsent := now.Total - now.Submitted
	where := fmt.Sprintf("%d rows have an end, %d are open, %d were not submitted; %s", now.Ended(), now.Open()+now.Stuck, unsent, files.goOn())
	switch {
	case err == nil && f.noWait:
		return nil
	case err == nil && now.Stuck > 0:
		return &lifecycle.Exit{Code: lifecycle.OutcomeUnknown, Err: fmt.Errorf("the ends of %d rows are stored and cannot be read: %s", now.Stuck, neverAnother)}
	case err == nil && now.Failed+now.Dead > 0:
		return &lifecycle.Exit{Code: lifecycle.FailedPurchases} // the summary says how many
	case err == nil:
		return nil
	case errors.Is(err, errWaited):
		return &lifecycle.Exit{Code: lifecycle.OutcomeUnknown, Err: fmt.Errorf("%w: %s. Of what is open %s", err, where, neverAnother)}
	case ctx.Err() != nil:
		return &lifecycle.Exit{Code: lifecycle.Interrupted, Err: fmt.Errorf("%w: %s", err, where)}
	default:
		return fmt.Errorf("%w\n%s", err, where)
	}
}
