package housekeeping_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/audit"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/housekeeping"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const retention = 30 * 24 * time.Hour

// world is a real server on which a test settles requests by hand, and a keeper
// whose clock stands where the test puts it.
type world struct {
	t        *testing.T
	js       jetstream.JetStream
	subjects publisher.Subjects
	store    *publisher.Store
	trail    *broker.Trail
	now      time.Time
	config   housekeeping.Config

	mu      sync.Mutex
	purged  map[string]uint64
	blocked map[string]*housekeeping.Block
}

// streams are the requests as the keeper has them; hook, where set, comes before a purge.
type streams struct {
	*broker.Requests
	*broker.Trail
	hook func() error
}

func (s streams) PurgeRequests(ctx context.Context, account string, below uint64) (uint64, error) {
	if s.hook != nil {
		if err := s.hook(); err != nil {
			return 0, err
		}
	}
	return s.Trail.PurgeRequests(ctx, account, below)
}

func newWorld(t *testing.T, results time.Duration) *world {
	t.Helper()
	nc, js := servertest.NATS(t).Connect()
	topology := broker.Topology{Replicas: 1, Results: results, AckWait: time.Minute, Accounts: []string{"acme", "beta"}}
	if _, err := broker.Ensure(t.Context(), js, topology); err != nil {
		t.Fatal(err)
	}
	store, err := publisher.NewStore(nc, publisher.Subjects{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, js: js, store: store, trail: broker.NewTrail(js, publisher.Subjects{}), now: time.Now(),
		purged: map[string]uint64{}, blocked: map[string]*housekeeping.Block{},
	}
	w.config = housekeeping.Config{
		Audit: audit.Config{
			Streams: w.trail, Seeker: w.trail, Ends: store, Now: func() time.Time { return w.now },
			Account: func(name string) purchase.Account { return purchase.Account{Name: name} },
		},
		Streams:   streams{Requests: broker.NewRequests(js, w.subjects), Trail: w.trail},
		Accounts:  topology.Accounts,
		Retention: retention,
		Purged: func(account string, n uint64) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.purged[account] += n
		},
		Blocked: func(account string, by *housekeeping.Block) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.blocked[account] = by
		},
		Report: func(err error) { t.Error(err) },
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// age lets all that is there become older than the retention.
func (w *world) age() { w.now = time.Now().Add(retention + time.Second) }

func (w *world) round() {
	w.t.Helper()
	w.must(housekeeping.New(w.config).Round(w.t.Context()))
}

func body(ref string) string {
	return fmt.Sprintf(`{"productCode":"AIR","amount":"10.00","paymentMethod":"cash","merchantReference":%q}`, ref)
}

func (w *world) publish(account, body string) uint64 {
	w.t.Helper()
	ack, err := w.js.Publish(w.t.Context(), w.subjects.Requests(account), []byte(body))
	w.must(err)
	return ack.Sequence
}

// take is the account's consumer at work: each of n requests is settled, and then
// acknowledged.
func (w *world) take(account string, n int, end func(m jetstream.Msg) (ack bool)) {
	w.t.Helper()
	c, err := w.js.Consumer(w.t.Context(), w.subjects.RequestsStream(), account)
	w.must(err)
	for n > 0 {
		batch, err := c.Fetch(n, jetstream.FetchMaxWait(5*time.Second))
		w.must(err)
		got := 0
		for m := range batch.Messages() {
			if end(m) {
				w.must(m.DoubleAck(w.t.Context()))
			}
			got++
		}
		if got == 0 {
			w.t.Fatalf("%s: %d messages did not come", account, n)
		}
		n -= got
	}
}

// settle stores the result of a request, or its dead letter.
func (w *world) settle(m jetstream.Msg) bool {
	w.t.Helper()
	account := w.subjects.AccountOf(m.Subject())
	meta, err := m.Metadata()
	w.must(err)
	r, err := purchase.Parse(m.Data(), purchase.Account{Name: account})
	if err != nil {
		w.must(w.store.PublishDead(w.t.Context(), publisher.DeadLetter{Account: account, Sequence: meta.Sequence.Stream, Reason: "malformed", Body: m.Data()}))
		return true
	}
	result, err := r.Settle(purchase.Outcome{Kind: purchase.Completed}, purchase.Ending{RequestedAt: meta.Timestamp, ResolvedAt: meta.Timestamp})
	w.must(err)
	_, err = w.store.PublishResult(w.t.Context(), &result, "")
	w.must(err)
	return true
}

// handOver stores the hand-off of a request.
func (w *world) handOver(m jetstream.Msg) bool {
	w.t.Helper()
	meta, err := m.Metadata()
	w.must(err)
	r, err := purchase.Parse(m.Data(), purchase.Account{Name: w.subjects.AccountOf(m.Subject())})
	w.must(err)
	h := r.HandOver(purchase.Outcome{Kind: purchase.InFlight}, purchase.Submission{RequestSequence: meta.Sequence.Stream, RequestedAt: meta.Timestamp})
	_, err = w.store.PublishHandoff(w.t.Context(), &h, "")
	w.must(err)
	return true
}

// left are the sequences of an account that are on the stream.
func (w *world) left(account string) []uint64 {
	w.t.Helper()
	var left []uint64
	w.must(w.trail.Walk(w.t.Context(), w.subjects.RequestsStream(), w.subjects.Requests(account), func(d *worker.Delivery) error {
		left = append(left, d.Sequence)
		return nil
	}))
	return left
}

func (w *world) wantLeft(account string, want ...uint64) {
	w.t.Helper()
	if got := w.left(account); !slices.Equal(got, want) {
		w.t.Errorf("%s: %v are left, want %v (blocked by %+v)", account, got, want, w.blocked[account])
	}
}

// Two accounts at different speeds, one with an unsettled request in the middle.
func TestTwoAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 90*24*time.Hour)
	var acme []uint64
	for i := range 6 {
		acme = append(acme, w.publish("acme", body(fmt.Sprintf("a%d", i))))
		w.publish("beta", body(fmt.Sprintf("b%d", i)))
	}
	slow := 0
	w.take("acme", 6, func(m jetstream.Msg) bool {
		if slow++; slow == 3 {
			return false // under way
		}
		return w.settle(m)
	})
	w.take("beta", 6, w.settle)

	w.round() // all is too young
	if len(w.left("acme")) != 6 || len(w.left("beta")) != 6 || len(w.purged) > 0 {
		t.Errorf("young requests were purged: %v", w.purged)
	}
	w.age()
	w.round()
	w.wantLeft("acme", acme[2:]...)
	w.wantLeft("beta")
	if by := w.blocked["acme"]; by == nil || by.Sequence != acme[2] || by.State != audit.Waiting || by.Age < retention {
		t.Errorf("blocked by %+v", by)
	}
	if w.blocked["beta"] != nil || w.purged["acme"] != 2 || w.purged["beta"] != 6 {
		t.Errorf("blocked %+v, purged %v", w.blocked["beta"], w.purged)
	}

	// What comes after a purge is delivered, once.
	w.now = time.Now()
	next := w.publish("beta", body("next"))
	w.take("beta", 1, func(m jetstream.Msg) bool {
		if meta, _ := m.Metadata(); meta.Sequence.Stream != next || meta.NumDelivered != 1 {
			t.Errorf("delivered: %+v", meta)
		}
		return w.settle(m)
	})
	c, err := w.js.Consumer(t.Context(), w.subjects.RequestsStream(), "acme")
	w.must(err)
	if info := c.CachedInfo(); info.NumAckPending != 1 || info.AckFloor.Stream >= acme[2] {
		t.Errorf("the unsettled request is no longer the consumer's: %+v", info)
	}
}

// What stops a purge, each in the middle of settled requests.
func TestBlocked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		end   func(w *world, m jetstream.Msg) bool
		state audit.State
	}{
		"not acknowledged": {func(w *world, m jetstream.Msg) bool { w.settle(m); return false }, audit.Waiting},
		"handed over":      {func(w *world, m jetstream.Msg) bool { return w.handOver(m) }, audit.Pending},
		// The poller ends the hand-off, and reads the request again where it must be buried.
		"settled, with its hand-off": {func(w *world, m jetstream.Msg) bool { return w.handOver(m) && w.settle(m) }, audit.Pending},
		"lost":                       {func(*world, jetstream.Msg) bool { return true }, audit.Unaccounted},
		"another's result": {func(w *world, m jetstream.Msg) bool {
			r, err := purchase.Parse([]byte(strings.Replace(string(m.Data()), "10.00", "11.00", 1)), purchase.Account{Name: "acme"})
			w.must(err)
			result := r.Refuse(purchase.Expired(), purchase.Ending{})
			_, err = w.store.PublishResult(w.t.Context(), &result, "")
			w.must(err)
			return true
		}, audit.Conflict},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 90*24*time.Hour)
			w.publish("acme", body("before"))
			w.publish("acme", "{")
			blocker := w.publish("acme", body("blocker"))
			after := w.publish("acme", body("after"))
			i := 0
			w.take("acme", 4, func(m jetstream.Msg) bool {
				if i++; i == 3 {
					return test.end(w, m)
				}
				return w.settle(m)
			})
			w.age()
			w.round()
			w.wantLeft("acme", blocker, after)
			if by := w.blocked["acme"]; by == nil || by.Sequence != blocker || by.State != test.state {
				t.Errorf("blocked by %+v, want %s", by, test.state)
			}
		})
	}
}

// A request of which a replaced hand-off still speaks stays, wherever that stands.
func TestOldestHandoff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 90*24*time.Hour)
	w.publish("acme", body("settled"))
	first := w.publish("acme", body("first"))
	second := w.publish("acme", body("second"))
	i := 0
	w.take("acme", 3, func(m jetstream.Msg) bool {
		if i++; i == 1 {
			return w.settle(m)
		}
		return w.handOver(m)
	})
	h, sequence, err := w.store.Handoff(t.Context(), "acme", "first")
	w.must(err)
	_, err = w.store.ReplaceHandoff(t.Context(), h, "", sequence)
	w.must(err)
	s, err := w.js.Stream(t.Context(), w.subjects.PendingStream())
	w.must(err)
	w.must(s.DeleteMsg(t.Context(), sequence))
	w.age()
	w.round()
	w.wantLeft("acme", first, second)

	if _, err := w.js.Publish(t.Context(), w.subjects.Pending("acme", "x"), []byte("no JSON")); err != nil {
		t.Fatal(err)
	}
	if err := housekeeping.New(w.config).Round(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("with an unreadable hand-off: %v", err)
	}
}

// Requests of unknown accounts go with their dead letters; those of accounts that
// another process serves are not touched.
func TestOtherAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 90*24*time.Hour)
	buried := w.publish("nobody", body("a"))
	w.must(w.store.PublishDead(t.Context(), publisher.DeadLetter{Account: "nobody", Sequence: buried, Reason: "unknown_account"}))
	open := w.publish("nobody", body("b"))
	theirs := w.publish("beta", body("c"))
	w.take("beta", 1, w.settle)
	w.config.Accounts = []string{"acme"}
	w.age()
	w.round()
	w.wantLeft("nobody", open)
	w.wantLeft("beta", theirs)
	if by := w.blocked["nobody"]; by == nil || by.State != audit.Waiting {
		t.Errorf("blocked by %+v", by)
	}
}

// Where ends are not kept as long as requests, acknowledged and not open is enough.
func TestExpiredEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, retention-time.Hour)
	w.publish("acme", body("a"))
	open := w.publish("acme", body("open"))
	i := 0
	w.take("acme", 2, func(m jetstream.Msg) bool {
		if i++; i == 2 {
			return w.handOver(m)
		}
		return true // its result has expired
	})
	w.age()
	w.round()
	w.wantLeft("acme", open)
}

// A crash between proof and purge, and between two purges: the next round ends it.
func TestCrashBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 90*24*time.Hour)
	const n = 1020 // more than one batch
	for i := range n {
		_, err := w.js.PublishAsync(w.subjects.Requests("acme"), []byte(body(fmt.Sprint(i))))
		w.must(err)
	}
	<-w.js.PublishAsyncComplete()
	w.take("acme", n, w.settle)
	w.age()
	crash := errors.New("crash")
	calls := 0
	healthy := w.config.Streams.(streams)
	dying := healthy
	dying.hook = func() error {
		if calls++; calls == 2 {
			return crash
		}
		return nil
	}
	w.config.Streams = dying
	if err := housekeeping.New(w.config).Round(t.Context()); !errors.Is(err, crash) {
		t.Fatalf("%v", err)
	}
	if left := w.left("acme"); len(left) != n-1000 || left[0] != 1001 {
		t.Fatalf("%d are left", len(left))
	}
	w.config.Streams = healthy
	// Two processes at once are harmless.
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := housekeeping.New(w.config).Round(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.wantLeft("acme")
	if w.purged["acme"] != n {
		t.Errorf("%d were counted", w.purged["acme"])
	}
}

// Whatever became of requests, in whatever order: none goes that is not settled,
// and those that went were the oldest of their account.
func TestNothingUnsettledGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 90*24*time.Hour)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	accounts := []string{"acme", "beta"}
	published := map[string][]uint64{}
	settled := map[uint64]bool{}
	gone := 0
	for history := range 12 {
		for i := range 20 {
			account := accounts[random.IntN(2)]
			text := body(fmt.Sprintf("%d-%d", history, i))
			if random.IntN(10) == 0 {
				text = "{"
			}
			published[account] = append(published[account], w.publish(account, text))
		}
		for _, account := range accounts {
			c, err := w.js.Consumer(t.Context(), w.subjects.RequestsStream(), account)
			w.must(err)
			waiting := int(c.CachedInfo().NumPending)
			n := random.IntN(waiting + 1)
			if history == 0 {
				n = waiting // all settled: something must go
			}
			w.take(account, n, func(m jetstream.Msg) bool {
				meta, err := m.Metadata()
				w.must(err)
				fate := random.IntN(12)
				if history == 0 {
					fate = 11
				}
				switch fate {
				case 0:
					return history >= 9 // lost, at last; before that it is only slow
				case 1:
					w.settle(m) // its ack is lost
					return false
				case 2:
					if string(m.Data()) != "{" {
						return w.handOver(m)
					}
				}
				settled[meta.Sequence.Stream] = true
				return w.settle(m)
			})
		}
		w.age()
		w.round()
		for _, account := range accounts {
			left := w.left(account)
			all := published[account]
			if !slices.Equal(left, all[len(all)-len(left):]) {
				t.Fatalf("%s: not the oldest went", account)
			}
			for _, sequence := range all[:len(all)-len(left)] {
				if !settled[sequence] {
					t.Fatalf("%s: request %d was not settled, and is gone", account, sequence)
				}
			}
			gone += len(all) - len(left)
			published[account] = left
			if len(left) > 0 && w.blocked[account] == nil {
				t.Errorf("%s: %d old requests stay, and nobody is told", account, len(left))
			}
		}
	}
	if gone == 0 {
		t.Error("nothing was purged")
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 90*24*time.Hour)
	w.publish("acme", body("a"))
	w.take("acme", 1, w.settle)
	w.age()
	w.config.Retention = time.Second // rounds come every second
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	rounds := make(chan struct{}, 100)
	w.config.Blocked = func(string, *housekeeping.Block) { rounds <- struct{}{} }
	go func() { done <- housekeeping.New(w.config).Run(ctx) }()
	<-rounds
	<-rounds
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.wantLeft("acme")
}
