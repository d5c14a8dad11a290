package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lab/bench"
	"github.com/vendstream/vendstream/internal/output"
)

// study adds the flags that all measurements beside the bench itself have, and runs
// one: check is told the values and fails where one cannot be.
func (p *program) study(cmd *cobra.Command, s *bench.Study, rounds int, program bool, run func(*cobra.Command) error) *cobra.Command {
	cmd.Args = cobra.NoArgs
	f := cmd.Flags()
	f.IntVar(&s.Rounds, "rounds", rounds, "how often each case is measured")
	f.StringVar(&s.Dir, "dir", "", "where files are put while it runs; empty is the system's place for temporary files")
	if program {
		f.StringVar(&s.Vendstream, "vendstream", "", "path of the program, instead of building it")
	}
	format := output.NewFlag(output.Table)
	f.VarP(format, "output", "o", format.Names())
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		if s.Rounds < 1 || s.Rounds > 1000 {
			return usage("--rounds must be 1 to 1000")
		}
		if err := checkFile("vendstream", s.Vendstream); err != nil {
			return err
		}
		if s.Dir != "" {
			if info, err := os.Stat(s.Dir); err != nil {
				return usage("--dir: %w", err)
			} else if !info.IsDir() {
				return usage("--dir %s is no directory", s.Dir)
			}
		}
		s.Format, s.Stdout, s.Stderr = format.Format, p.Stdout, p.Stderr
		return run(cmd)
	})
	return cmd
}

// within is a wrong use where a number of a flag is outside its bounds.
func within[T int](flag string, least, most T, values ...T) error {
	if len(values) == 0 {
		return usage("--%s needs a number", flag)
	}
	for _, v := range values {
		if v < least || v > most {
			return usage("--%s must be %v to %v", flag, least, most)
		}
	}
	return nil
}

func (p *program) benchLedger() *cobra.Command {
	var o bench.LedgerOptions
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Measure what a subject for each result costs nats-server",
		Long: `Measure what the ledger costs nats-server: results stored as the pipeline stores
them, on a subject each with one message at most, a message id, and the condition
that there is none yet, beside the same results on one subject with a message id
alone. Each in turn, on a nats-server of its own. About 1 KB of disk is needed for a
result, at most for as long as it runs.

  publish_rate    results a second, 2,048 of them under way at once
  publish_first   of the first tenth; a ledger that slows down as it grows shows here
  publish_last    of the last tenth
  publish_cpu     processor time of nats-server for each
  disk            of the stream
  disk_each       of that, for each result
  memory_filled   of nats-server, once all are stored
  memory_started  of a nats-server that was started with them, and asked for one figure
  memory_each     of that, for each result, beyond an empty nats-server
  recent_p50/p99  a look-up by reference at the leader, of one of the last 10,000
  hit_p50/p99     of any of them
  miss_p50/p99    of one that is not there
  restart         from the start until the stream answers, after a proper stop
  restart_killed  the same after a kill just behind the last result

With a message id alone there is no look-up by reference: what stands there is the
reading of a message by its place in the stream, the least that one could cost.`,
	}
	cmd.Flags().IntVar(&o.Results, "results", 1_000_000, "results in the stream")
	cmd.Flags().IntVar(&o.Lookups, "lookups", 5000, "look-ups of each kind")
	return p.study(cmd, &o.Study, 5, false, func(cmd *cobra.Command) error {
		if err := within("results", 100, 49_000_000, o.Results); err != nil {
			return err
		}
		if err := within("lookups", 1, 1_000_000, o.Lookups); err != nil {
			return err
		}
		return bench.RunLedger(cmd.Context(), o)
	})
}

func (p *program) benchPoller() *cobra.Command {
	var o bench.PollerOptions
	cmd := &cobra.Command{
		Use:   "poller",
		Short: "Measure how late the poller polls, by how many purchases are open",
		Long: `Measure how late the poller polls, by how many purchases are open. Hand-offs are put
on the stream, their first polls spread evenly over one period, and "vendstream
poller" takes them up; a vendor that answers "pending" notes when it is asked about
each and when it should have been. Then it settles all of them at once. Each number
of purchases has a nats-server and a redis-server of its own, and so has each place
in which it may stand when they are due (--due). Purchases are polled
every --every from the start: the schedule has one step.

  taken_up       from the start of the poller until all hand-offs wait for their poll
  polls          polls a second during the time in which they are watched
  early          polls that came before they were due
  overdue        purchases at its end whose poll is late by more than a second
  late_p50/p99   how late polls were, with those that are overdue as late as they are
  late_max       the worst
  cpu_poller     of the poller, of nats-server and of redis-server
  cpu_nats
  cpu_redis
  memory_poller  of the three at the end of that time
  memory_nats
  memory_redis
  settle         from the moment at which the vendor settles all to the last result
  settle_beyond  of that, more than one period, which the schedule itself takes
  settled        results stored when they were no longer waited for

A number takes some two periods, and a second for each 3,000 purchases.`,
	}
	f := cmd.Flags()
	f.IntSliceVar(&o.Pending, "pending", []int{10_000, 100_000, 1_000_000}, "open purchases")
	f.StringSliceVar(&o.Due, "due", []string{bench.DueInNATS, bench.DueInRedis},
		"where it stands when they are due: a consumer of nats, or redis (poller.due_index)")
	f.DurationVar(&o.Every, "every", 5*time.Minute, "how often each is polled")
	f.DurationVar(&o.During, "during", 0, "how long polls are watched; 0 is as long as --every")
	f.IntVar(&o.InFlight, "in-flight", 256, "polls under way at once")
	f.DurationVar(&o.Latency, "latency", 20*time.Millisecond, "of the vendor")
	f.DurationVar(&o.Lead, "lead", 0, "time to store the hand-offs and to take them up, before the first poll is due; 0 is by their number")
	return p.study(cmd, &o.Study, 1, true, func(cmd *cobra.Command) error {
		if err := within("pending", 1, 20_000_000, o.Pending...); err != nil {
			return err
		}
		if err := within("in-flight", 1, maxInFlight, o.InFlight); err != nil {
			return err
		}
		for _, in := range o.Due {
			if in != bench.DueInNATS && in != bench.DueInRedis {
				return usage("--due must be %s, %s or both", bench.DueInNATS, bench.DueInRedis)
			}
		}
		if o.Every < time.Second || o.Every > time.Hour {
			return usage("--every must be 1s to 1h")
		}
		if o.During < 0 || o.During > 24*time.Hour || o.Latency < 0 || o.Latency > 10*time.Second || o.Lead < 0 || o.Lead > time.Hour {
			return usage("--during, --latency and --lead must be 0s to 24h, 10s and 1h")
		}
		return bench.RunPoller(cmd.Context(), o)
	})
}

func (p *program) benchProcesses() *cobra.Command {
	var o bench.ProcessesOptions
	cmd := &cobra.Command{
		Use:   "processes",
		Short: "Measure how the rate grows with the number of consumer processes",
		Long: `Measure how the rate grows with the number of consumer processes, all of one account
and with as many purchases in flight each. Ratios are to the first number on the same
servers. With --cluster the same on a single nats-server and on a cluster of three,
with three replicas, that write through to the disk before they acknowledge
(sync_interval: always); their first number is held against the plain server's.

  rate         purchases a second, over the middle four fifths of the results
  of_possible  of what the vendor's latency allows for so many in flight
  machine      of all processors, used by everything together: near 100 % the machine
               is what is measured
  cpu          processor time of the consumers for a purchase
  cpu_nats     of all nats-servers
  cpu_redis    of redis-server
  memory       most memory of one consumer`,
	}
	f := cmd.Flags()
	f.IntSliceVar(&o.Processes, "processes", []int{1, 2, 4}, "how many consumers")
	f.IntVar(&o.InFlight, "in-flight", 64, "purchases that each works on at once")
	f.DurationVar(&o.Latency, "latency", 200*time.Millisecond, "of the vendor's API")
	f.DurationVar(&o.For, "for", 15*time.Second, "what a run takes where nothing but the latency counts")
	f.BoolVar(&o.Cluster, "cluster", false, "measure a cluster of three too")
	quick := f.Bool("quick", false, "do not wait until the consumers on the servers are a minute old")
	return p.study(cmd, &o.Study, 5, true, func(cmd *cobra.Command) error {
		if err := within("processes", 1, 64, o.Processes...); err != nil {
			return err
		}
		if err := within("in-flight", 1, maxInFlight, o.InFlight); err != nil {
			return err
		}
		if o.Latency < time.Millisecond || o.Latency > 10*time.Second || o.For <= 0 || o.For > time.Hour {
			return usage("--latency must be 1ms to 10s, and --for above 0 and at most 1h")
		}
		o.Settle = !*quick
		return bench.RunProcesses(cmd.Context(), o)
	})
}

func (p *program) benchAccounts() *cobra.Command {
	var o bench.AccountsOptions
	cmd := &cobra.Command{
		Use:   "accounts",
		Short: "Measure what accounts cost that have nothing to do",
		Long: `Measure what accounts cost that have nothing to do: one "vendstream serve", which is
consumer and poller, with that many accounts in its configuration.

  ready        from the start until it is ready: streams and consumers are made, and
               every account logs in
  ready_again  the same at a second start, which finds streams, consumers and tokens
  memory       of vendstream
  cpu          of vendstream
  goroutines   of vendstream
  files        and connections that vendstream has open
  pulls        requests for messages that nats-server gets, in a second
  redis        commands that redis-server runs in a second, those in scripts too
  cpu_nats     of nats-server, and its memory
  memory_nats
  cpu_redis    of redis-server`,
	}
	cmd.Flags().IntSliceVar(&o.Accounts, "accounts", []int{10, 100, 1000}, "accounts in the configuration")
	cmd.Flags().DurationVar(&o.For, "for", 20*time.Second, "how long they are watched")
	return p.study(cmd, &o.Study, 1, true, func(cmd *cobra.Command) error {
		if err := within("accounts", 1, 20_000, o.Accounts...); err != nil {
			return err
		}
		if o.For < 100*time.Millisecond || o.For > time.Hour {
			return usage("--for must be 100ms to 1h")
		}
		return bench.RunAccounts(cmd.Context(), o)
	})
}

func (p *program) benchClaims() *cobra.Command {
	var o bench.ClaimsOptions
	cmd := &cobra.Command{
		Use:   "claims",
		Short: "Measure how much memory of Redis the record of a purchase takes",
		Long: `Measure how much memory of Redis (used_memory) the record of a purchase takes, as it
is claimed, waits for the poller, and is settled. A settled record expires after
dedupe.ttl, the others do not.`,
	}
	cmd.Flags().IntVar(&o.Claims, "claims", 10_000, "purchases")
	return p.study(cmd, &o.Study, 1, false, func(cmd *cobra.Command) error {
		if err := within("claims", 100, 10_000_000, o.Claims); err != nil {
			return err
		}
		return bench.RunClaims(cmd.Context(), o)
	})
}
