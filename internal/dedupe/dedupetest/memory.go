// Package dedupetest is a dedupe store in memory, for tests that cannot hold
// sockets. It answers as the scripts do; the model test of package dedupe holds
// the two against each other.
package dedupetest

import (
	"context"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
)

// Record is what is held of one purchase.
type Record struct {
	State    purchase.ClaimState
	Owner    string
	Lease    time.Time // zero: none
	Digest   purchase.Digest
	Attempts int
	Sent     bool
	TxID     string
	Expires  time.Time // zero: never
}

// Memory has the methods of dedupe.Store. It is safe for concurrent use.
type Memory struct {
	// Now is the server's clock. Default: time.Now.
	Now func() time.Time

	lease, ttl time.Duration

	mu      sync.Mutex
	records map[dedupe.Key]*Record
}

// NewMemory makes an empty store.
func NewMemory(lease, ttl time.Duration) *Memory {
	return &Memory{Now: time.Now, lease: lease, ttl: ttl, records: map[dedupe.Key]*Record{}}
}

// Flush forgets everything, as FLUSHALL does.
func (m *Memory) Flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.records)
}

// at runs do on the record of a key, under the lock, at the server's time.
func (m *Memory) at(k dedupe.Key, do func(r *Record, now time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Now()
	r := m.records[k]
	if r == nil || (!r.Expires.IsZero() && !r.Expires.After(now)) {
		r = &Record{}
	}
	do(r, now)
	if r.State == purchase.Absent {
		delete(m.records, k)
		return
	}
	m.records[k] = r
}

func (r *Record) heldByAnother(owner string, now time.Time) bool {
	return r.Owner != owner && r.Lease.After(now)
}

func (m *Memory) claim(c dedupe.Claim, from purchase.ClaimState) (a dedupe.Answer) {
	m.at(c.Key, func(r *Record, now time.Time) {
		a.State, a.Sent = r.State, r.Sent
		switch held := r.heldByAnother(c.Owner, now); {
		case r.State != purchase.Absent && r.Digest != c.Digest:
			a.Verdict = purchase.ClaimConflict
		case r.State == purchase.Absent || r.State == purchase.Released:
			a.Verdict = purchase.ClaimNew
		case r.State == purchase.Claimed && r.Owner == c.Owner:
			a.Verdict = purchase.ClaimAgain
		case (r.State == purchase.Claimed || r.State == from) && held:
			a.Verdict, a.Wait = purchase.ClaimInFlight, r.Lease.Sub(now)
		case r.State == purchase.Claimed || r.State == from:
			a.Verdict = purchase.ClaimTakenOver
		case r.State == purchase.Pending:
			a.Verdict = purchase.ClaimPending
		default:
			a.Verdict = purchase.ClaimSettled
		}
		if a.Verdict.Held() {
			r.State, r.Owner, r.Lease, r.Digest, r.Expires = purchase.Claimed, c.Owner, now.Add(m.lease), c.Digest, time.Time{}
			r.Sent = r.Sent || c.Sends
		}
		a.Attempts, a.TransactionID, a.Digest = r.Attempts, r.TxID, r.Digest
	})
	return a
}

// Claim is dedupe.Store's.
func (m *Memory) Claim(_ context.Context, claims []dedupe.Claim) ([]dedupe.Answer, error) {
	answers := make([]dedupe.Answer, len(claims))
	for i, c := range claims {
		answers[i] = m.claim(c, purchase.Absent)
	}
	return answers, nil
}

// Reopen is dedupe.Store's.
func (m *Memory) Reopen(_ context.Context, c dedupe.Claim, from purchase.ClaimState) (dedupe.Answer, error) {
	return m.claim(c, from), nil
}

func (m *Memory) renew(c dedupe.Claim, sent bool) (ours bool) {
	m.at(c.Key, func(r *Record, now time.Time) {
		if ours = r.State == purchase.Claimed && r.Owner == c.Owner; ours {
			r.Lease, r.Sent = now.Add(m.lease), r.Sent || sent
		}
	})
	return ours
}

// Extend is dedupe.Store's.
func (m *Memory) Extend(_ context.Context, claims []dedupe.Claim) ([]bool, error) {
	ours := make([]bool, len(claims))
	for i, c := range claims {
		ours[i] = m.renew(c, false)
	}
	return ours, nil
}

// MarkSent is dedupe.Store's.
func (m *Memory) MarkSent(_ context.Context, c dedupe.Claim) (bool, error) {
	return m.renew(c, true), nil
}

// Release is dedupe.Store's.
func (m *Memory) Release(_ context.Context, c dedupe.Claim, attempts int, sent bool) (ours bool, err error) {
	m.at(c.Key, func(r *Record, _ time.Time) {
		ours = r.Owner == c.Owner && (r.State == purchase.Claimed || r.State == purchase.Released)
		if ours && r.State == purchase.Claimed {
			r.State, r.Lease, r.Attempts, r.Sent = purchase.Released, time.Time{}, max(r.Attempts, attempts), sent
		}
	})
	return ours, nil
}

// MarkPending is dedupe.Store's.
func (m *Memory) MarkPending(_ context.Context, k dedupe.Key, d purchase.Digest, transactionID string, attempts int) (was purchase.ClaimState, err error) {
	m.at(k, func(r *Record, _ time.Time) {
		was = r.State
		if was == purchase.Settled {
			return
		}
		if was != purchase.Pending {
			r.Owner, r.Lease = "", time.Time{}
		}
		if transactionID != "" {
			r.TxID = transactionID
		}
		r.State, r.Digest, r.Sent, r.Attempts = purchase.Pending, d, true, max(r.Attempts, attempts)
	})
	return was, nil
}

// MarkSettled is dedupe.Store's.
func (m *Memory) MarkSettled(_ context.Context, k dedupe.Key, d purchase.Digest) (was purchase.ClaimState, err error) {
	m.at(k, func(r *Record, now time.Time) {
		was = r.State
		r.Sent = r.Sent || was == purchase.Absent
		r.State, r.Digest, r.Owner, r.Lease, r.Expires = purchase.Settled, d, "", time.Time{}, now.Add(m.ttl)
	})
	return was, nil
}

// HoldPost is dedupe.Store's.
func (m *Memory) HoldPost(_ context.Context, c dedupe.Claim, lease time.Duration) (hold dedupe.Hold, err error) {
	m.at(c.Key, func(r *Record, now time.Time) {
		switch {
		case r.State == purchase.Settled:
			return
		case c.Unanswered && r.TxID != "":
			hold.TransactionID = r.TxID
			return
		case r.State != purchase.Released && r.heldByAnother(c.Owner, now):
			return
		}
		hold.Ours = true
		r.State, r.Digest, r.Owner, r.Lease, r.Sent = purchase.Pending, c.Digest, c.Owner, now.Add(lease), true
	})
	return hold, nil
}

// Ping is dedupe.Store's.
func (m *Memory) Ping(context.Context) error { return nil }

// At is a copy of what is held of a purchase, for tests to look at.
func (m *Memory) At(k dedupe.Key) (r Record) {
	m.at(k, func(held *Record, _ time.Time) { r = *held })
	return r
}
