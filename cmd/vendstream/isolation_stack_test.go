package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

// The accounts of an isolation run: the one that is measured, one without a limit
// that makes trouble, and one whose limit is small and is smaller still at the
// vendor.
const steady, noisy, limited = "steady", "noisy", "limited"

// hangTimeout is vendor.timeout of an isolation run: longer than anything is
// measured for, so that calls that hang hold their slots all the while.
const hangTimeout = 8 * time.Second

// hangs stands for the time of a call that is never answered.
const hangs = -1

// isolation is a stack in which one account is measured while another makes
// trouble.
type isolation struct {
	*stack
	slots    int // max_in_flight of each account in each process
	calls    map[string]*atomic.Int64
	arrivals chan arrival
	serial   int
}

// arrival is a result of the measured account.
type arrival struct {
	reference string
	status    purchase.Status
	at        time.Time
}

// newIsolation starts the servers and that many processes. What a purchase meets
// at the vendor is in its reference: "<milliseconds>-…" is the time a call takes,
// and the first call for "hang-…" is never answered.
func newIsolation(t testing.TB, processes, slots int) *isolation {
	t.Helper()
	var faults []simulator.Fault
	for _, ms := range []int{5, 10, 15, 20, 30, 40, 50, 100, 200} {
		faults = append(faults, simulator.Fault{
			Match: simulator.Match{Prefix: fmt.Sprintf("%d-", ms)}, Times: -1,
			Steps: []simulator.Step{{Latency: simulator.Duration(time.Duration(ms) * time.Millisecond)}},
		})
	}
	faults = append(faults, simulator.Fault{
		Match: simulator.Match{Prefix: "hang-"}, EachReference: true,
		Steps: []simulator.Step{{Answer: simulator.AnswerHang}},
	})
	s := &isolation{slots: slots, calls: map[string]*atomic.Int64{}, arrivals: make(chan arrival, 10_000)}
	s.stack = newStack(t, simulator.Config{
		Accounts: []simulator.Account{
			{Username: steady, Password: "steady-secret"},
			{Username: noisy, Password: "noisy-secret"},
			{Username: limited, Password: "limited-secret", PurchaseLimit: &simulator.Limit{Requests: 5, Per: simulator.Duration(time.Second)}},
		},
		Faults: faults,
	}, "")
	// Each account has an address of its own, so that its calls can be counted.
	paths := http.NewServeMux()
	config := fmt.Sprintf(`
nats:   {url: %q}
redis:  {url: %q}
http:   {addr: "127.0.0.1:0"}
log:    {level: error}
retry:  {base: 100ms, max: 1s, attempts: 3}
vendor: {timeout: %s}
accounts:
`, s.stack.nats.URL(), s.redis.URL(), hangTimeout)
	web := httptest.NewServer(paths)
	t.Cleanup(web.Close)
	t.Cleanup(s.vendor.Close) // first: it ends the calls that hang
	for _, account := range []string{steady, noisy, limited} {
		running := &atomic.Int64{}
		s.calls[account] = running
		paths.Handle("/"+account+"/", http.StripPrefix("/"+account, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Add(-1)
			s.vendor.ServeHTTP(w, r)
		})))
		limit := "requests: 0"
		if account == limited {
			limit = "requests: 10, per: 1s"
		}
		config += fmt.Sprintf("  - {name: %s, base_url: %q, username: %s, password: %s-secret, channel_id: \"7\", max_in_flight: %d, purchase_limit: {%s}}\n",
			account, web.URL+"/"+account+"/api/v1", account, account, slots, limit)
	}
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.provision()
	for range processes {
		s.process("serve")
	}
	s.listen()
	// Connections and tokens are had before anything is measured.
	for range 3 {
		s.publishMany(noisy, 100, 10)
		s.publishMany(limited, 2, 10)
		s.measure(50, 200*time.Millisecond)
	}
	return s
}

// listen follows the results of the measured account.
func (s *isolation) listen() {
	s.t.Helper()
	results, err := s.js.OrderedConsumer(s.t.Context(), s.subjects.ResultsStream(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{s.subjects.AllResults(steady)},
		DeliverPolicy:  jetstream.DeliverNewPolicy,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	following, err := results.Consume(func(m jetstream.Msg) {
		a := arrival{at: time.Now()}
		var r purchase.Result
		if err := json.Unmarshal(m.Data(), &r); err == nil {
			a.reference, a.status = r.MerchantReference, r.Status
		}
		s.arrivals <- a
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(following.Stop)
}

// measure publishes n purchases of the measured account, one each interval
// whatever becomes of those before, and waits for their results. The vendor takes
// 20 to 50 ms for each. It returns the times from publish to result, sorted.
func (s *isolation) measure(n int, interval time.Duration) []time.Duration {
	s.t.Helper()
	s.serial++
	sent := make(map[string]time.Time, n)
	var mu sync.Mutex
	publishing := make(chan error, 1)
	go func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		var errs []error
		for i := range n {
			ref := fmt.Sprintf("%d-%d-%d", []int{20, 30, 40, 50}[i%4], s.serial, i)
			mu.Lock()
			sent[ref] = time.Now()
			mu.Unlock()
			if _, err := s.js.PublishAsync(s.subjects.Requests(steady), []byte(airtime(ref))); err != nil {
				errs = append(errs, err)
			}
			<-tick.C
		}
		publishing <- errors.Join(errs...)
	}()
	took := make([]time.Duration, 0, n)
	late := time.After(time.Duration(n)*interval + patience)
	for len(took) < n {
		select {
		case a := <-s.arrivals:
			mu.Lock()
			at, known := sent[a.reference]
			mu.Unlock()
			if !known || a.status != purchase.StatusCompleted {
				s.t.Fatalf("a result that was not expected: %+v", a)
			}
			took = append(took, a.at.Sub(at))
		case <-late:
			s.t.Fatalf("%d of %d results", len(took), n)
		}
	}
	if err := <-publishing; err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(took)
	return took
}

// publishMany publishes purchases of an account, whose calls take one of these
// times in turn; hangs is for ever.
func (s *isolation) publishMany(account string, n int, milliseconds ...int) {
	s.t.Helper()
	s.serial++
	for i := range n {
		ref := fmt.Sprintf("%d-%d-%d", milliseconds[i%len(milliseconds)], s.serial, i)
		if milliseconds[0] == hangs {
			ref = fmt.Sprintf("hang-%d-%d", s.serial, i)
		}
		if _, err := s.js.PublishAsync(s.subjects.Requests(account), []byte(airtime(ref)), jetstream.WithStallWait(patience)); err != nil {
			s.t.Fatal(err)
		}
	}
	select {
	case <-s.js.PublishAsyncComplete():
	case <-time.After(patience):
		s.t.Fatal("the requests are not stored")
	}
}

// waiting is how many requests of an account are not acknowledged yet.
func (s *isolation) waiting(account string) int {
	s.t.Helper()
	c, err := s.js.Consumer(s.t.Context(), s.subjects.RequestsStream(), account)
	if err != nil {
		s.t.Fatal(err)
	}
	info := c.CachedInfo()
	return int(info.NumPending) + info.NumAckPending
}

// quieten takes an account's requests away and waits until nothing is under way.
func (s *isolation) quieten(account string) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), s.subjects.RequestsStream())
	if err == nil {
		err = stream.Purge(s.t.Context(), jetstream.WithPurgeSubject(s.subjects.Requests(account)))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "nothing is under way", func() error {
		if n, calls := s.waiting(account), s.calls[account].Load(); n > 0 || calls > 0 {
			return fmt.Errorf("%d requests, %d calls", n, calls)
		}
		return nil
	})
}

// full waits until an account's calls fill all its slots.
func (s *isolation) full(account string, processes int) {
	s.t.Helper()
	eventually(s.t, "all slots are full", func() error {
		if n := s.calls[account].Load(); int(n) < s.slots*processes {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
}

// refused waits until the vendor has answered an account's calls with 429.
func (s *isolation) refused() {
	s.t.Helper()
	before := s.refusals()
	eventually(s.t, "the vendor refuses", func() error {
		if s.refusals() == before {
			return errors.New("no answer of 429")
		}
		return nil
	})
}

func (s *isolation) refusals() int64 {
	return s.vendor.Stats().Calls[simulator.EndpointPurchase]["429"]
}

// quantile of sorted times.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
