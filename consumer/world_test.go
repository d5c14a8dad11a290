package consumer

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

const (
	lease   = 60 * time.Second
	ackWait = 60 * time.Second
)

var errInjected = errors.New("test: an effect failed")

type fault uint8

const (
	works fault = iota
	fails       // nothing was done
	lost        // it was done, and the answer was lost
)

// message is one request on the stream.
type message struct {
	worker.Delivery
	visible time.Time
	acked   bool
	again   []time.Duration // what each RetryAfter asked for
}

type call struct {
	reference, body string
	at              time.Duration // since the world began
}

// world is everything around one account's consumer, in memory. It implements
// all of the consumer's ports and writes down what is asked of them, in order.
type world struct {
	t      *testing.T
	redis  *dedupetest.Memory
	config Config
	began  time.Time

	mu       sync.Mutex
	effects  []string // those that failed end in "!"
	faults   map[string][]fault
	hooks    map[string]func() // run before the effect of that name
	script   map[string][]purchase.Outcome
	shown    purchase.Outcome // by /transactions
	lookups  []lookedUp       // answers of the look-ups to come; the last is repeated
	calls    []call
	messages []*message
	results  map[string]purchase.Result
	handoffs map[string]purchase.Handoff
	sequence uint64 // of the newest hand-off
	dead     map[uint64]publisher.DeadLetter
	events   []Event
	reports  []error
}

func newBackOff() backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0), backoff.WithMaxInterval(time.Minute), backoff.WithMaxElapsedTime(0))
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, redis: dedupetest.NewMemory(lease, 168*time.Hour), began: time.Now(),
		faults: map[string][]fault{}, hooks: map[string]func(){}, script: map[string][]purchase.Outcome{},
		results: map[string]purchase.Result{}, handoffs: map[string]purchase.Handoff{}, dead: map[uint64]publisher.DeadLetter{},
	}
	w.config = Config{
		Account: purchase.Account{Name: "acme", ChannelID: "7"}, Owner: "one", Slots: 8, Lease: lease, Attempts: 3,
		BackOff: newBackOff, KeepAlive: ackWait / 3, Grace: time.Minute, Since: w.began.Add(-time.Hour),
		Source: w, Vendor: w, Gate: gate.New(gate.Config{BackOff: newBackOff, Probe: 8 * time.Second}),
		Claims: w, Leases: w, Records: w, Ledger: w, Writer: w, Dead: w, Observer: w,
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

// start runs the consumer; stop ends it and waits.
func (w *world) start() (c *Consumer, stop func()) {
	c = New(w.config)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, func() {
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

// settle orders what the test has read before whatever is written next.
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

// failing are the faults with which a new message cannot be worked on: the streams
// are read for the whole chunk, and where that fails for each message.
func (w *world) failing(effect string) []fault {
	if strings.HasPrefix(effect, "read ") && effect != "read dead" {
		return []fault{fails, fails}
	}
	return []fault{fails}
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

// writes are the effects so far that change something outside of Redis's leases.
func (w *world) writes() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(w.effects), func(name string) bool {
		switch strings.TrimSuffix(name, "!") {
		case "claim", "extend", "ping", "read hand-off", "read result", "read dead":
			return true
		}
		return false
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

func body(reference, amount string) string {
	return fmt.Sprintf(`{"productCode":"GAM-XBX-001","amount":%s,"paymentMethod":"cash","merchantReference":%q}`, amount, reference)
}

// publish puts a request on the stream; header pairs are names and values.
func (w *world) publish(body string, header ...string) *message {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	m := &message{Delivery: worker.Delivery{Body: []byte(body), Sequence: uint64(len(w.messages) + 1), Time: now, Header: map[string][]string{}}, visible: now}
	for i := 0; i+1 < len(header); i += 2 {
		m.Header[header[i]] = []string{header[i+1]}
	}
	w.messages = append(w.messages, m)
	return m
}

// buy publishes a plain purchase and says what the vendor will answer.
func (w *world) buy(reference string, answers ...purchase.Outcome) *message {
	w.script[reference] = append(w.script[reference], answers...)
	return w.publish(body(reference, "50"))
}

func (w *world) request(body string) *purchase.Request {
	r, err := purchase.Parse([]byte(body), w.config.Account)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) key(reference string) dedupe.Key {
	return dedupe.Key{Account: "acme", Reference: reference}
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

// Purchase implements Vendor: the last answer of a script is repeated.
func (w *world) Purchase(_ context.Context, reference string, body []byte) (o purchase.Outcome) {
	_ = w.do("post", func() {
		w.calls = append(w.calls, call{reference, string(body), time.Since(w.began)})
		answers := w.script[reference]
		if len(answers) == 0 {
			return
		}
		o = answers[0]
		if len(answers) > 1 {
			w.script[reference] = answers[1:]
		}
	})
	return o
}

// Transaction implements Vendor: what /transactions shows of every purchase.
func (w *world) Transaction(_ context.Context, id, _ string) (o purchase.Outcome) {
	_ = w.do("transactions", func() {
		o = w.shown
		if o.TransactionID == "" {
			o.TransactionID = id
		}
	})
	return o
}

// lookedUp is an answer of a look-up.
type lookedUp struct {
	outcome purchase.Outcome
	data    string
}

// Lookup implements Vendor.
func (w *world) Lookup(_ context.Context, kind purchase.LookupKind, _ []byte) (o purchase.Outcome, data json.RawMessage) {
	_ = w.do("look up "+string(kind), func() {
		if len(w.lookups) == 0 {
			return
		}
		o, data = w.lookups[0].outcome, json.RawMessage(w.lookups[0].data)
		if len(w.lookups) > 1 {
			w.lookups = w.lookups[1:]
		}
	})
	return o, data
}

// Observe implements Observer.
func (w *world) Observe(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func decodeHandoff(t *testing.T, h purchase.Handoff) purchase.Handoff {
	t.Helper()
	raw, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var out purchase.Handoff
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
