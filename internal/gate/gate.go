// Package gate says whether an account's vendor may be called now. It holds the
// account's breaker, for a vendor that is away, and its rest, for a vendor that
// refuses: limited (429) or unauthorised (401). It obeys the pause that all of
// the account's processes share.
package gate

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/sony/gobreaker/v2"

	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

const (
	// failuresToOpen is how many calls in a row must find the vendor away.
	failuresToOpen = 10
	// unauthorizedPause is how long an account rests after its credentials were
	// refused: the vendor allows five logins a minute for each address.
	unauthorizedPause = time.Minute
	// unauthorizedRetry is the same where processes share a pause: a second refusal
	// begins it, and it is probed once a minute.
	unauthorizedRetry = 2 * time.Second
	// look is how often a closed gate is looked at again.
	look = 100 * time.Millisecond
	// pauseLook is how often a pause is looked at again.
	pauseLook = 250 * time.Millisecond
)

const (
	reasonLimited      = "limited"
	reasonUnauthorized = "unauthorized"
)

// Config is what a Gate is made of.
type Config struct {
	// BackOff makes the policy that paces an account after a 429 (vendor: 1 s,
	// 2 s, 4 s … to 60 s, ±25 %).
	BackOff func() backoff.BackOff
	// Probe is the time between probes of a vendor that is away.
	Probe time.Duration
	// Changed is told the breaker's state when it changes: "closed",
	// "half-open" or "open". Nil: nobody.
	Changed func(state string)
	// Shared is the pause that the account's processes share. Nil: none.
	Shared Shared
	// Polls says that Room and Wait are for calls that purchase nothing, which only
	// refused credentials hold up.
	Polls bool
}

// Shared is an account's pause.
type Shared interface {
	Record() pause.Record
	// Probe takes the right to one call in spite of the pause, a consumer's or a
	// poller's.
	Probe(ctx context.Context, poller bool) bool
	// Observe is told what a call said.
	Observe(o purchase.Outcome, c pause.Call)
}

// Gate is one account's. It is safe for concurrent use.
type Gate struct {
	config  Config
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu     sync.Mutex
	until  time.Time
	reason string
	policy backoff.BackOff // nil while nothing is limited
	paced  time.Duration   // the policy's last delay
	probe  right
	// succeeded is when a purchase last did.
	succeeded time.Time
}

// New makes a gate that is open to calls.
func New(c Config) *Gate {
	g := &Gate{config: c}
	g.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     c.Probe,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failuresToOpen },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if c.Changed != nil {
				c.Changed(to.String())
			}
		},
	})
	return g
}

// Room waits until calls may be made and says how many of room there is leave
// for: one while a vendor that was away, or a pause, is probed. It returns 0 when
// ctx ends.
func (g *Gate) Room(ctx context.Context, room int) int {
	for ctx.Err() == nil {
		if !g.Wait(ctx) {
			break
		}
		switch g.breaker.State() {
		case gobreaker.StateOpen:
			worker.Sleep(ctx, look)
		case gobreaker.StateHalfOpen:
			if g.breaker.Counts().Requests == 0 {
				return min(1, room)
			}
			worker.Sleep(ctx, look) // the probe is under way
		default:
			if g.held(!g.config.Polls) {
				return min(1, room) // the probe
			}
			return room
		}
	}
	return 0
}

// Reason says what holds the account up: a pause's cause, "limited",
// "unauthorized", "vendor away", or "" where nothing does.
func (g *Gate) Reason() string {
	if cause := g.Shared().Cause; cause != pause.None {
		return string(cause)
	}
	if g.paused() > 0 {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.reason
	}
	if g.breaker.State() == gobreaker.StateOpen {
		return "vendor away"
	}
	return ""
}

// Wait waits for the end of a rest and of a pause, or for the right to probe, and
// reports whether it came before ctx ended.
func (g *Gate) Wait(ctx context.Context) bool {
	for ctx.Err() == nil {
		if wait := g.paused(); wait > 0 {
			worker.Sleep(ctx, wait)
			continue
		}
		if !g.held(!g.config.Polls) || g.mayProbe(ctx) {
			return true
		}
		worker.Sleep(ctx, pauseLook)
	}
	return false
}

// Call makes a call that purchases nothing through the gate. False means that it
// was not made: the account rests or its credentials are refused, or the breaker
// is open.
func (g *Gate) Call(call func() purchase.Outcome) (purchase.Outcome, bool) {
	return g.call(call, false)
}

// Purchase makes a purchase call through the gate. False means that it was not
// made: the account rests or is paused, or the breaker is open.
func (g *Gate) Purchase(call func() purchase.Outcome) (purchase.Outcome, bool) {
	return g.call(call, true)
}

func (g *Gate) call(call func() purchase.Outcome, purchases bool) (purchase.Outcome, bool) {
	if g.paused() > 0 {
		return purchase.Outcome{}, false
	}
	probe := g.held(purchases)
	if probe && !g.useProbe() {
		return purchase.Outcome{}, false
	}
	done, err := g.breaker.Allow()
	if err != nil {
		return purchase.Outcome{}, false
	}
	outcome := purchase.Outcome{Kind: purchase.Unknown}
	defer func() { done(g.record(outcome)) }() // also where call panics
	outcome = call()
	if purchases && (outcome.Kind == purchase.Completed || outcome.Kind == purchase.InFlight) {
		g.mu.Lock()
		g.succeeded = time.Now()
		g.mu.Unlock()
	}
	if g.config.Shared != nil {
		g.config.Shared.Observe(outcome, pause.Call{Purchase: purchases, Probe: probe})
	}
	return outcome, true
}

var errAway = errors.New("gate: the vendor is away")

// record keeps the pause and says whether the vendor was found away.
func (g *Gate) record(o purchase.Outcome) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch o.Kind {
	case purchase.Limited:
		g.limited()
	case purchase.Unauthorized:
		rest := unauthorizedPause
		if g.config.Shared != nil {
			rest = unauthorizedRetry
		}
		g.pause(rest, reasonUnauthorized)
	case purchase.Unknown, purchase.Unreachable:
		return errAway
	default:
		g.policy = nil
	}
	return nil
}

// limited takes the policy's next step. Answers to calls that were under way
// when the pause began belong to the same step: a burst does not use up the
// policy. A policy that has ended goes on with its last delay.
func (g *Gate) limited() {
	if g.reason == reasonLimited && time.Now().Before(g.until) {
		return
	}
	if g.policy == nil {
		g.policy, g.paced = g.config.BackOff(), look
	}
	if next := g.policy.NextBackOff(); next != backoff.Stop {
		g.paced = next
	}
	g.pause(g.paced, reasonLimited)
}

// pause never shortens one that is under way.
func (g *Gate) pause(d time.Duration, reason string) {
	if until := time.Now().Add(d); until.After(g.until) {
		g.until, g.reason = until, reason
	}
}

func (g *Gate) paused() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.until)
}

// Pause is how long the account rests after a refusal, or 0.
func (g *Gate) Pause() time.Duration { return max(0, g.paused()) }

// Closed reports whether a purchase was not made because the account rests or is
// paused, and not because the vendor is away.
func (g *Gate) Closed() bool { return g.paused() > 0 || g.held(true) }
