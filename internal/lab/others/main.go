// Command others is purchase consumers as one would write them with other
// frameworks, for `vendlab bench others` to hold vendstream against, and the HTTP
// clients of `vendlab bench http`. It is a module of its own, so that none of its
// dependencies gets into vendstream.
//
// Each consumer is the usual one of its framework, as the framework's documentation
// has it, with as many purchases under way at once as vendstream has. None of them
// keeps vendstream's promises: a death between the call and the published answer vends
// twice, and none knows an outcome that is unknown.
//
// What is asked of a consumer and of a client stands at OthersOptions and HTTPOptions
// in internal/lab/bench.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/vendstream/vendstream/publisher"
)

// account is the one that buys.
const account = "bench"

// settings are what a consumer is told.
type settings struct {
	natsURL, redisURL, vendorURL string
	httpAddr                     string // where /metrics is
	subjects                     publisher.Subjects
	inFlight                     int
}

// consumer is a program that is measured.
type consumer struct {
	run func(context.Context, settings) error // until ctx ends
	// prepare, where there is one, fills a queue of its own from the requests.
	prepare func(context.Context, settings) error
}

var consumers = map[string]consumer{
	"watermill":      {run: runWatermill},
	"watermill-pull": {run: runWatermillPull},
	"asynq":          {run: runAsynq, prepare: prepareAsynq},
	"tutorial":       {run: runTutorial},
	"fasthttp":       {run: runFastHTTP},
}

func main() {
	// net/http writes what a server sends unasked to the standard logger.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "others:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: others watermill|watermill-pull|asynq|tutorial|fasthttp|http [flags]; `vendlab bench others` and `vendlab bench http` start it")

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	if args[0] == "http" {
		var o clientOptions
		flags.StringVar(&o.client, "client", "", "")
		flags.StringVar(&o.url, "url", "", "")
		flags.StringVar(&o.ca, "ca", "", "file with the authority's certificate")
		flags.IntVar(&o.inFlight, "in-flight", 1, "")
		flags.IntVar(&o.calls, "calls", 1, "")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return runClient(ctx, o, out)
	}
	one, known := consumers[args[0]]
	if !known {
		return errUsage
	}
	var s settings
	flags.StringVar(&s.natsURL, "nats-url", "", "")
	flags.StringVar(&s.redisURL, "redis-url", "", "")
	flags.StringVar(&s.vendorURL, "vendor-url", "", "")
	flags.StringVar(&s.httpAddr, "http-addr", "", "where /metrics is")
	flags.StringVar(&s.subjects.Prefix, "prefix", "", "of the subjects")
	flags.IntVar(&s.inFlight, "in-flight", 1, "")
	prepare := flags.Bool("prepare", false, "only fill the queue")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()
	if *prepare {
		if one.prepare == nil {
			return nil
		}
		return one.prepare(ctx, s)
	}
	metrics, err := serveMetrics(ctx, s.httpAddr)
	if err != nil {
		return err
	}
	defer metrics()
	return one.run(ctx, s)
}

// untilOrphaned is ctx, and ends also when the parent, which holds the other end of
// standard input, is gone.
func untilOrphaned(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it, nobody is there any more
		cancel()
	}()
	return ctx, cancel
}
