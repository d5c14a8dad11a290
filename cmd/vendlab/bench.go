package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lab/bench"
	"github.com/vendstream/vendstream/internal/output"
)

// maxInFlight is the most that can be asked for: a bound against typing errors.
const maxInFlight = 100_000

func (p *program) bench() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure throughput, latency and cost of the pipeline, beside a bare loop without it",
		Long: `Measure what a purchase costs in vendstream, beside the least that it could cost: a
bare loop, which consumes, posts, publishes the answer and acknowledges with the
same libraries, and makes no promise. nats-server, redis-server (from the PATH), a
lean vendor and the measured program are processes of their own; vendstream is
built first, or given by --vendstream. Purchases wait on the stream before the
program starts. Both programs run in turn; the report has the median of the rounds
with its spread, and ratios taken round by round. On a machine that others use too
only the ratios mean anything.

  rate         purchases a second, over the middle four fifths of the results
  cpu          processor time of the program for a purchase, over the same time
  cpu_all      the same with the vendor, nats-server and redis-server
  cpu_nats     the share of nats-server
  cpu_redis    the share of redis-server
  allocations  objects on the program's heap for a purchase
  memory       most memory of the program
  start        from the start of the program to its first call of /purchase
  light_p50    from the storing of a request to the storing of its result, without
  light_p99    the vendor's latency, at --light purchases a second

At a latency above 0 the backlog is cut to what can be done in six seconds.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	o := bench.Options{}
	f.IntVar(&o.Purchases, "purchases", 20_000, "purchases on the stream before a program starts")
	f.DurationSliceVar(&o.Latencies, "latency", []time.Duration{0, 20 * time.Millisecond, 200 * time.Millisecond}, "latencies of the vendor's API")
	f.IntSliceVar(&o.InFlight, "in-flight", []int{256}, "how many purchases are worked on at once")
	f.IntVar(&o.Rounds, "rounds", 5, "how often both are measured")
	f.IntVar(&o.Light, "light", 200, "purchases a second of the light load; 0 leaves it out")
	f.DurationVar(&o.LightFor, "light-for", 5*time.Second, "how long the light load lasts")
	f.StringVar(&o.Vendstream, "vendstream", "", "path of the program, instead of building it")
	f.BoolVar(&o.WholeResult, "whole-result", false, "the bare loop publishes the contract's result, one for a subject, and not the vendor's answer alone")
	f.StringVar(&o.Profile, "profile", "", "directory for CPU, allocation, block and mutex profiles of both programs; vendstream then runs as part of vendlab")
	f.StringVar(&o.Plot, "plot", "", "file for a plot of rate and CPU against in-flight, as SVG")
	quick := f.Bool("quick", false, "see that it works: few purchases, one round, no latency, no wait for consumers to age")
	format := output.NewFlag(output.Table)
	f.VarP(format, "output", "o", format.Names())
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		if *quick {
			for name, hasten := range map[string]func(){
				"purchases": func() { o.Purchases = 1000 },
				"latency":   func() { o.Latencies = []time.Duration{0} },
				"in-flight": func() { o.InFlight = []int{64} },
				"rounds":    func() { o.Rounds = 1 },
				"light-for": func() { o.LightFor = 500 * time.Millisecond },
			} {
				if !f.Changed(name) {
					hasten()
				}
			}
		}
		if err := checkBench(o); err != nil {
			return err
		}
		o.Settle = !*quick
		o.Format, o.Stdout, o.Stderr = format.Format, p.Stdout, p.Stderr
		return bench.Run(cmd.Context(), o)
	})
	cmd.AddCommand(p.benchLedger(), p.benchPoller(), p.benchProcesses(), p.benchAccounts(), p.benchClaims(), p.benchOthers(), p.benchHTTP())
	cmd.AddCommand(p.benchNATS(), p.benchVendor(), p.benchTLSVendor(), p.benchLoop(), p.benchConsumer())
	return cmd
}

func checkBench(o bench.Options) error {
	switch {
	case o.Purchases < 100 || o.Purchases > 50_000_000:
		return usage("--purchases must be 100 to 50000000")
	case len(o.InFlight) == 0 || slices.Min(o.InFlight) < 1 || slices.Max(o.InFlight) > maxInFlight:
		return usage("--in-flight must be one or more of 1 to %d", maxInFlight)
	case o.Rounds < 1 || o.Rounds > 1000:
		return usage("--rounds must be 1 to 1000")
	case o.Light < 0 || o.Light > 100_000:
		return usage("--light must be 0 to 100000")
	case o.LightFor <= 0 || o.LightFor > time.Hour || float64(o.Light)*o.LightFor.Seconds() > math.MaxInt32:
		return usage("--light-for must be above 0 and at most 1h")
	}
	if err := checkLatencies(o.Latencies); err != nil {
		return err
	}
	return checkFile("vendstream", o.Vendstream)
}

// part is a hidden command: a process that the bench starts.
func part(use string) *cobra.Command {
	return &cobra.Command{Use: use, Short: "A part of vendlab bench, which starts it", Hidden: true, Args: cobra.NoArgs}
}

func (p *program) benchNATS() *cobra.Command {
	cmd := part("nats-server")
	var o bench.NATSOptions
	cmd.Flags().StringVar(&o.Dir, "dir", "", "where to keep the streams")
	cmd.Flags().StringVar(&o.Config, "config", "", "configuration file")
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		return bench.RunNATS(cmd.Context(), o, p.Stdout)
	})
	return cmd
}

func (p *program) benchVendor() *cobra.Command {
	cmd := part("vendor")
	var o bench.VendorOptions
	cmd.Flags().DurationVar(&o.Latency, "latency", 0, "of a purchase")
	cmd.Flags().IntVar(&o.Pending, "pending", 0, "how many purchases are open")
	cmd.Flags().DurationVar(&o.Every, "every", 0, "how often each is polled")
	base := cmd.Flags().Int64("base", 0, "when the first poll is due, in Unix nanoseconds")
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		o.Base = time.Unix(0, *base)
		return bench.RunVendor(cmd.Context(), o, p.Stdout)
	})
	return cmd
}

func (p *program) benchLoop() *cobra.Command {
	cmd := part("loop")
	var o bench.LoopOptions
	cmd.Flags().StringVar(&o.NATSURL, "nats-url", "", "")
	cmd.Flags().StringVar(&o.VendorURL, "vendor-url", "", "")
	cmd.Flags().StringVar(&o.Prefix, "prefix", "", "of the subjects")
	cmd.Flags().IntVar(&o.InFlight, "in-flight", 1, "")
	cmd.Flags().StringVar(&o.HTTPAddr, "http-addr", "", "where /metrics is")
	cmd.Flags().BoolVar(&o.WholeResult, "whole-result", false, "")
	profile := cmd.Flags().String("profile", "", "directory for profiles")
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		return bench.Profiled(*profile, func() error { return bench.RunLoop(cmd.Context(), o) })
	})
	return cmd
}

func (p *program) benchConsumer() *cobra.Command {
	cmd := part("consumer")
	file := cmd.Flags().String("config", "", "configuration file")
	profile := cmd.Flags().String("profile", "", "directory for profiles")
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		if *file == "" {
			return fmt.Errorf("--config is missing")
		}
		return bench.Profiled(*profile, func() error { return bench.RunConsumer(cmd.Context(), *file) })
	})
	return cmd
}
