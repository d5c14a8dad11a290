package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/simulator"
)

// errSkipped is wrapped where the machine does not allow a fault.
var errSkipped = errors.New("not possible on this machine")

// wholeWithin is how long something may take to be whole again after a fault. It
// goes on all the same when it takes longer: to wait is not what is tested.
const wholeWithin = 40 * time.Second

// storm brings the faults of a schedule about.
type storm struct {
	world *world
	log   func(format string, args ...any)

	groups map[string]*sync.Mutex
	mu     sync.Mutex
	done   []Injected
}

func newStorm(w *world, log func(string, ...any)) *storm {
	s := &storm{world: w, log: log, groups: map[string]*sync.Mutex{}}
	for _, kind := range Kinds() {
		s.groups[kind.group()] = &sync.Mutex{}
	}
	return s
}

// run brings every fault about at its time and returns when all are over. It ends
// early where ctx does; what is broken then is not mended.
func (s *storm) run(ctx context.Context, schedule []Planned) {
	begun := time.Now()
	var running sync.WaitGroup
	defer running.Wait()
	for _, planned := range schedule {
		if !pause(ctx, time.Until(begun.Add(planned.At))) {
			return
		}
		running.Go(func() {
			group := s.groups[planned.Kind.group()]
			group.Lock()
			defer group.Unlock()
			s.strike(ctx, planned)
		})
	}
}

func (s *storm) strike(ctx context.Context, planned Planned) {
	if ctx.Err() != nil {
		return
	}
	in := Injected{Number: planned.Number, Kind: planned.Kind, At: time.Now()}
	err := s.world.strike(ctx, planned, &in)
	in.Whole = time.Now()
	switch {
	case errors.Is(err, errSkipped):
		in.Skipped, in.Err = true, err.Error()
	case err != nil:
		in.Err = err.Error()
	}
	s.log("fault %d: %s %s, %.1f s to whole%s", in.Number, in.Kind, in.Target, in.Whole.Sub(in.At).Seconds(), suffix(in.Err))
	s.mu.Lock()
	s.done = append(s.done, in)
	s.mu.Unlock()
}

func suffix(err string) string {
	if err == "" {
		return ""
	}
	return ": " + err
}

// pause waits; false where ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// strike brings one fault about and heals it. in gets its target and the time at
// which it struck.
func (w *world) strike(ctx context.Context, p Planned, in *Injected) error {
	switch p.Kind {
	case KillConsumer, KillPoller, StopConsumer, StopPoller:
		return w.strikeDaemon(ctx, p, in)
	case KillNATSLeader, StopNATSLeader, KillNATS:
		return w.strikeNATS(ctx, p, in)
	case KillRedisPrimary, StopRedisPrimary, KillRedisReplica:
		return w.strikeRedis(ctx, p, in)
	case FlushRedis:
		in.Target, in.At = "primary", time.Now()
		return again(ctx, wholeWithin, "FLUSHALL", w.redis.flush)
	case CutNATS, SlowNATS, CutRedis, SlowRedis, CutVendor, SlowVendor:
		return w.strikeConnections(ctx, p, in)
	case FaultyVendor:
		return w.strikeVendor(ctx, p, in)
	case FullResults:
		return w.fillResults(ctx, p, in)
	case FullDisk:
		return w.fillDisk(ctx, p, in)
	default:
		return fmt.Errorf("chaos: no such fault: %s", p.Kind)
	}
}

func (w *world) strikeDaemon(ctx context.Context, p Planned, in *Injected) error {
	role := "consumer"
	if p.Kind == KillPoller || p.Kind == StopPoller {
		role = "poller"
	}
	some := named(w.daemons, role)
	d := some[p.Pick%uint64(len(some))]
	d.busy.Lock() // one fault at a time for one process
	defer d.busy.Unlock()
	in.Target, in.At = d.name, time.Now()
	if p.Kind == KillConsumer || p.Kind == KillPoller {
		d.kill()
		pause(ctx, p.For)
		return d.start()
	}
	if !d.signal(freeze) {
		return errors.New("it was not running")
	}
	pause(ctx, p.For)
	d.held(in.At, time.Now())
	if !d.signal(thaw) {
		return errors.New("it ended while it was held still")
	}
	return nil
}

// The streams whose leaders are struck.
func led() []string {
	return []string{subjects.RequestsStream(), subjects.PendingStream(), subjects.ResultsStream(), subjects.DeadStream()}
}

func (w *world) strikeNATS(ctx context.Context, p Planned, in *Injected) error {
	node := w.nats.nodes[p.Pick%uint64(len(w.nats.nodes))]
	if p.Kind != KillNATS {
		stream := led()[p.Pick%3]
		if err := again(ctx, wholeWithin, "the leader of "+stream, func(ctx context.Context) (err error) {
			node, err = w.nats.leader(ctx, stream)
			return err
		}); err != nil {
			return err
		}
	}
	in.Target, in.At = node.name, time.Now()
	if err := interrupt(ctx, &node.process, p.Kind == StopNATSLeader, p.For); err != nil {
		return err
	}
	return w.nats.healthy(ctx, led(), wholeWithin)
}

func (w *world) strikeRedis(ctx context.Context, p Planned, in *Injected) error {
	find := w.redis.primary
	if p.Kind == KillRedisReplica {
		find = w.redis.replica
	}
	var node *redisNode
	if err := again(ctx, wholeWithin, "the Redis to strike", func(ctx context.Context) (err error) {
		node, err = find(ctx)
		return err
	}); err != nil {
		return err
	}
	in.Target, in.At = node.name, time.Now()
	if err := interrupt(ctx, &node.process, p.Kind == StopRedisPrimary, p.For); err != nil {
		return err
	}
	return w.redis.healthy(ctx, wholeWithin)
}

// strikeConnections cuts or slows what passes through some of the proxies.
func (w *world) strikeConnections(ctx context.Context, p Planned, in *Injected) error {
	var proxies []*proxy
	switch p.Kind {
	case CutNATS, SlowNATS:
		for _, n := range w.nats.nodes {
			proxies = append(proxies, n.proxy)
		}
	case CutRedis, SlowRedis:
		for _, n := range w.redis.nodes {
			proxies = append(proxies, n.proxy)
		}
	default:
		for _, d := range w.daemons {
			proxies = append(proxies, d.vendor)
		}
	}
	slow := weather{delay: 30 * time.Millisecond, jitter: 150 * time.Millisecond}
	how := weather{cut: 0.05}
	in.Target = "in the middle of what passes"
	switch {
	case p.Kind == SlowNATS || p.Kind == SlowRedis:
		how, in.Target = slow, "all"
	case p.Kind == SlowVendor:
		how, in.Target = weather{delay: 200 * time.Millisecond, jitter: 900 * time.Millisecond}, "all"
	case p.Pick%3 == 0:
		how, in.Target = weather{}, "all at once"
	case p.Kind == CutVendor:
		how = weather{cut: 0.3}
	}
	in.At = time.Now()
	for _, one := range proxies {
		one.set(how)
		if how == (weather{}) {
			one.cutAll()
		}
	}
	pause(ctx, p.For)
	for _, one := range proxies {
		one.set(weather{})
	}
	if how.delay > 0 {
		for _, d := range w.daemons {
			d.held(in.At, time.Now()) // it may act on what it saw a while ago
		}
	}
	return nil
}

// bursts are what a vendor in trouble answers to purchase calls.
var bursts = []struct {
	name string
	step simulator.Step
}{
	{"503", simulator.Step{Status: 503}},
	{"500 after", simulator.Step{Status: 500, Stored: simulator.StoredCompleted}},
	{"reset after", simulator.Step{Answer: simulator.AnswerReset, Stored: simulator.StoredCompleted}},
	{"429", simulator.Step{Status: 429}},
	{"hang after", simulator.Step{Answer: simulator.AnswerHang, Stored: simulator.StoredCompleted}},
	{"PENDING", simulator.Step{Stored: simulator.StoredPending, For: simulator.Duration(3 * time.Second)}},
	{"reset after PENDING", simulator.Step{Answer: simulator.AnswerReset, Stored: simulator.StoredPending, For: simulator.Duration(3 * time.Second)}},
	{"slow", simulator.Step{Latency: simulator.Duration(time.Second)}},
	{"1204", simulator.Step{Code: "1204"}},
}

func (w *world) strikeVendor(ctx context.Context, p Planned, in *Injected) error {
	burst := bursts[p.Pick%uint64(len(bursts))]
	in.Target, in.At = burst.name, time.Now()
	defer w.vendor.simulator.ClearFaults()
	var faults []simulator.Fault
	for _, account := range served {
		faults = append(faults, simulator.Fault{
			Match: simulator.Match{Prefix: ordinary(account)}, Times: -1, Steps: []simulator.Step{burst.step},
		})
	}
	if p.Pick%2 == 0 { // and to who asks after them
		faults = append(faults, simulator.Fault{
			Match: simulator.Match{Endpoint: simulator.EndpointTransactions},
			Times: -1, Steps: []simulator.Step{{Status: 503}},
		})
	}
	if err := w.vendor.simulator.Order(faults...); err != nil {
		return err
	}
	pause(ctx, p.For)
	return nil
}

// interrupt freezes a server for a time, or kills it and starts it again after.
func interrupt(ctx context.Context, server *process, freezes bool, d time.Duration) error {
	if !freezes {
		server.kill()
		pause(ctx, d)
		return server.start()
	}
	if !server.signal(freeze) {
		return errors.New("it was not running")
	}
	pause(ctx, d)
	server.signal(thaw)
	return nil
}
