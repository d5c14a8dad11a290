package poller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/dedupe/dedupetest"
	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

const ackWait = 60 * time.Second

var errInjected = errors.New("test: an effect failed")

type fault uint8

const (
	works fault = iota
	fails       // nothing was done
	lost        // it was done, and the answer was lost
)

var schedule = Schedule{{Until: time.Minute, Every: 5 * time.Second}, {Until: 5 * time.Minute, Every: 30 * time.Second}, {Every: 5 * time.Minute}}

// message is one hand-off on the pending stream.
type message struct {
	worker.Delivery
	visible time.Time
	acked   bool
	again   []time.Duration
}

// world is everything around one account's poller, in memory. It implements all
// of the poller's ports and writes down what is asked of them, in order.
type world struct {
	t      *testing.T
	redis  *dedupetest.Memory
	config Config
	began  time.Time

	mu       sync.Mutex
	effects  []string // those that failed end in "!"
	faults   map[string][]fault
	hooks    map[string]func()
	looks    []purchase.Outcome // answers of /transactions; the last is repeated
	posts    []purchase.Outcome // answers to purchase calls; the last is repeated
	asked    []string           // transactionId/reference
	polls    []time.Duration    // since the world began
	bodies   []string           // what was posted
	messages []*message
	results  map[string]purchase.Result
	dead     map[uint64]publisher.DeadLetter
	original publisher.DeadLetter
	stale    bool // reads are answered by a leader that is one no longer
	events   []Event
	reports  []error
}

func newBackOff() backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0), backoff.WithMaxInterval(time.Minute), backoff.WithMaxElapsedTime(0))
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, redis: dedupetest.NewMemory(time.Minute, 168*time.Hour), began: time.Now(),
		faults: map[string][]fault{}, hooks: map[string]func(){},
		results: map[string]purchase.Result{}, dead: map[uint64]publisher.DeadLetter{},
	}
	w.config = Config{
		Account: "acme", Owner: "one", Slots: 4, Schedule: schedule, EscalateAfter: 5 * time.Minute, Attempts: 3,
		BackOff: newBackOff, PostLease: time.Minute, KeepAlive: ackWait / 3, Grace: time.Minute,
		Source: w, Vendor: w, Gate: gate.New(gate.Config{BackOff: newBackOff, Probe: 8 * time.Second}),
		Records: w, Ledger: w, Writer: w, Dead: w, Observer: w,
		Report: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reports = append(w.reports, err)
		},
	}
	return w
}

// bubble runs a test of a world on virtual time.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func (w *world) start() (p *Poller, stop func()) {
	p = New(w.config)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return p, func() {
		w.settle()
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
}

func (w *world) run(d time.Duration) {
	_, stop := w.start()
	time.Sleep(d)
	stop()
}

// pass lets time pass, until all that happens in it has happened. What the test
// has read before comes before it, and what it reads after, after it.
func (w *world) pass(d time.Duration) {
	w.settle()
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
}

// once does something right before the next effect of a name.
func (w *world) once(effect string, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hooks[effect] = func() {
		w.mu.Lock()
		delete(w.hooks, effect)
		w.mu.Unlock()
		f()
	}
}

// do is one effect: written down, then carried out as its fault has it.
func (w *world) do(name string, f func()) error {
	w.mu.Lock()
	hook, what := w.hooks[name], works
	if left := w.faults[name]; len(left) > 0 {
		what, w.faults[name] = left[0], left[1:]
	}
	w.mu.Unlock()
	if hook != nil {
		hook()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if what != fails {
		f()
	}
	if what != works {
		w.effects = append(w.effects, name+"!")
		return fmt.Errorf("%s: %w", name, errInjected)
	}
	w.effects = append(w.effects, name)
	return nil
}

// writes are the effects so far, without reads and retries.
func (w *world) writes() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(w.effects), func(name string) bool {
		return strings.HasPrefix(name, "read") || name == "retry"
	})
	return strings.Join(kept, ", ")
}

func (w *world) count(name string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, effect := range w.effects {
		if effect == name {
			n++
		}
	}
	return n
}

func (w *world) seen(kind EventKind) (found []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func body(amount string) string {
	return fmt.Sprintf(`{"productCode":"GAM-XBX-001","amount":%s,"paymentMethod":"cash","merchantReference":"ref"}`, amount)
}

func (w *world) request(amount string) *purchase.Request {
	r, err := purchase.Parse([]byte(body(amount)), purchase.Account{Name: "acme", ChannelID: "7"})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// open puts a hand-off on the stream, submitted now.
func (w *world) open(state purchase.OpenState, transactionID string) *message {
	now := time.Now()
	h := w.request("50").HandOver(purchase.Outcome{TransactionID: transactionID}, purchase.Submission{
		Attempts: 1, RequestSequence: 31, RequestedAt: now.Add(-10 * time.Second), SubmittedAt: now,
	})
	h.State = state
	_, _ = w.redis.MarkPending(context.Background(), w.key(), h.RequestDigest, transactionID, 1)
	return w.add(h)
}

func (w *world) add(h purchase.Handoff) *message {
	raw, err := h.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	now := time.Now()
	m := &message{Delivery: worker.Delivery{Body: raw, Sequence: uint64(len(w.messages) + 1), Time: now}, visible: now}
	w.messages = append(w.messages, m)
	return m
}

func (w *world) key() dedupe.Key { return dedupe.Key{Account: "acme", Reference: "ref"} }

// newest is the hand-off that is still there.
func (w *world) newest() (*purchase.Handoff, uint64) {
	for i := len(w.messages) - 1; i >= 0; i-- {
		if m := w.messages[i]; !m.acked {
			h := new(purchase.Handoff)
			if err := json.Unmarshal(m.Body, h); err != nil {
				return nil, 0
			}
			return h, m.Sequence
		}
	}
	return nil, 0
}

// Pull implements worker.Source.
func (w *world) Pull(ctx context.Context, n int, each func([]*worker.Delivery)) error {
	var chunk []*worker.Delivery
	w.mu.Lock()
	for _, m := range w.messages {
		if len(chunk) < n && !m.acked && !m.visible.After(time.Now()) {
			m.Count++
			m.visible = time.Now().Add(ackWait)
			d := m.Delivery
			d.Acker = acker{w, m}
			chunk = append(chunk, &d)
		}
	}
	w.mu.Unlock()
	if len(chunk) == 0 {
		worker.Sleep(ctx, 100*time.Millisecond)
		return nil
	}
	each(chunk)
	return nil
}

type acker struct {
	w *world
	m *message
}

func (a acker) Ack(context.Context) error { return a.w.do("ack", func() { a.m.acked = true }) }

func (a acker) Retry(_ context.Context, after time.Duration) error {
	return a.w.do("retry", func() {
		a.m.again = append(a.m.again, after)
		a.m.visible = time.Now().Add(after)
	})
}

func (a acker) Progress(context.Context) error {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.m.visible = time.Now().Add(ackWait)
	return nil
}
