package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

// An empty 202 leaves nothing but the reference to look a purchase up by.
var byReference = simulator.Config{Transactions: simulator.Transactions{BearReference: true, FilterByReference: true}}

// batch publishes purchases of many outcomes and returns their references.
func (s *stack) batch(name string, n int) []string {
	kinds := []string{"flat", "enveloped", "pending", "accepted-empty", "reset-after", "late", "503-after", "failed", "code-1201", "slow"}
	refs := make([]string, n)
	for i := range refs {
		refs[i] = fmt.Sprintf("sim-%s-%s-%d", kinds[i%len(kinds)], name, i)
		s.publish([]string{"acme", "beta"}[i%2], electricity(refs[i]))
	}
	return refs
}

// results waits for the results of a batch.
func (s *stack) results(refs []string) {
	s.t.Helper()
	for i, ref := range refs {
		s.result([]string{"acme", "beta"}[i%2], ref)
	}
}

func notReady(t *testing.T, addr string) {
	t.Helper()
	eventually(t, "the program is not ready", func() error {
		if code, body := get(t, "http://"+addr+"/readyz"); code != http.StatusServiceUnavailable {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

func ready(t *testing.T, addr string) {
	t.Helper()
	eventually(t, "the program is ready", func() error {
		if code, body := get(t, "http://"+addr+"/readyz"); code != http.StatusOK {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

// Redis emptied and restarted in mid-run: delays, and nothing else.
func TestRedisGoesAndForgets(t *testing.T) {
	sim := byReference
	sim.OpenFor = simulator.Duration(2 * time.Second)
	eachPoller(t, sim, redisGoesAndForgets)
}

func redisGoesAndForgets(t *testing.T, s *stack) {
	addr, _ := s.daemon("serve")
	first := s.batch("before", 20)
	s.drained(s.subjects.RequestsStream()) // settled or handed over; many still open
	s.redis.Flush()
	for i, ref := range first { // repeats that Redis cannot know, and the streams do
		s.publish([]string{"acme", "beta"}[i%2], electricity(ref))
	}
	s.drained(s.subjects.RequestsStream())
	calls := s.batch("calls", 20)
	s.redis.Flush() // in the middle of their calls
	for i, ref := range calls {
		s.publish([]string{"acme", "beta"}[i%2], electricity(ref))
	}
	s.redis.Kill()
	while := s.batch("while", 10)
	notReady(t, addr)
	s.redis.Start()
	ready(t, addr)
	s.results(first)
	s.results(calls)
	s.results(while)
	s.settled()
	for i, ref := range first {
		if e := s.entry([]string{"acme", "beta"}[i%2], ref); e.RepostedWhileOpen > 0 {
			t.Errorf("%s was posted again while it was open: %+v", ref, e)
		}
	}
	s.noDeadLetters()
}

// nats-server restarted in mid-run: the same.
func TestNATSRestarts(t *testing.T) { eachPoller(t, byReference, natsRestarts) }

func natsRestarts(t *testing.T, s *stack) {
	addr, _ := s.daemon("serve")
	first := s.batch("before", 20)
	s.nats.Stop()
	notReady(t, addr)
	s.nats.Start()
	ready(t, addr)
	after := s.batch("after", 10)
	s.results(first)
	s.results(after)
	s.settled()
	s.noDeadLetters()
}

// A vendor that is away fails nothing. The breaker opens, and closes again.
func TestVendorGoes(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	addr, _ := s.daemon("serve")
	if err := s.vendor.Order(simulator.Fault{
		Match: simulator.Match{Account: "acme"}, Times: -1, Steps: []simulator.Step{{Status: 503}},
	}); err != nil {
		t.Fatal(err)
	}
	var refs []string
	for i := range 40 {
		refs = append(refs, fmt.Sprintf("away-%d", i))
		s.publish("acme", electricity(refs[i]))
	}
	eventually(t, "the breaker opens", func() error {
		if v := metric(t, addr, `vendstream_breaker_state{account="acme",component="consumer"}`); v != 2 {
			return fmt.Errorf("state %v", v)
		}
		return nil
	})
	s.publish("beta", electricity("other-account"))
	s.result("beta", "other-account")
	s.vendor.ClearFaults()
	for _, ref := range refs {
		if r := s.result("acme", ref); r.Status != purchase.StatusCompleted {
			t.Errorf("%s: %+v", ref, r)
		}
	}
	s.settled()
}

// An account that hangs does not delay another.
func TestAccountsAreIsolated(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	s.daemon("serve")
	for i := range 100 {
		s.publish("acme", electricity(fmt.Sprintf("sim-timeout-x0-%d", i)))
	}
	start := time.Now()
	for i := range 20 {
		s.publish("beta", electricity(fmt.Sprintf("quick-%d", i)))
	}
	for i := range 20 {
		s.result("beta", fmt.Sprintf("quick-%d", i))
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("beta took %s beside an account that hangs", took)
	}
}

// A stop finishes what is in flight and exits 0.
func TestGracefulStop(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	_, stop := s.daemon("serve")
	if err := s.vendor.Order(simulator.Fault{
		Match: simulator.Match{Prefix: "slow-"}, Times: -1,
		Steps: []simulator.Step{{Latency: simulator.Duration(500 * time.Millisecond)}},
	}); err != nil {
		t.Fatal(err)
	}
	var refs []string
	for i := range 200 {
		refs = append(refs, fmt.Sprintf("slow-%d", i))
		s.publish("acme", electricity(refs[i]))
	}
	eventually(t, "calls are in flight", func() error {
		if n := s.vendor.Stats().Total(simulator.EndpointPurchase); n < 10 {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
	start := time.Now()
	if code := stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took > 6*time.Second {
		t.Errorf("the stop took %s", took)
	}
	// Every call that was made has its result: none was abandoned.
	for _, e := range s.vendor.Ledger("acme") {
		if r, err := s.store.Result(t.Context(), "acme", e.Reference); err != nil || r == nil {
			t.Errorf("%s was vended and left without a result: %v", e.Reference, err)
		}
	}
	s.vendor.ClearFaults()
	s.daemon("serve")
	for _, ref := range refs {
		s.result("acme", ref)
	}
	s.settled()
	for _, ref := range refs {
		if e := s.entry("acme", ref); e.Calls != 1 {
			t.Errorf("%s: %d calls", ref, e.Calls)
		}
	}
}
