package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// OthersOptions are what RunOthers needs.
//
// Program is asked to be each of With in turn, as
//
//	PROGRAM NAME --nats-url URL --redis-url URL --vendor-url URL --prefix P --in-flight N --http-addr A
//
// and has to work off the requests of the account "bench" below that prefix: POST the
// body to VENDOR-URL/purchase, publish the answer on the subject of the result, and
// only then say that the request is done, with N of them under way at once. Below
// http://A/metrics it gives go_memstats_mallocs_total. It ends well at SIGTERM, and
// with an error where something went wrong or was left over. Before, and unmeasured,
// it is run once with --prepare in addition, when the requests are on their stream: a
// program whose input is another queue fills that then, and then ends.
type OthersOptions struct {
	Study
	Program   string // "" builds internal/lab/others, from within this module's source
	With      []string
	Purchases int             // most of the backlog that a run works off
	Latencies []time.Duration // of the vendor
	InFlight  int
	// Settle waits until vendstream's consumers are a minute old; see Options.
	Settle bool
}

// othersRun is one run of one program.
type othersRun struct {
	one
	round int
}

// caseName is how the report names a program at a latency.
func caseName(program string, latency time.Duration) string {
	return program + " at " + latency.String()
}

func (r othersRun) name() string { return caseName(r.one.name(), r.latency) }

// RunOthers measures vendstream, the bare loop and programs of others in turn, and
// prints the report, which holds vendstream against each of them.
func RunOthers(ctx context.Context, o OthersOptions) (failed error) {
	p, leave, err := o.begin(ctx, int64(o.Purchases)*handoffRoom, true)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, leave()) }()
	if o.Program == "" {
		if o.Program, err = o.build(ctx, p.dir); err != nil {
			return err
		}
	}
	w, err := newWorld(ctx, p.dir, p.self)
	if err != nil {
		return err
	}
	defer w.close()
	runs := o.plan(p.binary)
	for _, r := range runs {
		if err := w.prepare(ctx, r.prefix); err != nil {
			return err
		}
	}
	if o.Settle {
		o.say("waiting for a minute, until the consumers are no longer new")
		if err := sleep(ctx, settling); err != nil {
			return err
		}
	}
	values := make([]figures, len(runs))
	for i, r := range runs {
		n := r.backlog(o.Purchases)
		o.say("%d of %d: round %d, %s, %d purchases, %d in flight", i+1, len(runs), r.round+1, r.name(), n, r.inFlight)
		values[i], err = w.drain(ctx, r.one, n)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return o.report(runs[:i], values).spoiled(fmt.Errorf("%s: %w", r.name(), err), o.Stdout, o.Format)
		}
	}
	return o.report(runs, values).print(o.Stdout, o.Format)
}

// plan is all runs in order: in every round each program once at each latency, every
// other round the other way round.
func (o OthersOptions) plan(binary string) []othersRun {
	var runs []othersRun
	for _, latency := range o.Latencies {
		at := point{latency, o.InFlight}
		programs := []one{{point: at, subject: vendstream, binary: binary}, {point: at, subject: bare}}
		for _, name := range o.With {
			programs = append(programs, one{point: at, binary: o.Program, other: name})
		}
		for round := range o.Rounds {
			for _, program := range turn(round, programs) {
				program.prefix = fmt.Sprintf("o%d", len(runs)+1)
				runs = append(runs, othersRun{program, round})
			}
		}
	}
	return runs
}

// report has for each latency every program, and then vendstream once more for each
// other one, with its ratio to that.
func (o OthersOptions) report(runs []othersRun, values []figures) *cases {
	report := &cases{}
	for _, m := range measures {
		report.measures = append(report.measures, measure(m))
	}
	for _, latency := range o.Latencies {
		names := []string{vendstream.String(), bare.String()}
		names = append(names, o.With...)
		for _, name := range names {
			for i, r := range runs {
				if r.name() == caseName(name, latency) {
					report.add(r.name(), "", values[i])
				}
			}
		}
		ours := report.find(caseName(names[0], latency))
		for _, name := range names[1:] {
			if to := report.find(caseName(name, latency)); ours != nil && to != nil {
				report.all = append(report.all, &oneCase{name: ours.name, to: to.name, values: ours.values})
			}
		}
	}
	return report
}

// prepareOther has the other program put its own queue in order.
func (w *world) prepareOther(ctx context.Context, o one) error {
	return runToEnd(ctx, o.other+" --prepare", w.file(o.prefix+"-prepare.log"), o.binary, o.other, "--prepare", "--nats-url", w.natsURL,
		"--redis-url", w.redisURL, "--prefix", o.prefix, "--in-flight", strconv.Itoa(o.inFlight))
}

// build builds internal/lab/others, which is a module of its own.
func (s Study) build(ctx context.Context, dir string) (string, error) {
	s.say("building internal/lab/others, for which modules may have to be fetched")
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/vendstream/vendstream").Output()
	if err != nil {
		return "", fmt.Errorf("bench: find the source of vendstream: %w; run this within it, or give --program PATH", err)
	}
	path := filepath.Join(dir, "others")
	nested := filepath.Join(strings.TrimSpace(string(root)), "internal", "lab", "others")
	if said, err := exec.CommandContext(ctx, "go", "-C", nested, "build", "-trimpath", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("bench: build internal/lab/others: %w; or give --program PATH:\n%s", err, said)
	}
	return path, nil
}
