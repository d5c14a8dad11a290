package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// ProcessesOptions are what RunProcesses needs.
type ProcessesOptions struct {
	Study
	Processes []int // how many consumers
	InFlight  int   // of each
	Latency   time.Duration
	For       time.Duration // what a run takes where the vendor's latency is all there is
	// Cluster measures three nats-servers too, with three replicas and each write
	// through to the disk, and a single one that writes through.
	Cluster bool
	// Settle waits until the consumers are a minute old; see Options.
	Settle bool
}

// Measures of the processes.
const (
	measurePossible = "of_possible"
	measureMachine  = "machine"
)

var processMeasures = []measure{
	{measureRate, "purchases/s", 0},
	{measurePossible, "%", 1},      // of what the vendor's latency allows
	{measureMachine, "%", 1},       // of all processors, used by all processes
	{measureCPU, "µs/purchase", 1}, // of the consumers together
	{measureCPUNATS, "µs/purchase", 1},
	{measureCPURedis, "µs/purchase", 1},
	{measureMemory, "MB", 1}, // most of one consumer
}

// setup is a way to run nats-server.
type setup struct {
	name  string
	make  func(ctx context.Context, dir, self string) (*world, error)
	world *world
}

func (o ProcessesOptions) setups() []*setup {
	all := []*setup{{name: "", make: newWorld}}
	if o.Cluster {
		for _, n := range []int{1, 3} {
			all = append(all, &setup{name: fmt.Sprintf(", %d nats-server synced", n),
				make: func(ctx context.Context, dir, self string) (*world, error) { return newCluster(ctx, dir, self, n) }})
		}
		all[2].name = ", cluster of 3 synced"
	}
	return all
}

// crewRun is one run: a number of consumers on a setup.
type crewRun struct {
	*setup
	processes int
	round     int
	prefix    string
}

func (r crewRun) name() string {
	if r.processes == 1 {
		return "1 consumer" + r.setup.name
	}
	return fmt.Sprintf("%d consumers", r.processes) + r.setup.name
}

// to is the case that the ratio is to: the first number of consumers on the same
// servers, and of these the plain one.
func (r crewRun) to(first int) string {
	switch {
	case r.processes != first:
		r.processes = first
	case r.setup.name != "":
		r.setup = &setup{}
	default:
		return ""
	}
	return r.name()
}

// RunProcesses measures how the rate grows with the number of consumers, and prints
// the report.
func RunProcesses(ctx context.Context, o ProcessesOptions) (failed error) {
	p, leave, err := o.begin(ctx, int64(o.backlog(slices.Max(o.Processes)))*handoffRoom*3, true)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, leave()) }()
	setups := o.setups()
	defer func() {
		for _, s := range setups {
			if s.world != nil {
				s.world.close()
			}
		}
	}()
	for i, s := range setups {
		dir := filepath.Join(p.dir, fmt.Sprintf("world-%d", i+1))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		if s.world, err = s.make(ctx, dir, p.self); err != nil {
			return err
		}
	}
	var runs []crewRun
	for round := range o.Rounds {
		for _, s := range turn(round, setups) {
			for _, n := range turn(round, o.Processes) {
				runs = append(runs, crewRun{s, n, round, fmt.Sprintf("p%d", len(runs)+1)})
			}
		}
	}
	for _, r := range runs {
		if err := r.world.prepare(ctx, r.prefix); err != nil {
			return err
		}
	}
	if o.Settle {
		o.say("waiting for a minute, until the consumers on the servers are no longer new")
		if err := sleep(ctx, settling); err != nil {
			return err
		}
	}
	values := make([]figures, len(runs))
	for i, r := range runs {
		o.say("%d of %d: round %d, %s, %d purchases", i+1, len(runs), r.round+1, r.name(), o.backlog(r.processes))
		values[i], err = o.run(ctx, p, r)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return o.report(setups, runs[:i], values).spoiled(err, o.Stdout, o.Format)
		}
	}
	return o.report(setups, runs, values).print(o.Stdout, o.Format)
}

// report has the cases in the order of the options, whatever the order of the runs.
func (o ProcessesOptions) report(setups []*setup, runs []crewRun, values []figures) *cases {
	report := &cases{measures: processMeasures}
	for _, s := range setups {
		for _, n := range o.Processes {
			for i, r := range runs {
				if r.setup == s && r.processes == n {
					report.add(r.name(), r.to(o.Processes[0]), values[i])
				}
			}
		}
	}
	return report
}

// backlog is what can be done in the time of a run.
func (o ProcessesOptions) backlog(processes int) int {
	return max(100, int(o.possible(processes)*o.For.Seconds()))
}

// possible is the rate that the vendor's latency allows.
func (o ProcessesOptions) possible(processes int) float64 {
	return float64(processes*o.InFlight) / o.Latency.Seconds()
}
