package quota

import (
	"sync"
	"time"
)

// Permits is a set of permits. The zero value is empty. Copies are the same
// set; it is safe for concurrent use.
type Permits struct{ set *permits }

type permits struct {
	limiter *Limiter
	until   time.Time

	mu      sync.Mutex
	names   []string // of a limited account
	unnamed int      // of an unlimited account: neither counted nor given back
}

// Len is how many permits can be used now: none once their validity is over.
func (p Permits) Len() int {
	if p.set == nil {
		return 0
	}
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	return p.set.good()
}

// Unused is how many permits are there, also where their validity is over: until they
// are given back the account's limit counts them.
func (p Permits) Unused() int {
	if p.set == nil {
		return 0
	}
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	return len(p.set.names) + p.set.unnamed
}

// Use consumes one permit, right before the call that it permits. False says
// that none is left or their validity is over: the call must not be made.
func (p Permits) Use() bool {
	if p.set == nil {
		return false
	}
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	if p.set.good() == 0 {
		return false
	}
	if p.set.unnamed > 0 {
		p.set.unnamed--
		return true
	}
	last := len(p.set.names) - 1
	p.set.limiter.report(report{permit: p.set.names[last], used: p.set.limiter.now()})
	p.set.names = p.set.names[:last]
	return true
}

// good is called with the lock held.
func (s *permits) good() int {
	if len(s.names) > 0 && !s.limiter.now().Before(s.until) {
		return 0
	}
	return len(s.names) + s.unnamed
}

// leftOver takes out what is left once the validity is over. It reports whether
// the set is done with.
func (s *permits) leftOver() (names []string, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good() > 0 {
		return nil, false
	}
	names, s.names = s.names, nil
	return names, true
}

// empty takes out all that is left and returns its names.
func (p Permits) empty() []string {
	if p.set == nil {
		return nil
	}
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	names := p.set.names
	p.set.names, p.set.unnamed = nil, 0
	return names
}
