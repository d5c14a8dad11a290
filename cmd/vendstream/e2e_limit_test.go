package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

// purchaseCall is a purchase call as the vendor saw it.
type purchaseCall struct {
	process string // the first element of the path: each process is given its own
	at      time.Time
	status  int // 0 while it has no answer
}

// callRecorder stands before the vendor and notes every purchase call.
type callRecorder struct {
	vendor http.Handler

	mu    sync.Mutex
	calls []purchaseCall
}

func (r *callRecorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	process, _, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), "/")
	next := http.StripPrefix("/"+process, r.vendor)
	if !strings.HasSuffix(q.URL.Path, "/purchase") {
		next.ServeHTTP(w, q)
		return
	}
	r.mu.Lock()
	i := len(r.calls)
	r.calls = append(r.calls, purchaseCall{process: process, at: time.Now()})
	r.mu.Unlock()
	noted := &statusRecorder{ResponseWriter: w}
	next.ServeHTTP(noted, q)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[i].status = noted.status
}

// seen are all calls so far, in order.
func (r *callRecorder) seen() []purchaseCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the simulator's faults reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// shareUsed is how much of a limit calls use that have a backlog behind them:
// the period by the mean time from a call to the one that is a whole limit
// later. Bursts at either end of the span do not flatter it.
func shareUsed(calls []purchaseCall, requests int, per time.Duration) float64 {
	if len(calls) <= requests {
		return 0
	}
	var sum time.Duration
	for i, call := range calls[requests:] {
		sum += call.at.Sub(calls[i].at)
	}
	return per.Seconds() * float64(len(calls)-requests) / sum.Seconds()
}

// Three processes share a limit of 20 a second, and one of them is killed in the
// middle of its calls: next to no answer of 429, nearly all of the allowance used
// before and after, and every purchase completed once, however the vendor counts.
func TestSharedPurchaseLimit(t *testing.T) {
	for name, test := range map[string]struct {
		kind     simulator.LimitKind
		inFlight int
	}{
		// The default, with which one process may take all that there is.
		"fixed window": {simulator.FixedWindow, 64},
		// Too few for one or two processes to use the limit at once.
		"token bucket": {simulator.TokenBucket, 8},
	} {
		t.Run(name, func(t *testing.T) {
			bar := 0.95
			if underRace {
				bar = 0.85 // what takes long between a permit and its call is lost
			}
			// A machine that is busy with something else uses less: one try of three has
			// to reach the bar. Everything else has to hold in each.
			best := 0.0
			for try := 1; try <= 3 && best < bar && !t.Failed(); try++ {
				t.Run(fmt.Sprint(try), func(t *testing.T) { best = max(best, sharedLimit(t, test.kind, test.inFlight)) })
			}
			if best < bar {
				t.Errorf("%.1f %% of the allowance used at best, want %.0f %%", 100*best, 100*bar)
			}
		})
	}
}

// sharedLimit returns the share of the allowance that was used before or after the
// kill, whichever is less.
func sharedLimit(t *testing.T, kind simulator.LimitKind, inFlight int) float64 {
	const (
		requests, per      = 20, time.Second
		backlog, processes = 280, 3
	)
	s := newStack(t, simulator.Config{
		PurchaseLimit: simulator.Limit{Requests: requests, Per: simulator.Duration(per), Kind: kind},
	}, "")
	s.replaceInConfig("purchase_limit: {requests: 0}",
		fmt.Sprintf("purchase_limit: {requests: %d, per: %s}, max_in_flight: %d", requests, per, inFlight))
	recorder := &callRecorder{vendor: s.vendor}
	web := httptest.NewServer(recorder)
	t.Cleanup(web.Close)
	s.provision()
	running := map[string]*exec.Cmd{}
	for i := range processes {
		name := fmt.Sprintf("process-%d", i)
		s.moveVendor(web.URL + "/" + name + "/api/v1")
		running[name] = s.process("consumer")
		ready(t, s.addresses(i + 1)[i])
	}
	// Long enough for a process to be killed in the middle of its calls.
	if err := s.vendor.Order(simulator.Fault{
		Times: -1, Match: simulator.Match{Endpoint: simulator.EndpointPurchase},
		Steps: []simulator.Step{{Latency: simulator.Duration(50 * time.Millisecond)}},
	}); err != nil {
		t.Fatal(err)
	}
	refs := make([]string, backlog)
	for i := range refs {
		refs[i] = fmt.Sprintf("limit-%d", i)
		s.publish("acme", electricity(refs[i]))
	}
	s.daemon("poller")
	var killed purchaseCall
	eventually(t, "a third of the calls", func() error {
		calls := recorder.seen()
		if len(calls) < backlog/3 {
			return fmt.Errorf("%d calls", len(calls))
		}
		killed = calls[len(calls)-1]
		return nil
	})
	killed.at = time.Now()
	if err := running[killed.process].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		if r := s.result("acme", ref); r.Status != purchase.StatusCompleted {
			t.Errorf("a purchase failed: %+v", r)
		}
	}
	s.settled()
	s.noDeadLetters()

	calls := recorder.seen()
	limited, accepted := 0, map[time.Time]int{}
	for _, call := range calls {
		if call.status == http.StatusTooManyRequests {
			limited++
		} else {
			accepted[call.at.Truncate(per)]++
		}
	}
	if limited*100 > len(calls) {
		t.Errorf("%d of %d calls were answered with 429", limited, len(calls))
	}
	shortest := time.Hour
	for i, call := range calls[requests:] {
		shortest = min(shortest, call.at.Sub(calls[i].at))
	}
	if kind == simulator.FixedWindow {
		for window, n := range accepted {
			if n > requests {
				t.Errorf("%d calls in the vendor's window of %s", n, window)
			}
		}
	}
	since := func(at time.Time) []purchaseCall {
		i, _ := slices.BinarySearchFunc(calls, at, func(c purchaseCall, at time.Time) int { return c.at.Compare(at) })
		return calls[i:]
	}
	before := shareUsed(calls[:len(calls)-len(since(killed.at))], requests, per)
	// What the dead process held is lost for a while, so the second after its
	// death is left out.
	after := shareUsed(since(killed.at.Add(time.Second)), requests, per)
	t.Logf("%d calls, %d answers of 429; of the allowance %.1f %% used before the kill, %.1f %% from a second after it, %.1f %% in the whole run; %d calls took %s at least",
		len(calls), limited, 100*before, 100*after, 100*shareUsed(calls, requests, per), requests+1, shortest)
	return min(before, after)
}

// moveVendor has the processes that start from now on call another address.
func (s *stack) moveVendor(url string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err == nil {
		text = regexp.MustCompile(`base_url: "[^"]*"`).ReplaceAll(text, fmt.Appendf(nil, "base_url: %q", url))
		err = os.WriteFile(s.config, text, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}
