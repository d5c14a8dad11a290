package dedupe

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vendstream/vendstream/internal/purchase"
)

// model is a record as it should be, written from the contract of the methods
// and not from the scripts.
type model struct {
	state    purchase.ClaimState
	owner    string
	lease    int64 // milliseconds; 0: none
	digest   purchase.Digest
	attempts int
	sent     bool
	txid     string
	expires  int64 // milliseconds; 0: never
}

func (m *model) tick(now int64) {
	if m.expires > 0 && m.expires <= now {
		*m = model{}
	}
}

func (m *model) heldByAnother(owner string, now int64) bool {
	return m.owner != owner && m.lease > now
}

func (m *model) claim(c Claim, now, lease int64, from purchase.ClaimState) Answer {
	m.tick(now)
	a := Answer{State: m.state, Sent: m.sent}
	switch held := m.heldByAnother(c.Owner, now); {
	case m.state != purchase.Absent && m.digest != c.Digest:
		a.Verdict = purchase.ClaimConflict
	case m.state == purchase.Absent || m.state == purchase.Released:
		a.Verdict = purchase.ClaimNew
	case m.state == purchase.Claimed && m.owner == c.Owner:
		a.Verdict = purchase.ClaimAgain
	case (m.state == purchase.Claimed || m.state == from) && held:
		a.Verdict, a.Wait = purchase.ClaimInFlight, time.Duration(m.lease-now)*time.Millisecond
	case m.state == purchase.Claimed || m.state == from:
		a.Verdict = purchase.ClaimTakenOver
	case m.state == purchase.Pending:
		a.Verdict = purchase.ClaimPending
	default:
		a.Verdict = purchase.ClaimSettled
	}
	if a.Verdict.Held() {
		m.state, m.owner, m.lease, m.digest, m.expires = purchase.Claimed, c.Owner, now+lease, c.Digest, 0
		m.sent = m.sent || c.Sends
	}
	a.Attempts, a.TransactionID, a.Digest = m.attempts, m.txid, m.digest
	return a
}

func (m *model) renew(c Claim, now, lease int64, sent bool) bool {
	m.tick(now)
	if m.state != purchase.Claimed || m.owner != c.Owner {
		return false
	}
	m.lease, m.sent = now+lease, m.sent || sent
	return true
}

func (m *model) release(c Claim, now int64, attempts int, sent bool) bool {
	m.tick(now)
	if m.owner != c.Owner || (m.state != purchase.Claimed && m.state != purchase.Released) {
		return false
	}
	if m.state == purchase.Claimed {
		m.state, m.lease, m.attempts, m.sent = purchase.Released, 0, max(m.attempts, attempts), sent
	}
	return true
}

func (m *model) pending(d purchase.Digest, now int64, txid string, attempts int) purchase.ClaimState {
	m.tick(now)
	was := m.state
	if was == purchase.Settled {
		return was
	}
	if was != purchase.Pending {
		m.owner, m.lease = "", 0
	}
	if txid != "" {
		m.txid = txid
	}
	m.state, m.digest, m.sent, m.attempts = purchase.Pending, d, true, max(m.attempts, attempts)
	return was
}

func (m *model) settled(d purchase.Digest, now, ttl int64) purchase.ClaimState {
	m.tick(now)
	was := m.state
	m.sent = m.sent || was == purchase.Absent
	m.state, m.digest, m.owner, m.lease, m.expires = purchase.Settled, d, "", 0, now+ttl
	return was
}

func (m *model) hold(c Claim, now, lease int64) Hold {
	m.tick(now)
	switch {
	case m.state == purchase.Settled:
		return Hold{}
	case c.Unanswered && m.txid != "":
		return Hold{TransactionID: m.txid}
	case m.state != purchase.Released && m.heldByAnother(c.Owner, now):
		return Hold{}
	}
	m.state, m.digest, m.owner, m.lease, m.sent = purchase.Pending, c.Digest, c.Owner, now+lease, true
	return Hold{Ours: true}
}

// Random calls, each of them sent twice at times as after a lost answer, are
// answered as the model answers them.
func TestModel(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			runModel(t, rt, h, fmt.Sprintf("ref-%d", round))
		})
	})
}

func runModel(t *testing.T, rt *rapid.T, h *harness, ref string) {
	ctx := t.Context()
	s, m := h.store(), &model{}
	const lease, ttl = int64(time.Hour / time.Millisecond), int64(2 * time.Hour / time.Millisecond)
	drawClaim := func(rt *rapid.T) Claim {
		c := claimOf(ref, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "owner"))
		// Most calls are for the same payload, or little but conflicts would come.
		if rapid.IntRange(0, 7).Draw(rt, "payload") == 0 {
			c.Digest = digestB
		}
		c.Sends = rapid.Bool().Draw(rt, "sends")
		c.Unanswered = rapid.Bool().Draw(rt, "unanswered")
		return c
	}
	times := func(rt *rapid.T) int { return rapid.IntRange(1, 2).Draw(rt, "times sent") }
	same := func(rt *rapid.T, got, want any, err error) {
		if err != nil {
			rt.Fatal(err)
		}
		if got != want {
			rt.Fatalf("got %+v, want %+v", got, want)
		}
	}
	sameAnswer := func(rt *rapid.T, got, want Answer, err error) {
		// A clock that runs leaves a little less than the model's.
		if !h.exact && got.Wait > 0 && got.Wait <= want.Wait && want.Wait-got.Wait < time.Minute {
			got.Wait = want.Wait
		}
		same(rt, got, want, err)
	}
	rt.Repeat(map[string]func(*rapid.T){
		"": func(rt *rapid.T) {
			m.tick(h.now)
			same(rt, h.state(t, s, Key{"acme", ref}), m.state, nil)
		},
		"claim": func(rt *rapid.T) {
			c := drawClaim(rt)
			for range times(rt) {
				got, err := s.Claim(ctx, []Claim{c})
				if err != nil {
					rt.Fatal(err)
				}
				sameAnswer(rt, got[0], m.claim(c, h.now, lease, purchase.Absent), err)
			}
		},
		"claim for a moment": func(rt *rapid.T) {
			c := drawClaim(rt)
			got, err := h.brief().Claim(ctx, []Claim{c})
			if err != nil {
				rt.Fatal(err)
			}
			sameAnswer(rt, got[0], m.claim(c, h.now, brief.Milliseconds(), purchase.Absent), err)
			h.pass(brief)
		},
		"reopen": func(rt *rapid.T) {
			c := drawClaim(rt)
			from := rapid.SampledFrom([]purchase.ClaimState{purchase.Pending, purchase.Settled}).Draw(rt, "from")
			for range times(rt) {
				got, err := s.Reopen(ctx, c, from)
				sameAnswer(rt, got, m.claim(c, h.now, lease, from), err)
			}
		},
		"extend": func(rt *rapid.T) {
			c := drawClaim(rt)
			got, err := s.Extend(ctx, []Claim{c})
			if err != nil {
				rt.Fatal(err)
			}
			same(rt, got[0], m.renew(c, h.now, lease, false), err)
		},
		"mark sent": func(rt *rapid.T) {
			c := drawClaim(rt)
			for range times(rt) {
				got, err := s.MarkSent(ctx, c)
				same(rt, got, m.renew(c, h.now, lease, true), err)
			}
		},
		"release": func(rt *rapid.T) {
			c := drawClaim(rt)
			attempts, sent := rapid.IntRange(0, 3).Draw(rt, "attempts"), rapid.Bool().Draw(rt, "sent")
			for range times(rt) {
				got, err := s.Release(ctx, c, attempts, sent)
				same(rt, got, m.release(c, h.now, attempts, sent), err)
			}
		},
		"mark pending": func(rt *rapid.T) {
			c := drawClaim(rt)
			txid, attempts := rapid.SampledFrom([]string{"", "t1", "t2"}).Draw(rt, "txid"), rapid.IntRange(0, 3).Draw(rt, "attempts")
			for range times(rt) {
				got, err := s.MarkPending(ctx, c.Key, c.Digest, txid, attempts)
				same(rt, got, m.pending(c.Digest, h.now, txid, attempts), err)
			}
		},
		"mark settled": func(rt *rapid.T) {
			c := drawClaim(rt)
			for range times(rt) {
				got, err := s.MarkSettled(ctx, c.Key, c.Digest)
				same(rt, got, m.settled(c.Digest, h.now, ttl), err)
			}
		},
		"hold post": func(rt *rapid.T) {
			c := drawClaim(rt)
			for range times(rt) {
				got, err := s.HoldPost(ctx, c, time.Hour)
				same(rt, got, m.hold(c, h.now, lease), err)
			}
		},
		"hold post for a moment": func(rt *rapid.T) {
			c := drawClaim(rt)
			got, err := s.HoldPost(ctx, c, brief)
			same(rt, got, m.hold(c, h.now, brief.Milliseconds()), err)
			h.pass(brief)
		},
		"time passes": func(rt *rapid.T) {
			d := brief
			if h.exact {
				minutes := rapid.IntRange(1, 150).Draw(rt, "minutes")
				d = time.Duration(minutes) * time.Minute
			}
			h.pass(d)
		},
		"redis forgets": func(rt *rapid.T) {
			if rapid.IntRange(0, 5).Draw(rt, "rarely") == 0 {
				h.flush()
				*m = model{}
			}
		},
	})
}
