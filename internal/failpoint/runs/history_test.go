package runs

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/failpoint"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

const (
	account = "acme"
	ghost   = "ghost" // an account that nobody knows

	lease    = 2 * time.Second // the least that a consumer's ack wait can be
	attempts = 2               // retry.attempts
	// pauseFor is longer than a claim and an ack wait.
	pauseFor = "3s"
	// patience is how long a run may take. Nothing takes it unless something is broken.
	patience = 90 * time.Second
)

// request is a message that was acknowledged.
type request struct {
	account  string
	body     []byte
	sequence uint64
}

// history is one run: its streams, its vendor, its processes.
type history struct {
	rig      *rig
	prefix   string
	config   string // path
	subjects publisher.Subjects
	store    *publisher.Store
	claims   *dedupe.Store
	vendor   *simulator.Simulator
	web      *httptest.Server
	watchers sync.WaitGroup

	mu       sync.Mutex
	requests []request
	wrong    []error // what was seen on the way
	seen     map[string]bool
	zombie   bool // a process is paused in this history
	late     int  // see tooLate
	resumed  bool // the operator has let go of his account
}

func (r *rig) newHistory(ctx context.Context) (*history, error) {
	h := &history{rig: r, prefix: fmt.Sprintf("fp%d", r.serial.Add(1)), seen: map[string]bool{}}
	h.subjects = publisher.Subjects{Prefix: h.prefix}
	var err error
	if h.store, err = publisher.NewStore(r.nc, h.subjects); err != nil {
		return nil, err
	}
	h.claims = dedupe.New(r.keys, dedupe.Config{Prefix: h.prefix, Lease: lease, TTL: time.Hour})
	h.vendor, err = simulator.New(simulator.Config{
		Accounts: []simulator.Account{
			{Username: account, Password: "acme-secret", MerchantID: "1001"},
			{Username: broke, Password: "acme-secret"}, {Username: locked, Password: "acme-secret"}, {Username: operated, Password: "acme-secret"},
		},
		OpenFor:      simulator.Duration(300 * time.Millisecond),
		Transactions: simulator.Transactions{BearReference: true, FilterByReference: true, Receipts: true},
	})
	if err != nil {
		return nil, err
	}
	h.web = httptest.NewServer(h.watch(h.vendor))
	h.config, err = r.write(h.prefix+".yaml", fmt.Sprintf(`
nats:     {url: %q}
redis:    {url: %q}
http:     {addr: "127.0.0.1:0"}
log:      {level: info}
subjects: {prefix: %q}
dedupe:   {lease: %s}
retry:    {base: 20ms, max: 200ms, attempts: %d}
poller:   {schedule: [{until: 10s, every: 100ms}, {every: 500ms}], escalate_after: 60s}
vendor:   {timeout: 1s}
accounts:
  - {name: %s, base_url: %q, username: %s, password: acme-secret, channel_id: "7", merchant_id: "1001", purchase_limit: {requests: 2000, per: 1m}}
%s`, r.natsURL, r.redis, h.prefix, lease, attempts, account, h.web.URL+"/api/v1", account, h.resting()))
	if err != nil {
		return nil, err
	}
	_, err = broker.Ensure(ctx, r.js, broker.Topology{Subjects: h.subjects, Replicas: 1, Results: time.Hour, AckWait: lease, Accounts: accounts})
	return h, err
}

// resting are the accounts that are paused on the way, as the configuration has them.
func (h *history) resting() (text string) {
	for _, name := range accounts[1:] {
		text += fmt.Sprintf("  - {name: %s, base_url: %q, username: %s, password: acme-secret, channel_id: \"7\", purchase_limit: {requests: 0, per: 1m}, on_insufficient_balance: hold}\n",
			name, h.web.URL+"/api/v1", name)
	}
	return text
}

func (h *history) close() {
	h.web.CloseClientConnections()
	h.vendor.Close()
	h.web.Close()
	s := h.subjects
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = h.rig.remove(ctx, s.RequestsStream(), s.PendingStream(), s.ResultsStream(), s.DeadStream(), "KV_"+s.AccountsBucket()) // the rig ends with the test
}

// serve starts a vendstream with both roles.
func (h *history) serve(orders, point string) (*process, error) {
	return begin(exec.Command(h.rig.program, "serve", "--config", h.config), orders, point)
}

// publish puts a request on the stream as any other program would.
func (h *history) publish(ctx context.Context, account, body string, headers ...string) (uint64, error) {
	m := nats.NewMsg(h.subjects.Requests(account))
	m.Data = []byte(body)
	for i := 0; i+1 < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	ack, err := h.rig.js.PublishMsg(ctx, m)
	if err != nil {
		return 0, err
	}
	h.acknowledged(request{account, m.Data, ack.Sequence})
	return ack.Sequence, nil
}

func (h *history) acknowledged(r request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, r)
}

func (h *history) complain(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, fmt.Errorf(format, args...))
}

// outcome is what became of a run.
type outcome struct {
	recovery time.Duration // from the fault to the last end
	late     int
	hits     map[string]int // of the first process, where it was traced
}

var errNotReached = errors.New("the point was never come by")

// live runs one history: a process with a fault at a point, the n-th time that it
// comes by, and where that process is gone or stands still another that takes over.
func (h *history) live(ctx context.Context, point string, action failpoint.Action, n int) (out outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all []*process
	defer func() { err = conclude(all, err) }()
	h.zombie = action == failpoint.Pause
	if err := h.before(ctx); err != nil {
		return out, err
	}
	a, err := h.serve(orders(point, action, n), point)
	if err != nil {
		return out, err
	}
	all = append(all, a)
	publishing := make(chan error, 1)
	go func() { publishing <- h.ask(ctx) }()

	takeover := func() error {
		if action != failpoint.Die && action != failpoint.Pause {
			return nil // it has to see to it by itself
		}
		b, err := h.serve("", "")
		all = append(all, b)
		return err
	}
	published, done := false, false
	struck, exited := a.struck, a.exited
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done {
		select {
		case <-struck:
			if err := takeover(); err != nil {
				return out, err
			}
			struck = nil
		case err := <-publishing:
			if err != nil {
				return out, err
			}
			h.watchers.Wait()
			published = true
		case <-exited:
			if exited = nil; atStart(point) && (action == failpoint.Error || action == failpoint.Lose) && a.hasStruck() {
				// It cannot tell whether an account is paused, and does not start:
				// whoever supervises it tries again.
				b, err := h.serve("", "")
				all = append(all, b)
				if err != nil {
					return out, err
				}
				continue
			}
			if action != failpoint.Die {
				return out, errors.New("the process ended by itself")
			}
			if !a.hasStruck() {
				return out, errors.New("the process ended without a fault")
			}
		case <-tick.C:
			done = h.quiet(ctx, published)
		}
		if ctx.Err() != nil {
			return out, fmt.Errorf("not finished in %s: %s", patience, h.unfinished())
		}
	}
	if point != "" && !a.hasStruck() {
		return out, errNotReached
	}
	if action == failpoint.Pause {
		select {
		case <-a.woken:
		case <-ctx.Done():
			return out, errors.New("the process was never woken")
		}
		// What the zombie still does, it does now.
		time.Sleep(500 * time.Millisecond)
		for !h.quiet(ctx, true) && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
	}
	return h.conclude(ctx, a, point)
}

// atStart reports whether an error at the point keeps a process from starting.
func atStart(point string) bool { return strings.HasPrefix(point, "pauses.store.load:") }

// conclude measures and checks. a is the process that had the fault.
func (h *history) conclude(ctx context.Context, a *process, point string) (out outcome, err error) {
	a.mu.Lock()
	out.hits = a.hits
	struckAt := a.at
	a.mu.Unlock()
	h.mu.Lock()
	out.late = h.late
	h.mu.Unlock()
	last, err := h.lastEnd(ctx)
	if err != nil {
		return out, err
	}
	if point != "" && last.After(struckAt) {
		out.recovery = last.Sub(struckAt)
	}
	return out, h.check(ctx)
}

// conclude ends all processes of a run and adds what they said to its error.
func conclude(all []*process, err error) error {
	for _, p := range all {
		p.kill()
		err = errors.Join(err, p.fault())
	}
	if err != nil && !errors.Is(err, errNotReached) {
		for i, p := range all {
			err = fmt.Errorf("%w\nlog of process %d:\n%s", err, i, p.log())
		}
	}
	return err
}

// quiet reports whether nothing is left to do.
func (h *history) quiet(ctx context.Context, published bool) bool {
	if !published {
		return false
	}
	open, err := h.open(ctx)
	if err != nil || open != "" {
		return false
	}
	for _, r := range h.asked() {
		if r.account == ghost {
			if dead, err := h.store.IsDead(ctx, ghost, r.sequence); err != nil || !dead {
				return false
			}
		}
	}
	return true
}

// open says what every consumer still has to do, or "".
func (h *history) open(ctx context.Context) (text string, err error) {
	one := func(stream, name string, may bool) {
		c, opened := h.rig.js.Consumer(ctx, stream, name)
		if opened != nil {
			if !may || !errors.Is(opened, jetstream.ErrConsumerNotFound) {
				err = errors.Join(err, fmt.Errorf("%s/%s: %w", stream, name, opened))
			}
			return
		}
		if i := c.CachedInfo(); i.NumPending+uint64(i.NumAckPending) > 0 {
			text += fmt.Sprintf("%s/%s: %d pending, %d unacknowledged; ", stream, name, i.NumPending, i.NumAckPending)
		}
	}
	for _, name := range accounts {
		one(h.subjects.RequestsStream(), name, false)
		one(h.subjects.PendingStream(), name, false)
	}
	one(h.subjects.RequestsStream(), broker.LowName(account), true)
	return text, err
}

func (h *history) asked() []request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests
}

// lastEnd is when the last result or dead letter was stored, but for the purchase
// that the vendor itself keeps open for longer than a takeover takes, and those
// that wait for the end of a pause.
func (h *history) lastEnd(ctx context.Context) (time.Time, error) {
	var last time.Time
	for _, name := range []string{h.subjects.ResultsStream(), h.subjects.DeadStream()} {
		ends, err := h.stored(ctx, name)
		if err != nil {
			return last, err
		}
		for _, m := range ends {
			if h.subjects.AccountOf(m.Subject) == account && m.Subject != h.subjects.Result(account, h.ref(longOpen)) && m.Time.After(last) {
				last = m.Time
			}
		}
	}
	return last, nil
}

// unfinished says what is open, for the message of a failed run.
func (h *history) unfinished() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	text, err := h.open(ctx)
	if err != nil {
		text += err.Error() + "; "
	}
	if err := h.check(ctx); err != nil {
		text += err.Error()
	}
	return text
}
