package simulator

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// LimitKind is how a limit is enforced. The documentation gives the figure and
// not the method, so a client must be right under both.
type LimitKind string

const (
	// FixedWindow counts requests in windows that start at whole multiples of Per.
	FixedWindow LimitKind = "fixed-window"
	// TokenBucket holds Requests permits and gains one every Per/Requests.
	TokenBucket LimitKind = "token-bucket"
)

// Limit allows Requests in each Per. Requests 0 is unlimited. Per is a minute
// and Kind a fixed window by default.
type Limit struct {
	Requests int       `json:"requests" yaml:"requests"`
	Per      Duration  `json:"per" yaml:"per"`
	Kind     LimitKind `json:"kind" yaml:"kind"`
}

func (l Limit) check(key string) error {
	if l.Requests < 0 || l.Per < 0 {
		return fmt.Errorf("simulator: %s: must not be negative", key)
	}
	if l.Kind != "" && l.Kind != FixedWindow && l.Kind != TokenBucket {
		return fmt.Errorf("simulator: %s: %q is no kind of limit", key, l.Kind)
	}
	return nil
}

// limiter enforces a Limit. The zero Limit lets everything pass.
type limiter struct {
	limit Limit

	mu     sync.Mutex
	window time.Time // FixedWindow: start of the current window
	used   int       // FixedWindow: permits used in it
	full   time.Time // TokenBucket: when the bucket will be full again
}

func newLimiter(l Limit) *limiter {
	fill(&l.Per, Duration(time.Minute))
	fill(&l.Kind, FixedWindow)
	return &limiter{limit: l}
}

// allow takes a permit, or reports that there is none.
func (l *limiter) allow(now time.Time) bool {
	if l.limit.Requests == 0 {
		return true
	}
	per := time.Duration(l.limit.Per)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit.Kind == TokenBucket {
		// The bucket is kept as the time at which it will be full: each permit
		// taken moves that on by one interval, never further than a whole Per.
		full := l.full
		if full.Before(now) {
			full = now
		}
		full = full.Add(per / time.Duration(l.limit.Requests))
		if full.Sub(now) > per {
			return false
		}
		l.full = full
		return true
	}
	if window := now.Truncate(per); !window.Equal(l.window) {
		l.window, l.used = window, 0
	}
	if l.used >= l.limit.Requests {
		return false
	}
	l.used++
	return true
}

func (l *limiter) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.window, l.used, l.full = time.Time{}, 0, time.Time{}
}

// maxAddresses bounds the memory for limits by address.
const maxAddresses = 4096

// addressLimiter has one limiter for each IP address
// (pagamio-api.md, "Authentication": limits are per IP address).
type addressLimiter struct {
	limit Limit

	mu        sync.Mutex
	addresses map[string]*limiter
}

func newAddressLimiter(l Limit) *addressLimiter {
	return &addressLimiter{limit: l, addresses: make(map[string]*limiter)}
}

func (a *addressLimiter) allow(remote string, now time.Time) bool {
	if a.limit.Requests == 0 {
		return true
	}
	address, _, err := net.SplitHostPort(remote)
	if err != nil {
		address = remote
	}
	a.mu.Lock()
	l, ok := a.addresses[address]
	if !ok {
		if len(a.addresses) >= maxAddresses {
			clear(a.addresses)
		}
		l = newLimiter(a.limit)
		a.addresses[address] = l
	}
	a.mu.Unlock()
	return l.allow(now)
}

func (a *addressLimiter) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.addresses)
}
