package simulation

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/dedupe/dedupetest"
	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/poller"
)

const lease = 60 * time.Second

// world is one history: streams, Redis, vendor, and the processes that come and go.
type world struct {
	fate    *fate
	streams *streams
	redis   *dedupetest.Memory
	vendor  *vendorModel
	account purchase.Account
	// forgets: Redis is emptied at times. It then cannot tell which of two
	// payloads under one reference reached the vendor first; one of them still
	// ends as a conflict.
	forgets bool

	running sync.WaitGroup
	serial  int
	mu      sync.Mutex
	alive   map[string]*process // by role
}

func newWorld(seed uint64) *world {
	f := newFate(seed)
	s := newStreams()
	return &world{
		fate:    f,
		streams: s,
		redis:   dedupetest.NewMemory(lease, 168*time.Hour),
		vendor:  &vendorModel{fate: f, streams: s, bearsReference: f.intn(2) == 0, transactions: map[string]*transaction{}},
		account: purchase.Account{Name: "acme", ChannelID: "7"},
		forgets: f.intn(2) == 0,
		alive:   map[string]*process{},
	}
}

func newBackOff() backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMaxInterval(time.Minute), backoff.WithMaxElapsedTime(0))
}

// start runs a process of a role until it dies or ctx ends.
func (w *world) start(ctx context.Context, role string) {
	w.serial++
	ctx, die := context.WithCancel(ctx)
	p := &process{fate: w.fate, name: fmt.Sprintf("%s-%d", role, w.serial), die: die}
	w.mu.Lock()
	w.alive[role] = p
	w.mu.Unlock()
	l := &ledger{p, w.streams}
	c := &client{p, w.vendor, w.account}
	claims := &claims{p, w.redis}
	w.running.Go(func() {
		defer die()
		if role[0] == 'c' {
			_ = consumer.New(consumer.Config{
				Account: w.account, Owner: p.name, Slots: 4, Lease: lease, Attempts: 3, BackOff: newBackOff,
				KeepAlive: ackWait / 3, Grace: time.Minute, Since: time.Now().Add(-time.Hour),
				Source: &source{p, &w.streams.requests}, Vendor: c, Gate: newGate(),
				Claims: claims, Leases: claims, Records: claims, Ledger: l, Writer: l, Dead: l,
			}).Run(ctx)
			return
		}
		_ = poller.New(poller.Config{
			Account: "acme", Owner: p.name, Slots: 4, Attempts: 3, BackOff: newBackOff, EscalateAfter: 5 * time.Minute,
			Schedule:  poller.Schedule{{Until: time.Minute, Every: 5 * time.Second}, {Until: 5 * time.Minute, Every: 30 * time.Second}, {Every: 5 * time.Minute}},
			PostLease: time.Minute, KeepAlive: ackWait / 3, Grace: time.Minute,
			Source: &source{p, &w.streams.pending}, Vendor: c, Gate: newGate(),
			Records: claims, Ledger: l, Writer: l, Dead: l,
		}).Run(ctx)
	})
}

func newGate() *gate.Gate { return gate.New(gate.Config{BackOff: newBackOff, Probe: 8 * time.Second}) }

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

// publish puts requests on the stream: repeats, and references used twice, among
// them.
func (w *world) publish(n int) {
	for range n {
		ref := fmt.Sprintf("ref-%d", w.fate.intn(n/2))
		amount := 50
		if w.fate.intn(8) == 0 {
			amount = 60 // another payload under a reference that may be taken
		}
		body := fmt.Sprintf(`{"productCode":"GAM-XBX-001","amount":%d,"paymentMethod":"cash","merchantReference":%q}`, amount, ref)
		w.streams.requests.publish(ref, []byte(body))
		time.Sleep(time.Duration(w.fate.intn(5000)) * time.Millisecond)
		if w.forgets && w.fate.intn(5) == 0 {
			w.redis.Flush()
		}
	}
}

// check holds the promises of the contract against what there is in the end.
func (w *world) check(t *testing.T) {
	s := w.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, broken := range s.faults {
		t.Error(broken)
	}
	if n := s.requests.open(); n > 0 {
		t.Errorf("%d requests were never acknowledged", n)
	}
	if n := s.pending.open(); n > 0 {
		t.Errorf("%d hand-offs were never ended", n)
	}
	for _, m := range s.requests.messages {
		request, err := purchase.Parse(m.body, w.account)
		if err != nil {
			t.Fatal(err)
		}
		result, settled := s.results[request.Reference]
		_, buried := s.dead[m.sequence]
		switch ours := settled && result.RequestDigest == request.Digest; {
		case ours && buried:
			t.Errorf("request %d (%s) has a result and a dead letter", m.sequence, request.Reference)
		case !ours && !buried:
			t.Errorf("request %d (%s) has neither result nor dead letter", m.sequence, request.Reference)
		}
	}
	for ref, r := range s.results {
		tx := w.vendor.transactions[ref]
		switch {
		case tx == nil:
			t.Errorf("%s has a result and the vendor never saw it", ref)
		case !w.forgets && tx.digest != r.RequestDigest:
			t.Errorf("%s: the vendor has another payload than the result", ref)
		case (tx.state == purchase.Completed) != (r.Status == purchase.StatusCompleted) || tx.state == purchase.InFlight:
			t.Errorf("%s: the vendor says %s and the result %s", ref, tx.state, r.Status)
		case tx.vends > 1:
			t.Errorf("%s was vended %d times", ref, tx.vends)
		case r.TransactionID != "" && r.TransactionID != tx.id:
			t.Errorf("%s has the transaction of another", ref)
		}
	}
}

func history(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed)
		ctx, stop := context.WithCancel(t.Context())
		published := make(chan struct{})
		go func() {
			defer close(published)
			w.publish(24)
		}()
		faults := time.After(10 * time.Minute)
		for storm := true; storm; {
			w.revive(ctx)
			select {
			case <-faults:
				storm = false
			case <-time.After(time.Second):
			}
		}
		<-published
		w.fate.setCalm()
		deadline := time.Now().Add(6 * time.Hour)
		for time.Now().Before(deadline) && w.streams.requests.open()+w.streams.pending.open() > 0 {
			w.revive(ctx)
			time.Sleep(10 * time.Second)
		}
		stop()
		w.running.Wait()
		w.check(t)
		if t.Failed() {
			t.Logf("seed %d: vendor bears references: %v, effects: %v", seed, w.vendor.bearsReference, w.fate.count)
		}
	})
}
