package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/worker"
)

// statusRow is what one look says of an account. Null is not known, or does not
// apply; durations are in seconds.
type statusRow struct {
	Account  string        `json:"account"`
	Backlog  uint64        `json:"backlog"`
	InFlight uint64        `json:"inFlight"`
	Pending  statusPending `json:"pending"`
	Rate     uint64        `json:"ratePerMinute"`
	Limit    *statusLimit  `json:"limit"` // null: unlimited, or the account is not configured
	Used     *int          `json:"used"`
	Share    *float64      `json:"share"` // of the limit that is used
	HeldBy   string        `json:"heldBy"`
	Pause    pause.Cause   `json:"pause,omitempty"` // of the account
	DoneIn   *float64      `json:"doneInSeconds"`
	Time     time.Time     `json:"time"`

	unknown bool          // neither configured nor ever served
	paused  time.Duration // the rest of the pause after a 429
	signs   signs
}

type statusPending struct {
	Total  uint64   `json:"total"`
	Under1 uint64   `json:"under1m"`
	Under5 uint64   `json:"under5m"` // 1 to 5 minutes
	Older  *uint64  `json:"older"`   // null where the count was capped
	Oldest *float64 `json:"oldestSeconds"`
	Capped bool     `json:"capped"` // there are more than Under1 and Under5
}

type statusLimit struct {
	Requests int     `json:"requests"`
	Per      float64 `json:"perSeconds"`

	per time.Duration
}

var statusColumns = []string{
	"account", "backlog", "inFlight", "pending", "under1m", "under5m", "older", "oldest",
	"ratePerMinute", "limit", "used", "share", "heldBy", "doneIn", "time",
}

func (r *statusRow) cells() []string {
	mark := ""
	if r.Pending.Capped {
		mark = "+"
	}
	older, limit, used, share := "", "", "", ""
	if r.Pending.Older != nil {
		older = count(*r.Pending.Older)
	}
	if r.Limit != nil {
		limit = strconv.Itoa(r.Limit.Requests) + "/" + r.Limit.per.String()
	}
	if r.Used != nil && r.Share != nil {
		used, share = strconv.Itoa(*r.Used), strconv.FormatFloat(100**r.Share, 'f', 0, 64)+"%"
	}
	return []string{
		r.Account, count(r.Backlog), count(r.InFlight), count(r.Pending.Total),
		count(r.Pending.Under1) + mark, count(r.Pending.Under5) + mark, older, seconds(r.Pending.Oldest),
		count(r.Rate), limit, used, share, r.HeldBy, seconds(r.DoneIn), r.Time.Format(time.RFC3339),
	}
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

// seconds is a duration as a cell, such as 3m20s; "" where it is not known.
func seconds(s *float64) string {
	if s == nil {
		return ""
	}
	return toDuration(*s).Round(time.Second).String()
}

func (p *program) status() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What each account has to do, and how long it will take",
		Long: `What each account has to do, what holds it up, and how long it will take: one line for
each configured account, for each that has a consumer without being configured, and for
each that has neither and has requests on the stream all the same.
Needs NATS. The use of a limit is read from Redis; without it that is "-".

  account        its name
  backlog        requests that are not settled or handed over yet; at most so many
                 where some are of low priority. Of an unknown account: requests less
                 its dead letters, results and open purchases
  inFlight       of these, the ones a consumer has taken, with those that wait for
                 another try
  pending        purchases that are open at the vendor, which the poller asks about
  under1m        of these, the ones that were stored less than a minute ago; under5m:
                 one to five minutes; older: all others. Hand-offs under five minutes
                 old are read one by one, the first ` + strconv.Itoa(pendingCap) + ` at most: then "+" says
                 that there are more, and older is "-". An open purchase whose state
                 changes is stored anew
  oldest         age of the one that was stored first
  ratePerMinute  results stored in the last minute, as the server counts them: no
                 message is read
  limit          the purchase limit of this configuration; "-" is none
  used           permits of the limit that count now, used or given out, and share:
                 the part of the limit that they are
  heldBy         what holds the backlog up, as far as it can be told from outside:
    limit                        the purchase limit is used up
    limit: the vendor said 429   nobody calls until a pause is over
    paused: and the cause        see accounts list
    no consumer is set up        run provision, or start a consumer
    no consumer is working       none has asked for work, taken any or settled any for
                                 a minute. One that rests (Redis or the vendor is
                                 away, the credentials are refused) looks the same
    unknown account              neither configured nor ever served: a running consumer
                                 makes dead letters of its requests
    waiting at the vendor        calls are under way, or wait for another try
    -                            nothing that can be seen from here
  doneIn         time until the backlog is done, new requests aside: backlog through
                 limit where the limit holds it up, else through rate; "-" where
                 nothing moves. A rate that began less than a minute ago is too low
  time           of this look, by the server's clock

With --watch it looks again after each interval, until a signal ends it (exit 130).
table and json then print a table or an array each time, of which tables have an
empty line between them; jsonl and csv go on line by line.`,
		Args: cobra.NoArgs,
	}
	name := cmd.Flags().String("account", "", "only this account (default: all)")
	watch := cmd.Flags().Bool("watch", false, "look again and again")
	interval := cmd.Flags().Duration("interval", 2*time.Second, "with --watch, the time between two looks")
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(cmd *cobra.Command, _ []string) error {
		if *interval <= 0 || cmd.Flags().Changed("interval") && !*watch {
			return usage("--interval must be above zero and needs --watch")
		}
		if *name != "" {
			if err := validAccount(*name); err != nil {
				return err
			}
		}
		s, err := p.connect()
		if err != nil {
			return err
		}
		defer s.close()
		l, err := newLooker(s, *name, p.Stderr)
		if err != nil {
			return err
		}
		defer l.close()
		show := p.statusPrinter(format.Format)
		rows, err := l.look(cmd.Context())
		if err != nil {
			return err
		}
		if err := show(rows); err != nil || !*watch {
			return err
		}
		return watchStatus(cmd.Context(), *interval, l, show)
	})
	return cmd
}

// watchStatus looks until ctx ends. A look that fails is told, and the next one
// may succeed: NATS comes back.
func watchStatus(ctx context.Context, interval time.Duration, l *looker, show func([]*statusRow) error) error {
	for worker.Sleep(ctx, interval) {
		rows, err := l.look(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			l.note("this look failed: " + err.Error())
		default:
			if err := show(rows); err != nil {
				return err
			}
		}
	}
	if cause := context.Cause(ctx); !errors.Is(cause, lifecycle.ErrStopped) && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("stopped looking: %w", cause)
	}
	return &lifecycle.Exit{Code: lifecycle.Interrupted} // its usual end: nothing to say
}

// statusPrinter prints one look after the other. csv has its column names once.
func (p *program) statusPrinter(format output.Format) func([]*statusRow) error {
	var out *output.Writer
	looks := 0
	return func(rows []*statusRow) error {
		if out == nil || format == output.Table || format == output.JSON {
			out = output.NewWriter(p.Stdout, format, statusColumns...)
		}
		if looks++; looks > 1 && format == output.Table {
			if _, err := fmt.Fprintln(p.Stdout); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
		for _, r := range rows {
			if err := out.Record(r, r.cells()); err != nil {
				return err
			}
		}
		if format == output.CSV && (looks > 1 || len(rows) > 0) {
			return nil // Close is for column names that were not written yet
		}
		return out.Close()
	}
}
