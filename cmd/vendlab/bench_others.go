package main

import (
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lab/bench"
)

// otherName is what a program may be asked to be.
var otherName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func (p *program) benchOthers() *cobra.Command {
	var o bench.OthersOptions
	cmd := &cobra.Command{
		Use:   "others",
		Short: "Measure vendstream beside consumers written with other frameworks",
		Long: `Measure vendstream beside consumers written with other frameworks, and beside the bare
loop, all in turn in the same run. Each works off the same backlog: POST, publish the
answer, and only then be done with the request. Without --program they are built from
internal/lab/others, a module of its own, whose modules are fetched where they are
missing:

  watermill       a router of Watermill on the subscriber recommended for production,
                  which has messages pushed to it
  watermill-pull  the same on its other subscriber, which pulls
  asynq           a server of asynq. It takes tasks from Redis, not from NATS: the
                  purchases are put on a queue of its own before the clock starts
  tutorial        fetch ten, SET NX, net/http with defaults, publish, ack
  fasthttp        the bare loop with fasthttp instead of net/http

None of them keeps a promise: a death between POST and publish vends twice. The
measures are those of "vendlab bench". A run in which the vendor was not called once
for each purchase, or in which there is not one result for each, fails.`,
	}
	f := cmd.Flags()
	f.StringVar(&o.Program, "program", "", "path of the program with the other consumers, instead of building it")
	f.StringSliceVar(&o.With, "with", []string{"watermill", "watermill-pull", "asynq", "tutorial", "fasthttp"}, "which of them")
	f.IntVar(&o.Purchases, "purchases", 20_000, "purchases on the stream before a program starts")
	f.DurationSliceVar(&o.Latencies, "latency", []time.Duration{0}, "latencies of the vendor's API")
	f.IntVar(&o.InFlight, "in-flight", 256, "how many purchases are worked on at once")
	quick := f.Bool("quick", false, "see that it works: few purchases, no wait for consumers to age")
	return p.study(cmd, &o.Study, 5, true, func(cmd *cobra.Command) error {
		if *quick && !f.Changed("purchases") {
			o.Purchases = 1000
		}
		if err := within("purchases", 100, 50_000_000, o.Purchases); err != nil {
			return err
		}
		if err := within("in-flight", 1, maxInFlight, o.InFlight); err != nil {
			return err
		}
		if err := checkLatencies(o.Latencies); err != nil {
			return err
		}
		if len(o.With) == 0 {
			return usage("--with needs a name")
		}
		for i, name := range o.With {
			if !otherName.MatchString(name) {
				return usage("--with: %q is no name", name)
			}
			if slices.Contains(o.With[:i], name) {
				return usage("--with: %s is there twice", name)
			}
		}
		if err := checkFile("program", o.Program); err != nil {
			return err
		}
		o.Settle = !*quick
		return bench.RunOthers(cmd.Context(), o)
	})
}

func (p *program) benchHTTP() *cobra.Command {
	var o bench.HTTPOptions
	cmd := &cobra.Command{
		Use:   "http",
		Short: "Measure HTTP clients: net/http with HTTP/1.1 and HTTP/2, and fasthttp",
		Long: `Measure HTTP clients against a vendor with TLS 1.3, which is a process of its own:
net/http with HTTP/1.1, as vendstream has it, net/http with HTTP/2, and fasthttp, each
with vendstream's limits and time-outs. Without --program the client is built from
internal/lab/others, a module of its own. A client first makes its connections, which
is not measured.

  rate         calls a second. At 0 ms the vendor takes most of the machine
  cpu          processor time of the client's process for a call
  allocations  objects on its heap for a call
  memory       most memory of its process
  connections  that it opened

At a latency above 0 the calls are cut to what can be done in six seconds. A run in
which the vendor did not get each call once, by the protocol in question, or in which
an answer was not that of its call, fails.`,
	}
	f := cmd.Flags()
	f.StringVar(&o.Program, "program", "", "path of the program with the clients, instead of building it")
	f.IntVar(&o.Calls, "calls", 50_000, "most calls of a run")
	f.DurationSliceVar(&o.Latencies, "latency", []time.Duration{0, 20 * time.Millisecond}, "latencies of the vendor")
	f.IntSliceVar(&o.InFlight, "in-flight", []int{64, 256}, "how many calls are made at once")
	return p.study(cmd, &o.Study, 5, false, func(cmd *cobra.Command) error {
		if err := within("calls", 100, 50_000_000, o.Calls); err != nil {
			return err
		}
		if err := within("in-flight", 1, maxInFlight, o.InFlight...); err != nil {
			return err
		}
		if err := checkLatencies(o.Latencies); err != nil {
			return err
		}
		if err := checkFile("program", o.Program); err != nil {
			return err
		}
		return bench.RunHTTP(cmd.Context(), o)
	})
}

func (p *program) benchTLSVendor() *cobra.Command {
	cmd := part("tls-vendor")
	var o bench.TLSVendorOptions
	cmd.Flags().DurationVar(&o.Latency, "latency", 0, "of a purchase")
	cmd.Flags().StringVar(&o.CA, "ca", "", "file for the authority's certificate")
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		return bench.RunTLSVendor(cmd.Context(), o, p.Stdout)
	})
	return cmd
}

func checkLatencies(latencies []time.Duration) error {
	if len(latencies) == 0 || slices.Min(latencies) < 0 || slices.Max(latencies) > 10*time.Second {
		return usage("--latency must be one or more of 0s to 10s")
	}
	return nil
}

// checkFile looks at a flag that is the path of a program, or empty.
func checkFile(flag, path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err != nil {
		return usage("--%s: %w", flag, err)
	} else if info.IsDir() {
		return usage("--%s %s is a directory", flag, path)
	}
	return nil
}
