package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/vendstream/vendstream/publisher"
)

// PollerOptions are what RunPoller needs.
type PollerOptions struct {
	Study
	Pending  []int         // open purchases
	Due      []string      // where it stands when each is due: DueInNATS, DueInRedis
	Every    time.Duration // from one poll of each to the next
	During   time.Duration // how long polls are watched; 0 is a period
	InFlight int           // polls under way at once
	Latency  time.Duration // of the vendor
	// Lead is the time to put the hand-offs on the stream and to let the poller take
	// them up, before the first is due; 0 is by their number.
	Lead time.Duration
}

// Where it may stand when a purchase is due (poller.due_index).
const (
	DueInNATS  = "nats"
	DueInRedis = "redis"
)

// Measures of the poller.
const (
	measureTaken         = "taken_up"
	measurePolls         = "polls"
	measureEarly         = "early"
	measureOverdue       = "overdue"
	measureLateP50       = "late_p50"
	measureLateP99       = "late_p99"
	measureLateMax       = "late_max"
	measurePollCPU       = "cpu_poller"
	measurePollCPUNATS   = "cpu_nats"
	measurePollCPURedis  = "cpu_redis"
	measurePollMemory    = "memory_poller"
	measurePollMemNATS   = "memory_nats"
	measurePollMemRedis  = "memory_redis"
	measureSettle        = "settle"
	measureSettleBeyond  = "settle_beyond"
	measureSettledStored = "settled"
)

var pollMeasures = []measure{
	{measureTaken, "s", 1},   // from the poller's start until it had put back all hand-offs
	{measurePolls, "1/s", 1}, // during the time that polls were watched
	{measureEarly, "polls", 0},
	{measureOverdue, "purchases", 0}, // at the end of that time, by more than a second
	{measureLateP50, "ms", 0},
	{measureLateP99, "ms", 0},
	{measureLateMax, "ms", 0},
	{measurePollCPU, "% of a core", 1},
	{measurePollCPUNATS, "% of a core", 1},
	{measurePollCPURedis, "% of a core", 1},
	{measurePollMemory, "MB", 1}, // at the end of that time
	{measurePollMemNATS, "MB", 1},
	{measurePollMemRedis, "MB", 1},
	{measureSettle, "s", 1},        // from the moment at which the vendor settled all
	{measureSettleBeyond, "s", 1},  // of that, more than the schedule takes
	{measureSettledStored, "%", 1}, // results stored when the wait for them ended
}

// Bounds of a run.
const (
	// takeUp is how many hand-offs a second are counted on to be stored and taken up.
	takeUp = 3000
	// takeUpLeast is the least time for it.
	takeUpLeast = 5 * time.Second
	// storing is how many results a second are stored at least.
	storing = 500
	// handoffRoom is more than a hand-off and its result take on disk, in bytes.
	handoffRoom = 6 << 10
)

func (o PollerOptions) lead(pending int) time.Duration {
	if o.Lead > 0 {
		return o.Lead
	}
	return takeUpLeast + time.Duration(float64(pending)/takeUp*float64(time.Second))
}

// patience is how long the results of all may take.
func (o PollerOptions) patience(pending int) time.Duration {
	return 2*o.Every + stuckWait + time.Duration(pending/storing)*time.Second
}

// RunPoller measures how late the poller polls, and how long it takes to store the
// results of all, by how many purchases are open, and prints the report.
func RunPoller(ctx context.Context, o PollerOptions) (failed error) {
	if o.During == 0 {
		o.During = o.Every
	}
	most := 0
	for _, n := range o.Pending {
		most = max(most, n)
	}
	p, leave, err := o.begin(ctx, int64(most)*handoffRoom, true)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, leave()) }()
	report := cases{measures: pollMeasures}
	name := func(n int, in string) string { return fmt.Sprintf("%d pending, %s", n, in) }
	for round := range o.Rounds {
		for _, n := range o.Pending {
			for _, in := range o.Due {
				o.say("round %d of %d: %d pending, due in %s, polled every %s, some %s in all", round+1, o.Rounds, n, in, o.Every,
					(o.lead(n) + o.During + o.Every).Round(time.Second))
				f, err := o.run(ctx, p, n, in)
				if ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				if err != nil {
					return report.spoiled(err, o.Stdout, o.Format)
				}
				to := ""
				if n != o.Pending[0] {
					to = name(o.Pending[0], in)
				}
				report.add(name(n, in), to, f)
			}
		}
	}
	return report.print(o.Stdout, o.Format)
}

// polling is a poller under way, with servers of its own.
type polling struct {
	PollerOptions
	running
	n    int
	due  string
	base time.Time
}

// run measures one number of open purchases.
func (o PollerOptions) run(ctx context.Context, p place, n int, in string) (_ figures, failed error) {
	dir := filepath.Join(p.dir, "world")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { failed = errors.Join(failed, os.RemoveAll(dir)) }()
	w, err := newWorld(ctx, dir, p.self)
	if err != nil {
		return nil, err
	}
	defer w.close()
	r := polling{PollerOptions: o, n: n, due: in, running: running{one: one{prefix: "poll", binary: p.binary, point: point{o.Latency, o.InFlight}}, w: w, client: plainClient()}}
	if err := w.prepare(ctx, r.prefix); err != nil {
		return nil, err
	}
	r.base = time.Now().Add(o.lead(n))
	spread := spreadOut{n, o.Every, r.base}
	if err := w.handOver(ctx, r.prefix, spread, func(i int) { o.say("  %d of %d hand-offs stored", i, n) }); err != nil {
		return nil, err
	}
	r.vendor, r.url, err = beginServer(ctx, "the vendor", w.file("vendor.log"), p.self, "bench", "vendor", "--latency", o.Latency.String(),
		"--pending", fmt.Sprint(n), "--every", o.Every.String(), "--base", fmt.Sprint(r.base.UnixNano()))
	if err != nil {
		return nil, err
	}
	defer r.kill()
	f := figures{}
	for _, step := range []func(context.Context, figures) error{r.begin, r.watchPolls, r.settleAll} {
		if err := step(ctx, f); err != nil {
			return nil, err
		}
	}
	return f, r.finish()
}

// begin starts the poller and waits until it has taken up all hand-offs, and the
// first poll is due.
func (r *polling) begin(ctx context.Context, f figures) error {
	config, err := r.w.configurePoller(r.prefix, r.url, r.inFlight, r.Every, r.due == DueInRedis)
	if err != nil {
		return err
	}
	if r.program, err = begin("the poller", r.w.file("poller.log"), nil, r.binary, "poller", "--config", config); err != nil {
		return err
	}
	told, limit := time.Now(), time.Now().Add(2*r.lead(r.n)+stuckWait)
	for {
		waiting, err := r.waiting(ctx)
		if err != nil {
			return errors.Join(err, r.program.ended())
		}
		f[measureTaken] = time.Since(r.program.begun).Seconds()
		if waiting == 0 {
			break
		}
		if time.Now().After(limit) {
			// Redeliveries go before new messages: a poller that cannot keep up never gets there.
			r.say("  WARNING: %d of %d hand-offs were never delivered: the poller is too slow for so many", waiting, r.n)
			break
		}
		if time.Since(told) > progressPeriod {
			told = time.Now()
			r.say("  %d of %d hand-offs taken up", r.n-waiting, r.n)
		}
		if err := errors.Join(r.program.ended(), sleep(ctx, 100*time.Millisecond)); err != nil {
			return err
		}
	}
	if late := time.Since(r.base); late > 0 {
		r.say("  WARNING: it took them up %s too late, so that first polls come closer together than they should: give more --lead", late.Round(time.Millisecond))
	}
	return sleep(ctx, time.Until(r.base))
}

// waiting is how many hand-offs the poller has not taken up.
func (r *polling) waiting(ctx context.Context) (int, error) {
	if r.due == DueInRedis {
		return r.w.unindexed(ctx, r.prefix, r.n)
	}
	return r.w.undelivered(ctx, r.prefix)
}

// watchPolls lets the time go by in which polls are looked at.
func (r *polling) watchPolls(ctx context.Context, f figures) error {
	// What fell due before is not held against the poller.
	if err := r.get(ctx, r.url+"/forget", func(io.Reader) error { return nil }); err != nil {
		return err
	}
	before, err := r.sample()
	if err != nil {
		return err
	}
	began, told := before.at, before.at
	for end := began.Add(r.During); time.Now().Before(end); {
		if err := sleep(ctx, min(time.Second, max(0, time.Until(end)))); err != nil {
			return err
		}
		if err := errors.Join(r.program.ended(), r.vendor.ended(), r.w.nats.ended()); err != nil {
			return err
		}
		if time.Since(told) > progressPeriod {
			told = time.Now()
			r.say("  polled for %s of %s", time.Since(began).Round(time.Second), r.During)
		}
	}
	// Before the figures, whose reading takes the vendor a moment.
	s, err := r.sample()
	if err != nil {
		return err
	}
	took := s.at.Sub(began).Seconds()
	for name, which := range map[string]int{measurePollCPU: ofProgram, measurePollCPUNATS: ofNATS, measurePollCPURedis: ofRedis} {
		f[name] = 100 * (s.cpu[which] - before.cpu[which]).Seconds() / took
	}
	for name, process := range map[string]*process{measurePollMemory: r.program, measurePollMemNATS: r.w.nats, measurePollMemRedis: r.w.redis} {
		used, err := memoryOf(process.cmd.Process.Pid)
		if err != nil {
			return err
		}
		f[name] = megabytes(used)
	}
	var stats PollStats
	if err := r.get(ctx, r.url+"/polls", func(body io.Reader) error { return json.NewDecoder(body).Decode(&stats) }); err != nil {
		return err
	}
	f[measurePolls], f[measureEarly], f[measureOverdue] = float64(stats.Polls)/took, float64(stats.Early), float64(stats.Overdue)
	f[measureLateP50], f[measureLateP99], f[measureLateMax] = milliseconds(stats.P50), milliseconds(stats.P99), milliseconds(stats.Max)
	return nil
}

// settleAll has the vendor settle all purchases and waits for their results.
func (r *polling) settleAll(ctx context.Context, f figures) error {
	if err := r.get(ctx, r.url+"/settle", func(io.Reader) error { return nil }); err != nil {
		return err
	}
	stream := publisher.Subjects{Prefix: r.prefix}.ResultsStream()
	began, told := time.Now(), time.Now()
	for results := 0; ; {
		var err error
		if results, err = r.w.stored(ctx, stream); err != nil {
			return err
		}
		f[measureSettledStored] = 100 * float64(results) / float64(r.n)
		if results >= r.n {
			f[measureSettle] = time.Since(began).Seconds()
			f[measureSettleBeyond] = f[measureSettle] - r.Every.Seconds()
			return nil
		}
		if time.Since(began) > r.patience(r.n) {
			r.say("  WARNING: %d of %d results are stored after %s: no longer waited for", results, r.n, time.Since(began).Round(time.Second))
			return nil
		}
		if time.Since(told) > progressPeriod {
			told = time.Now()
			r.say("  %d of %d results stored", results, r.n)
		}
		if err := errors.Join(r.program.ended(), sleep(ctx, 50*time.Millisecond)); err != nil {
			return err
		}
	}
}
