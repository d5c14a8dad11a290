package simulation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/vendor"
	"github.com/vendstream/vendstream/poller"
	"github.com/vendstream/vendstream/publisher"
)

const (
	lease         = 60 * time.Second
	vendorTimeout = 30 * time.Second
	attempts      = 3
)

// world is one history: streams, Redis, vendor, and the processes that come and go.
type world struct {
	fate    *fate
	streams *streams
	redis   *redisModel
	vendor  *vendorModel
	pauses  *bucket

	running sync.WaitGroup
	mu      sync.Mutex
	serial  map[string]int
	alive   map[string]*process // by role
	asked   map[string]map[string]bool
	acked   []asked
	calling map[string]int
	broken  []breach
}

// asked is a request that was acknowledged to who submitted it.
type asked struct{ reference, value string }

// breach is a broken promise, and the reference it is about.
type breach struct{ reference, text string }

func newWorld(seed uint64) *world {
	f := newFate(seed)
	return &world{
		fate:    f,
		streams: newStreams(topology(ackWait)),
		redis:   newRedis(),
		vendor:  newVendor(f),
		pauses:  newBucket(),
		serial:  map[string]int{},
		alive:   map[string]*process{},
		asked:   map[string]map[string]bool{},
		calling: map[string]int{},
	}
}

func (w *world) breach(reference, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, breach{reference, fmt.Sprintf(format, args...)})
	w.fate.note("world", "BROKEN", reference, w.broken[len(w.broken)-1].text)
}

func newBackOff() backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMaxInterval(time.Minute),
		backoff.WithMaxElapsedTime(0), backoff.WithRandomizationFactor(0))
}

// process makes a process of a role, which takes the last one's place.
func (w *world) process(role string, die context.CancelFunc) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serial[role]++
	p := &process{fate: w.fate, name: fmt.Sprintf("%s-%d", role, w.serial[role]), die: die}
	w.alive[role] = p
	return p
}

var (
	account  = purchase.Account{Name: "acme", ChannelID: channel}
	schedule = poller.Schedule{{Until: time.Minute, Every: 5 * time.Second}, {Until: 5 * time.Minute, Every: 30 * time.Second}, {Every: 5 * time.Minute}}
)

// start runs a process of a role until it dies or ctx ends.
func (w *world) start(ctx context.Context, role string) {
	ctx, die := context.WithCancel(ctx)
	p := w.process(role, die)
	w.running.Go(func() {
		defer die()
		defer p.kill("ended")
		nc, err := (&link{process: p, streams: w.streams}).connect()
		if err != nil {
			return
		}
		store, err := publisher.NewStore(nc, subjects)
		if err != nil {
			panic(err)
		}
		client, err := vendor.New(vendor.Config{
			Account: "acme", BaseURL: "http://vendor", Username: "u", Password: "p", Timeout: vendorTimeout,
			Transport: &transport{process: p, vendor: w.vendor, posting: w.posting},
		})
		if err != nil {
			panic(err)
		}
		defer client.Close()
		board := pause.NewBoard(&pauses{p, w.pauses}, func(error) {})
		if err := board.Load(ctx, []string{account.Name}); err != nil {
			return
		}
		var watching sync.WaitGroup
		watching.Go(func() { _ = board.Run(ctx) })
		defer func() { die(); watching.Wait() }()
		shared := board.Switch(account.Name)
		var hold func(pause.Cause)
		if w.fate.weather.hold {
			hold = shared.Trip
		}
		records := &claims{p, w.redis}
		if role[0] == 'c' {
			_ = consumer.New(consumer.Config{
				Account: account, Owner: p.name, Slots: 4, Lease: lease, Attempts: attempts, BackOff: newBackOff,
				KeepAlive: ackWait / 3, Grace: vendorTimeout + 3*time.Second, Since: time.Now().Add(-time.Hour),
				Source: w.prioritized(p), Vendor: client, Gate: newGate(shared, false), Hold: hold,
				Claims: records, Leases: records, Records: records, Ledger: store, Writer: store, Dead: store,
			}).Run(ctx)
			return
		}
		_ = poller.New(poller.Config{
			Account: "acme", Owner: p.name, Slots: 4, Attempts: attempts, BackOff: newBackOff, EscalateAfter: 5 * time.Minute,
			Schedule: schedule, Bundle: true, PostLease: 2 * vendorTimeout, KeepAlive: ackWait / 3, Grace: vendorTimeout + 3*time.Second,
			Source: &source{process: p, stream: w.streams.pending, wait: 10 * time.Minute, acked: w.ackedHandoff, brief: w.pauses.isOn}, Vendor: client, Gate: newGate(shared, true), Hold: hold,
			Records: records, Ledger: store, Writer: store, Dead: store,
		}).Run(ctx)
	})
}

var roles = []string{"consumer-a", "consumer-b", "poller-a", "poller-b"}

// revive starts again what has died.
func (w *world) revive(ctx context.Context) {
	for _, role := range roles {
		w.mu.Lock()
		p := w.alive[role]
		w.mu.Unlock()
		if p == nil || p.isDead() {
			w.start(ctx, role)
		}
	}
}

// storm is what befalls the world beside single effects, until ctx ends.
func (w *world) storm(ctx context.Context) {
	f := w.fate
	for n := 0; ; n++ {
		d := newDice(f.seed, "storm", fmt.Sprint(n))
		select {
		case <-ctx.Done():
			return
		case <-time.After(d.upTo(30 * time.Second)):
		}
		long := d.upTo(90 * time.Second)
		what := d.intn(7)
		if ![]bool{f.weather.forgets, f.weather.jumps, f.weather.outages, f.weather.full, f.weather.pauses, f.weather.resets, f.weather.deaths > 0}[what] {
			continue
		}
		switch what {
		case 0:
			f.note("world", "Redis is emptied", "", "")
			w.redis.Flush()
		case 1:
			ahead := time.Duration(d.intn(600)-300) * time.Second
			f.note("world", "Redis' clock jumps", "", ahead.String())
			w.redis.ahead.Store(int64(ahead))
		case 2:
			away := []string{"redis", "nats", "vendor"}[d.intn(3)]
			f.note("world", away+" is away", "", long.String())
			f.takeAway(away, long)
		case 3:
			s := w.streams.all[d.intn(4)]
			f.note("world", "full: "+short(s.config.Name), "", long.String())
			s.setFull(true)
			time.AfterFunc(long, func() { s.setFull(false) })
		case 4, 6:
			w.mu.Lock()
			p := w.alive[roles[d.intn(len(roles))]]
			w.mu.Unlock()
			switch {
			case p == nil:
			case what == 4:
				f.note("world", "stopped", p.name, (2 * long).String())
				p.stop(2 * long)
			case d.percent(50):
				f.note("world", "asked to end", p.name, "")
				p.die()
			default:
				p.kill("at any moment")
			}
		case 5:
			f.note("world", "a consumer begins anew", "", "")
			w.streams.requests.reset()
		}
	}
}

// lose removes results, as the end of their retention does, and has their
// requests submitted once more: those of references that were used for one
// purchase only, as the dead letters of the others stay.
func (w *world) lose() {
	for _, s := range w.streams.all {
		s.setFull(false)
	}
	for _, m := range w.streams.results.there() {
		reference := referenceOf(m.subject)
		if len(w.asked[reference]) > 1 || !newDice(w.fate.seed, "lose", reference).percent(20) {
			continue
		}
		w.fate.note("world", "result removed", reference, "")
		w.streams.results.remove(m.sequence)
		for _, r := range w.streams.requests.there() {
			request, err := purchase.Parse(r.body, account)
			if err == nil && request.Reference == reference {
				_, _, _ = w.streams.requests.publish(r.subject, nil, r.body)
				break
			}
		}
	}
}

func referenceOf(subject string) string {
	at := len(subject) - 1
	for at > 0 && subject[at-1] != '.' {
		at--
	}
	reference, err := purchase.FromToken(subject[at:])
	if err != nil {
		panic(err)
	}
	return reference
}
