package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/vendstream/vendstream/internal/output"
)

// Options are what Run needs. All but Profile and Plot is required.
type Options struct {
	Purchases int             // most of the backlog that a run works off
	Latencies []time.Duration // of the vendor
	InFlight  []int           // max_in_flight
	Rounds    int
	Light     int           // purchases a second in the light load; 0 leaves it out
	LightFor  time.Duration // how long it lasts
	// Settle waits until the consumers are a minute old. Younger ones look for dead
	// letters before every batch (consumer, graves), which is no lasting cost.
	Settle bool
	// Vendstream is the path of the program; "" builds it.
	Vendstream string
	// Profile is a directory for profiles of both programs; vendstream's consumer
	// then runs as part of vendlab. "" makes none.
	Profile string
	// WholeResult has the bare loop publish what the contract wants of a result.
	WholeResult bool
	Plot        string // file for the SVG; "" for none
	Format      output.Format
	Stdout      io.Writer
	Stderr      io.Writer
}

// settling is how long consumers are young, and a little more.
const settling = 61 * time.Second

// longest is how long a run may take at least, by the vendor's latency: the
// backlog is cut to what can be done in that time.
const longest = 6 * time.Second

// enough is how many times the purchases in flight a backlog has at least.
const enough = 5

// backlog is how many purchases a run works off at a point.
func (o Options) backlog(at point) int { return at.backlog(o.Purchases) }

// backlog is how much of most can be done at a point in the time of a run.
func (p point) backlog(most int) int {
	if p.latency == 0 {
		return most
	}
	possible := int(float64(p.inFlight) * float64(longest) / float64(p.latency))
	return min(most, max(possible, enough*p.inFlight))
}

// Run measures and prints the report: for every latency and every in-flight the
// backlog, and for every latency the light load with the most in flight; both
// programs in turn, in every round the other one first.
func Run(ctx context.Context, o Options) (failed error) {
	dir, err := os.MkdirTemp("", "vendlab-bench-")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { failed = errors.Join(failed, os.RemoveAll(dir)) }()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	binary := o.Vendstream
	if binary == "" {
		fmt.Fprintln(o.Stderr, "building vendstream")
		if binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	w, err := newWorld(ctx, dir, self)
	if err != nil {
		return err
	}
	defer w.close()
	all, err := o.measure(ctx, w, o.plan(binary))
	if err != nil {
		return err
	}
	if o.Plot != "" {
		if err := os.WriteFile(o.Plot, plot(all), 0o644); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	return print(o.Stdout, o.Format, all)
}

// build builds vendstream, from within its module.
func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "vendstream")
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/vendstream/vendstream/cmd/vendstream")
	if said, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("bench: build vendstream: %w; run this within its source, or give --vendstream PATH:\n%s", err, said)
	}
	return path, nil
}

// planned is a run with what it is for.
type planned struct {
	one
	light bool
	round int
}

// plan is all runs in order.
func (o Options) plan(binary string) []planned {
	var runs []planned
	add := func(at point, light bool, round int) {
		turn := []subject{vendstream, bare}
		if round%2 == 1 {
			slices.Reverse(turn)
		}
		for _, who := range turn {
			runs = append(runs, planned{
				one:   one{point: at, subject: who, prefix: fmt.Sprintf("b%d", len(runs)+1), binary: binary, profile: o.Profile, whole: o.WholeResult},
				light: light,
				round: round,
			})
		}
	}
	for _, latency := range o.Latencies {
		for round := range o.Rounds {
			for _, inFlight := range o.InFlight {
				add(point{latency, inFlight}, false, round)
			}
			if o.Light > 0 {
				add(point{latency, slices.Max(o.InFlight)}, true, round)
			}
		}
	}
	return runs
}

// measure makes all runs.
func (o Options) measure(ctx context.Context, w *world, runs []planned) ([]*measured, error) {
	fmt.Fprintf(o.Stderr, "%d runs on %d processors, %s\n", len(runs), runtime.NumCPU(), runtime.Version())
	for _, run := range runs {
		if err := w.prepare(ctx, run.prefix); err != nil {
			return nil, err
		}
	}
	if o.Settle {
		fmt.Fprintln(o.Stderr, "waiting for a minute, until the consumers are no longer new")
		if err := sleep(ctx, settling); err != nil {
			return nil, err
		}
	}
	var all []*measured
	for i, run := range runs {
		what, n := "light load", o.Light
		do := func() (figures, error) { return w.light(ctx, run.one, o.Light, o.LightFor) }
		if !run.light {
			what, n = "backlog", o.backlog(run.point)
			do = func() (figures, error) { return w.drain(ctx, run.one, n) }
		}
		fmt.Fprintf(o.Stderr, "%d of %d: %s, %s of %d, latency %s, %d in flight\n", i+1, len(runs), run.subject, what, n, run.latency, run.inFlight)
		f, err := do()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(all, func(m *measured) bool { return m.point == run.point })
		if at < 0 {
			at = len(all)
			all = append(all, &measured{point: run.point, values: map[string]*pair{}})
		}
		all[at].add(run.subject, f)
	}
	return all, nil
}
