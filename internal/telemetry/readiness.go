package telemetry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// probeTimeout is how long a check may take before it counts as failed.
const probeTimeout = 2 * time.Second

// Check is one condition of being ready.
type Check struct {
	Name string
	// Probe returns nil when all is well. The error is shown to whoever asks,
	// and must hold no secret. Probe should return when ctx ends, after 2 s; a
	// probe that does not counts as failed and is not started again beside itself.
	Probe func(ctx context.Context) error
}

// readiness runs checks side by side.
type readiness struct {
	mu     sync.Mutex
	checks []Check // sorted by name
	calls  singleflight.Group
}

// add registers a check, instead of the one of that name where there is one.
func (r *readiness) add(check Check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, found := slices.BinarySearchFunc(r.checks, check.Name, func(c Check, name string) int { return cmp.Compare(c.Name, name) })
	if found {
		r.checks[at] = check
		return
	}
	r.checks = slices.Insert(r.checks, at, check)
}

// The body of an answer of /readyz.
type (
	readyAnswer struct {
		Ready  bool          `json:"ready"`
		Checks []checkAnswer `json:"checks"`
	}
	checkAnswer struct {
		Name  string `json:"name"`
		OK    bool   `json:"ok"`
		Error string `json:"error,omitempty"`
	}
)

func (r *readiness) run(ctx context.Context) readyAnswer {
	r.mu.Lock()
	checks := slices.Clone(r.checks)
	r.mu.Unlock()
	answer := readyAnswer{Ready: true, Checks: make([]checkAnswer, len(checks))}
	var running sync.WaitGroup
	for i, check := range checks {
		running.Go(func() {
			answer.Checks[i] = checkAnswer{Name: check.Name, OK: true}
			if err := r.probe(ctx, check); err != nil {
				answer.Checks[i].OK, answer.Checks[i].Error = false, err.Error()
			}
		})
	}
	running.Wait()
	for _, check := range answer.Checks {
		answer.Ready = answer.Ready && check.OK
	}
	return answer
}

// probe asks one check. Questions that come while it runs share its answer, so
// that a probe that hangs is there once and not once for each question.
func (r *readiness) probe(ctx context.Context, check Check) error {
	// Not ended by ctx: the one who asked first may go while others wait.
	answer := r.calls.DoChan(check.Name, func() (_ any, err error) {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
		defer cancel()
		defer func() {
			if value := recover(); value != nil {
				err = fmt.Errorf("the check panicked: %v", value)
			}
		}()
		return nil, check.Probe(own)
	})
	limit := time.NewTimer(probeTimeout)
	defer limit.Stop()
	select {
	case a := <-answer:
		return a.Err
	case <-limit.C:
		return fmt.Errorf("no answer within %v", probeTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *readiness) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	answer := r.run(request.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !answer.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer) // whoever asked has gone
}
