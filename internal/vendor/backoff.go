package vendor

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The vendor's suggestion (pagamio-api.md, "Retry rules").
const (
	defaultRetryBase     = time.Second
	defaultRetryMax      = 60 * time.Second
	defaultRetryJitter   = 0.25
	defaultRetryAttempts = 5
)

// RetryPolicy is the vendor's retry rule: before attempt n+1 wait
// min(Base·2^(n-1), Max) ± Jitter. The jitter is around the capped delay, so
// with the defaults the longest wait is 75 s.
//
// RetryPolicy{} is the vendor's suggestion: 1 s, 60 s, 0.25, 5 attempts. In any
// other policy a Base, Max or Attempts of zero or less takes its default, and
// Jitter is taken as it is: 0 is none. A Jitter outside 0..1 is brought inside.
type RetryPolicy struct {
	Base, Max time.Duration
	Jitter    float64 // fraction of the delay, on either side
	Attempts  int     // calls in all, the first one included
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p == (RetryPolicy{}) {
		p.Jitter = defaultRetryJitter
	}
	if p.Base <= 0 {
		p.Base = defaultRetryBase
	}
	if p.Max <= 0 {
		p.Max = defaultRetryMax
	}
	if p.Attempts <= 0 {
		p.Attempts = defaultRetryAttempts
	}
	p.Jitter = min(max(p.Jitter, 0), 1)
	return p
}

// NewBackOff starts the policy for one operation: Attempts-1 delays, then
// backoff.Stop. There is no limit in time; the operation's context is the
// caller's to add. The policy is not safe for concurrent use and must not be
// shared between operations.
func (p RetryPolicy) NewBackOff() backoff.BackOff {
	p = p.withDefaults()
	exponential := backoff.NewExponentialBackOff(
		// backoff/v4 caps every interval but the first.
		backoff.WithInitialInterval(min(p.Base, p.Max)),
		backoff.WithMaxInterval(p.Max),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(p.Jitter),
		backoff.WithMaxElapsedTime(0),
	)
	return backoff.WithMaxRetries(exponential, uint64(p.Attempts-1))
}
