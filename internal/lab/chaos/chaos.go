package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Options are what Run needs.
type Options struct {
	Purchases, Faults  int
	Every              time.Duration // from one fault to the next
	Consumers, Pollers int
	Seed               uint64 // 0 chooses one
	Kinds              []Kind // nil is all
	// Simple runs one nats-server and one redis-server in place of the cluster and
	// the sentinels; faults that need these are left out.
	Simple bool
	NoDisk bool // no full disk, and nothing is mounted
	// DueIndex has the pollers keep in Redis when purchases are due.
	DueIndex bool
	// Program is a built vendstream; "" builds it.
	Program string
	// NATSServer is the command that runs a nats-server with the configuration whose
	// path is added, and NATSEnv what is added to its environment.
	NATSServer, NATSEnv []string
	Dir                 string // where everything is kept; "" is a new directory
	Keep                bool   // keeps it though nothing is wrong
	JSON                bool   // the report goes to Stdout, too
	Stdout, Stderr      io.Writer

	// Tamper may change what was seen before it is checked: a test shows by it that
	// a run can fail.
	Tamper func(*Evidence)
}

// ErrBroken is wrapped where a promise of the contract did not hold.
var ErrBroken = errors.New("a promise of the contract did not hold")

// drain is how long it may take, after the last fault, until nothing is left to do.
const drain = 3 * time.Minute

// Run puts the programs through the faults and checks what came of it. The error
// wraps ErrBroken where a promise did not hold; logs and streams are kept then.
func Run(ctx context.Context, o Options) (err error) {
	begun := time.Now()
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1_000_000) + 1
	}
	dir := o.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "vendlab-chaos-"); err != nil {
			return fmt.Errorf("chaos: make the data directory: %w", err)
		}
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("chaos: make the data directory: %w", err)
	}
	keep := true // until everything is known to be well
	defer func() {
		if keep {
			fmt.Fprintf(o.Stderr, "logs and streams are kept in %s\n", dir)
		} else if gone := os.RemoveAll(dir); gone != nil {
			err = errors.Join(err, fmt.Errorf("chaos: remove the data directory: %w", gone))
		}
	}()
	var speaking sync.Mutex // faults and publishers tell of themselves
	say := func(format string, args ...any) {
		speaking.Lock()
		defer speaking.Unlock()
		fmt.Fprintf(o.Stderr, "%6.1f s  %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, args...))
	}
	say("seed %d, %d purchases, %d faults, in %s", o.Seed, o.Purchases, o.Faults, dir)
	program := o.Program
	if program == "" {
		if program, err = buildProgram(ctx, dir); err != nil {
			return err
		}
	}
	r, err := run(ctx, o, dir, program, say)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("chaos: %w", context.Cause(ctx))
		}
		return err
	}
	r.Seconds, r.Versions = time.Since(begun).Seconds(), versions(ctx, program)
	broken := len(r.Breaches) > 0 || r.Unpublished > 0
	if keep = broken || o.Keep; keep {
		r.Data = dir
	}
	r.print(o.Stderr)
	if o.JSON {
		encoder := json.NewEncoder(o.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(r); err != nil {
			return fmt.Errorf("chaos: write the report: %w", err)
		}
	}
	if broken {
		return fmt.Errorf("%w: %d breaches with seed %d", ErrBroken, len(r.Breaches)+r.Unpublished, o.Seed)
	}
	return nil
}

// run brings the world up, lets the storm pass over it, and counts.
func run(ctx context.Context, o Options, dir, program string, say func(string, ...any)) (_ Report, err error) {
	plan, err := newPlan(o.Purchases, o.Seed)
	if err != nil {
		return Report{}, err
	}
	w, err := newWorld(ctx, o, dir, program)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if w.noDisk != "" {
		say("no disk will be full: %s", w.noDisk)
	}
	schedule := newSchedule(o.Faults, o.Every, o.kinds(), o.Seed)
	over := time.Duration(len(schedule)) * o.Every
	press := &press{url: w.nats.proxied(), plan: plan, interval: over / time.Duration(len(plan)+1), say: say}
	say("the programs run; %d messages in %.0f s", len(plan), over.Seconds())
	storm := newStorm(w, say)
	stormy, calm := context.WithCancel(ctx)
	defer calm()
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		storm.run(stormy, schedule)
	}()
	publishing, giveUp := context.WithTimeoutCause(ctx, over+2*drain, errUnpublished)
	defer giveUp()
	published := press.run(publishing)
	if published != nil && !errors.Is(published, errUnpublished) {
		calm()
		<-passed
		return Report{}, published
	}
	<-passed
	say("all is published and the last fault is over")
	if err := w.settle(ctx, say); err != nil {
		return Report{}, err
	}
	bad := w.stopDaemons()
	if err := w.nats.healthy(ctx, led(), wholeWithin); err != nil {
		return Report{}, err // what is read must not come from half a cluster
	}
	e, err := w.collect(ctx)
	if err != nil {
		return Report{}, err
	}
	e.BadStops, e.Acks, e.Faults = bad, press.acknowledged(), storm.done
	if o.Tamper != nil {
		o.Tamper(&e)
	}
	r := newReport(e)
	r.Seed, r.Purchases, r.Retries = o.Seed, o.Purchases, press.retries.Load()
	r.Unpublished = len(plan) - len(e.Acks)
	r.Processes = map[string]int{
		"consumer": o.Consumers, "poller": o.Pollers, "nats-server": len(w.nats.nodes),
		"redis-server": len(w.redis.nodes), "sentinel": len(w.redis.sentinels),
	}
	for _, p := range w.proxies() {
		r.Cuts += p.cuts.Load()
	}
	return r, w.keepDisk(len(r.Breaches) > 0 || o.Keep)
}

var errUnpublished = errors.New("chaos: not all could be published in time")

// kinds are those that can be brought about.
func (o Options) kinds() []Kind {
	kinds := o.Kinds
	if kinds == nil {
		kinds = Kinds()
	}
	var some []Kind
	for _, kind := range kinds {
		switch kind {
		case KillRedisReplica:
			if o.Simple {
				continue
			}
		case FullDisk:
			if o.NoDisk {
				continue
			}
		}
		some = append(some, kind)
	}
	return some
}

// settle waits until nothing is left to do. What is left all the same is for the
// check to tell.
func (w *world) settle(ctx context.Context, say func(string, ...any)) error {
	deadline := time.Now().Add(drain)
	told := time.Now()
	for time.Now().Before(deadline) {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		results, done, err := w.idle(call)
		cancel()
		if err == nil && done {
			say("nothing is left to do: %d results", results)
			return nil
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			say("%d results, error %v", results, err)
		}
		if !pause(ctx, 500*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	say("not done within %s", drain)
	return nil
}

// keepDisk saves what is on the small disk where it is to be looked at.
func (w *world) keepDisk(wanted bool) error {
	if !wanted || w.disk == "" {
		return nil
	}
	if err := os.CopyFS(w.disk+"-disk", os.DirFS(w.disk)); err != nil {
		return fmt.Errorf("chaos: keep the disk: %w", err)
	}
	return nil
}

func (w *world) proxies() []*proxy {
	all := append([]*proxy(nil), w.vendor.proxies...)
	for _, n := range w.nats.nodes {
		all = append(all, n.proxy)
	}
	for _, n := range w.redis.nodes {
		all = append(all, n.proxy)
	}
	return all
}

// versions are those of all that took part.
func versions(ctx context.Context, program string) map[string]string {
	v := map[string]string{"go": runtime.Version(), "cpus": fmt.Sprint(runtime.NumCPU())}
	ask := func(name string, argv ...string) {
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
		if line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n"); err == nil {
			v[name] = line
		}
	}
	ask("redis", "redis-server", "--version")
	if fields := strings.Fields(v["redis"]); len(fields) > 2 {
		v["redis"] = strings.TrimPrefix(fields[2], "v=")
	}
	ask("revision", "git", "rev-parse", "--short", "HEAD")
	ask("vendstream", filepath.Clean(program), "version")
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, m := range build.Deps {
			if m.Path == "github.com/nats-io/nats-server/v2" {
				v["nats-server"] = m.Version
			}
		}
	}
	return v
}
