package vendor

import (
	"fmt"
	"math/rand"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// The vendor takes 5 logins and 10 refreshes a minute from one IP address
// ("Authentication"), which all replicas behind it share.
const (
	loginSpacing    = 12 * time.Second // after a 429 of a login
	refreshSpacing  = 6 * time.Second  // after a 429 of a refresh
	failureSpacing  = 3 * time.Second  // after an answer of no use, or none
	rejectedSpacing = time.Minute      // after credentials were refused
	freeRejections  = 2                // refusals before that spacing begins
	longestHold     = time.Minute
	holdJitter      = 0.25
	refreshesInARow = 3 // that fail before a login is tried instead
)

// hold keeps a login or refresh that failed from being tried again at once: in
// the meantime every caller is told the failure. The zero hold is not in force.
type hold struct {
	failures int // in a row, of the same kind
	kind     purchase.OutcomeKind
	until    time.Time
	err      *tokenError
}

// inForce returns the failure that is being held, nil if there is none.
func (h *hold) inForce(now time.Time) *tokenError {
	if h.err == nil || !now.Before(h.until) {
		return nil
	}
	return &tokenError{h.kind, fmt.Errorf("not tried again for %s: %w", h.until.Sub(now).Round(time.Second), h.err)}
}

// extend holds after a failure: refused credentials are tried twice, then once a
// minute; otherwise the wait doubles from its spacing to a minute. The jitter of
// a 429 is only ever added, so that the vendor's spacing is kept.
func (h *hold) extend(now time.Time, limited time.Duration, failed *tokenError) {
	if failed.kind != h.kind {
		h.failures = 0
	}
	h.failures++
	h.kind, h.err = failed.kind, failed
	var wait time.Duration
	switch failed.kind {
	case purchase.Unauthorized:
		if h.failures >= freeRejections {
			wait = rejectedSpacing
		}
	case purchase.Limited:
		wait = grown(limited, h.failures)
		wait += jitter(wait)
	default:
		wait = grown(failureSpacing, h.failures)
		wait += 2*jitter(wait) - time.Duration(holdJitter*float64(wait))
	}
	h.until = now.Add(wait)
}

// grown is base doubled for every failure but the first, a minute at most.
func grown(base time.Duration, failures int) time.Duration {
	for range failures - 1 {
		if base >= longestHold {
			break
		}
		base *= 2
	}
	return min(base, longestHold)
}

// jitter is a random part of up to a quarter of d. It comes from math/rand and not
// its second version, as that of package backoff does: tests can seed it.
func jitter(d time.Duration) time.Duration {
	return time.Duration(rand.Float64() * holdJitter * float64(d))
}
