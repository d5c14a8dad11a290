package simulator

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Stats counts what the vendor did since it was made or reset.
type Stats struct {
	// Calls are counted by endpoint and HTTP status; "none" stands for a call that
	// got no answer.
	Calls map[Endpoint]map[string]int64 `json:"calls"`
	// Logins and Refreshes were answered with 200.
	Logins    int64 `json:"logins"`
	Refreshes int64 `json:"refreshes"`
	// Vends are completed transactions, References the entries of the ledger.
	Vends      int64 `json:"vends"`
	References int64 `json:"references"`
	Open       int64 `json:"open"`
	// RepostedWhileOpen sums the ledger's counter: promise 2 broken.
	RepostedWhileOpen int64 `json:"reposted_while_open"`
	// SecondVends are references with more than one vend: promise 2 broken.
	SecondVends int64 `json:"second_vends"`
	// IdempotencyKeys are requests that bore an Idempotency-Key, which makes some
	// HTTP clients repeat a purchase by themselves.
	IdempotencyKeys int64 `json:"idempotency_keys"`
	// Redirected are redirects that a client followed.
	Redirected int64 `json:"redirected"`
}

// Total is the number of calls of an endpoint, whatever became of them.
func (st Stats) Total(of Endpoint) int64 {
	var total int64
	for _, n := range st.Calls[of] {
		total += n
	}
	return total
}

const highestStatus = 600

// counters are counted without a lock: index 0 of a status is a call without an
// answer.
type counters struct {
	calls           [len(endpoints)][highestStatus]atomic.Int64
	idempotencyKeys atomic.Int64
	redirected      atomic.Int64
}

func (c *counters) count(of Endpoint, rep *reply) {
	status := rep.status
	if rep.wire == wireReset || rep.wire == wireNone {
		status = 0
	}
	for i, e := range endpoints {
		if e == of {
			c.calls[i][status].Add(1)
			return
		}
	}
}

func (c *counters) reset() {
	for i := range c.calls {
		for status := range c.calls[i] {
			c.calls[i][status].Store(0)
		}
	}
	c.idempotencyKeys.Store(0)
	c.redirected.Store(0)
}

// Stats is a snapshot of the counters.
func (s *Simulator) Stats() Stats {
	st := Stats{
		Calls:           make(map[Endpoint]map[string]int64),
		IdempotencyKeys: s.counters.idempotencyKeys.Load(),
		Redirected:      s.counters.redirected.Load(),
	}
	for i, e := range endpoints {
		for status := range s.counters.calls[i] {
			n := s.counters.calls[i][status].Load()
			if n == 0 {
				continue
			}
			if st.Calls[e] == nil {
				st.Calls[e] = make(map[string]int64)
			}
			name := "none"
			if status > 0 {
				name = strconv.Itoa(status)
			}
			st.Calls[e][name] = n
		}
	}
	succeeded := strconv.Itoa(http.StatusOK)
	st.Logins = st.Calls[EndpointToken][succeeded]
	st.Refreshes = st.Calls[EndpointRefresh][succeeded]
	now := s.cfg.Now()
	for _, a := range s.accounts {
		a.addTo(&st, now)
	}
	return st
}

func (a *account) addTo(st *Stats, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settleAll(now)
	st.Vends += a.vends
	st.References += int64(len(a.records))
	st.Open += int64(len(a.open))
	for _, rec := range a.records {
		st.RepostedWhileOpen += int64(rec.repostedOpen)
		if len(rec.forgotten) > 0 && rec.vends() > 1 {
			st.SecondVends++
		}
	}
}
