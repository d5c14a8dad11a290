package dedupe

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// What one handling learned is there for the next.
func TestWhatIsKnownStays(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, first, second := h.store(), claimOf("r", "first"), claimOf("r", "second")
		check := func(got Answer, attempts int, sent bool, txid string) {
			t.Helper()
			if got.Attempts != attempts || got.Sent != sent || got.TransactionID != txid {
				t.Errorf("attempts %d, sent %v, transaction %q; want %d, %v, %q",
					got.Attempts, got.Sent, got.TransactionID, attempts, sent, txid)
			}
		}
		check(expect(t, s, first, purchase.ClaimNew), 0, false, "")
		must(t, true)(s.MarkSent(t.Context(), first))
		check(expect(t, s, first, purchase.ClaimAgain), 0, true, "")
		must(t, true)(s.Release(t.Context(), first, 2, true))
		check(expect(t, s, second, purchase.ClaimNew), 2, true, "")
		must(t, true)(s.Release(t.Context(), second, 1, true)) // fewer than are known
		check(expect(t, s, second, purchase.ClaimNew), 2, true, "")
		// The call that was marked could not be made, and its owner knows.
		must(t, true)(s.Release(t.Context(), second, 2, false))
		check(expect(t, s, second, purchase.ClaimNew), 2, false, "")
		before(t, purchase.Claimed)(s.MarkPending(t.Context(), first.Key, digestA, "tx", 3))
		check(expect(t, s, first, purchase.ClaimPending), 3, true, "tx")
		before(t, purchase.Pending)(s.MarkPending(t.Context(), first.Key, digestA, "", 1))
		check(expect(t, s, first, purchase.ClaimPending), 3, true, "tx")
		before(t, purchase.Pending)(settled(t.Context(), s, first))
		before(t, purchase.Settled)(s.MarkPending(t.Context(), first.Key, digestB, "other", 9))
		check(expect(t, s, first, purchase.ClaimSettled), 3, true, "tx")
		got, err := s.Reopen(t.Context(), second, purchase.Settled)
		if err != nil || got.Verdict != purchase.ClaimTakenOver || got.State != purchase.Settled {
			t.Fatalf("reopen: %+v, %v", got, err)
		}
		check(got, 3, true, "tx")
		checkTTL(t, h, s, first.Key, purchase.Claimed)
	})
}

// The owner that was replaced can do nothing any more.
func TestALostClaimIsLost(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, old, young := h.store(), claimOf("r", "old"), claimOf("r", "young")
		expect(t, h.brief(), old, purchase.ClaimNew)
		h.pass(brief)
		// The lease is over, and nobody came: it can still be renewed.
		must(t, true)(h.brief().MarkSent(t.Context(), old))
		h.pass(brief)
		if got := expect(t, s, young, purchase.ClaimTakenOver); !got.Sent {
			t.Error("the first owner's call is forgotten")
		}
		must(t, false)(s.MarkSent(t.Context(), old))
		must(t, false)(s.Release(t.Context(), old, 5, true))
		held, err := s.Extend(t.Context(), []Claim{old, young})
		if err != nil || held[0] || !held[1] {
			t.Fatalf("extend: %v, %v", held, err)
		}
		expect(t, s, old, purchase.ClaimInFlight)
	})
}

func TestReopenOnlyWhatIsStillSo(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, c, other := h.store(), claimOf("r", "me"), claimOf("r", "other")
		reopen := func(from purchase.ClaimState, want purchase.Verdict) {
			t.Helper()
			got, err := s.Reopen(t.Context(), c, from)
			if err != nil || got.Verdict != want {
				t.Fatalf("reopen from %s: %+v, %v, want %v", from, got, err, want)
			}
		}
		must(t, true)(ours(s.HoldPost(t.Context(), other, brief)))
		reopen(purchase.Settled, purchase.ClaimPending)
		must(t, true)(ours(s.HoldPost(t.Context(), other, time.Hour)))
		reopen(purchase.Pending, purchase.ClaimInFlight) // a poller is at it
		before(t, purchase.Pending)(settled(t.Context(), s, other))
		reopen(purchase.Pending, purchase.ClaimSettled)
		c.Digest = digestB
		reopen(purchase.Settled, purchase.ClaimConflict)
		c.Digest = digestA
		reopen(purchase.Settled, purchase.ClaimTakenOver)
		reopen(purchase.Settled, purchase.ClaimAgain) // its answer was lost
		for _, from := range []purchase.ClaimState{purchase.Absent, purchase.Claimed, purchase.Released} {
			if _, err := s.Reopen(t.Context(), c, from); err == nil {
				t.Errorf("reopened from %q", from)
			}
		}
	})
}

func TestHoldPostIsExclusive(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, a, b := h.store(), claimOf("r", "a"), claimOf("r", "b")
		must(t, true)(ours(s.HoldPost(t.Context(), a, brief))) // creates the record
		h.pass(brief)
		must(t, true)(ours(s.HoldPost(t.Context(), b, time.Hour))) // a's is over
		must(t, false)(ours(s.HoldPost(t.Context(), a, time.Hour)))
		before(t, purchase.Pending)(pending(t.Context(), s, a)) // does not end the hold
		must(t, false)(ours(s.HoldPost(t.Context(), a, time.Hour)))
		must(t, true)(ours(s.HoldPost(t.Context(), b, time.Hour))) // renews
		before(t, purchase.Pending)(settled(t.Context(), s, a))
		must(t, false)(ours(s.HoldPost(t.Context(), b, time.Hour)))

		worked := claimOf("worked on", "consumer")
		expect(t, s, worked, purchase.ClaimNew)
		worked.Owner = "poller"
		must(t, false)(ours(s.HoldPost(t.Context(), worked, 0)))
		if got := h.state(t, s, worked.Key); got != purchase.Claimed {
			t.Errorf("a running claim became %q", got)
		}
	})
}

// Of many owners that claim at once each purchase goes to exactly one.
func TestRace(t *testing.T) {
	const owners, purchases = 8, 50
	conformance(t, func(t *testing.T, h *harness) {
		s := h.store()
		results := make([][]Answer, owners)
		errs := make([]error, owners)
		var wg sync.WaitGroup
		for o := range owners {
			claims := make([]Claim, purchases)
			for i := range claims {
				claims[i] = claimOf("r"+number(i), "owner"+number(o))
			}
			wg.Go(func() { results[o], errs[o] = s.Claim(t.Context(), claims) })
		}
		wg.Wait()
		for i := range purchases {
			granted := 0
			for o := range owners {
				if errs[o] != nil {
					t.Fatal(errs[o])
				}
				switch got := results[o][i]; got.Verdict {
				case purchase.ClaimNew:
					granted++
				case purchase.ClaimInFlight:
				default:
					t.Errorf("purchase %d, owner %d: %v", i, o, got.Verdict)
				}
			}
			if granted != 1 {
				t.Errorf("purchase %d was granted to %d owners", i, granted)
			}
		}
	})
}

// A batch is answered by position; a purchase that is in it twice goes to the
// first.
func TestBatch(t *testing.T) {
	const size = 1000
	conformance(t, func(t *testing.T, h *harness) {
		s := h.store()
		claims := make([]Claim, size)
		want := make([]purchase.Verdict, size)
		for i := range claims {
			claims[i], want[i] = claimOf("r"+number(i), "me"), purchase.ClaimNew
			switch {
			case i > 0 && i%10 == 0:
				claims[i].Reference, claims[i].Owner, want[i] = claims[i-1].Reference, "another", purchase.ClaimInFlight
			case i%10 == 3:
				before(t, purchase.Absent)(settled(t.Context(), s, claims[i]))
				want[i] = purchase.ClaimSettled
			}
		}
		answers, err := s.Claim(t.Context(), claims)
		if err != nil {
			t.Fatal(err)
		}
		held, err := s.Extend(t.Context(), claims)
		if err != nil {
			t.Fatal(err)
		}
		for i := range claims {
			if answers[i].Verdict != want[i] {
				t.Errorf("claim %d: %v, want %v", i, answers[i].Verdict, want[i])
			}
			if held[i] != want[i].Held() {
				t.Errorf("extend %d: %v after %v", i, held[i], want[i])
			}
		}
		if answers, err := s.Claim(t.Context(), nil); answers != nil || err != nil {
			t.Errorf("an empty batch: %v, %v", answers, err)
		}
		if held, err := s.Extend(t.Context(), nil); held != nil || err != nil {
			t.Errorf("an empty batch: %v, %v", held, err)
		}
	})
}

// Whatever a reference holds, it is one purchase and no other's.
func TestOddReferences(t *testing.T) {
	refs := []string{
		"plain", "with space", "a:b", ":", "a:b:c", "{a}", "{}", "{", "}{", "ref{acme}", "*", "?", "[x]",
		"größe", "購入-1", "🙂", `"quoted"`, `back\slash`, "%s %d", "$1", "-1", "a\u00a0b", strings.Repeat("x", purchase.MaxReference),
	}
	accounts := []string{"acme", "acme-2", "a"}
	conformance(t, func(t *testing.T, h *harness) {
		s := h.store()
		for round, want := range []purchase.Verdict{purchase.ClaimNew, purchase.ClaimAgain} {
			for _, account := range accounts {
				for _, ref := range refs {
					if !purchase.ValidReference(ref) {
						t.Fatalf("%q is no reference", ref)
					}
					c := Claim{Key: Key{account, ref}, Digest: digestA, Owner: account + ref}
					if got := claim(t, s, c); got.Verdict != want {
						t.Errorf("round %d, %s %q: %v, want %v", round, account, ref, got.Verdict, want)
					}
				}
			}
		}
	})
}

func TestSettledRecordsExpire(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, c := h.brief(), claimOf("r", "me")
		before(t, purchase.Absent)(settled(t.Context(), s, c))
		h.pass(2 * brief) // Redis expires a key in the millisecond after
		if got := expect(t, s, c, purchase.ClaimNew); got.Sent || got.Attempts != 0 {
			t.Errorf("something is left: %+v", got)
		}
		// Reopening takes the time to live away.
		before(t, purchase.Claimed)(settled(t.Context(), New(h.client, Config{Prefix: "test", TTL: time.Second}), c))
		if got, err := s.Reopen(t.Context(), c, purchase.Settled); err != nil || !got.Verdict.Held() {
			t.Fatalf("reopen: %+v, %v", got, err)
		}
		h.pass(time.Second)
		expect(t, s, c, purchase.ClaimAgain)
	})
}

// A result or a hand-off that is found where nothing was recorded says nothing
// of calls: one may have been made.
func TestWhatIsNotKnownCountsAsSent(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s := h.store()
		for _, from := range []purchase.ClaimState{purchase.Pending, purchase.Settled} {
			c := claimOf("lost "+string(from), "me")
			mark := pending
			if from == purchase.Settled {
				mark = settled
			}
			before(t, purchase.Absent)(mark(t.Context(), s, c))
			if got, err := s.Reopen(t.Context(), c, from); err != nil || !got.Sent {
				t.Errorf("%s: %+v, %v", from, got, err)
			}
		}
		// Refused here: known never to have been sent.
		c := claimOf("refused", "me")
		expect(t, s, c, purchase.ClaimNew)
		before(t, purchase.Claimed)(settled(t.Context(), s, c))
		if got := expect(t, s, c, purchase.ClaimSettled); got.Sent {
			t.Error("a purchase that was refused counts as sent")
		}
	})
}
