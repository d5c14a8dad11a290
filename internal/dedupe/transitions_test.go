package dedupe

import (
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// situations are the states a record can be in, as another owner's calls make
// them.
var situations = []struct {
	name  string
	state purchase.ClaimState
	set   func(t *testing.T, h *harness, c Claim)
}{
	{"absent", purchase.Absent, func(*testing.T, *harness, Claim) {}},
	{"claimed", purchase.Claimed, func(t *testing.T, h *harness, c Claim) {
		expect(t, h.store(), c, purchase.ClaimNew)
	}},
	{"lease over", purchase.Claimed, func(t *testing.T, h *harness, c Claim) {
		expect(t, h.brief(), c, purchase.ClaimNew)
		h.pass(brief)
	}},
	{"released", purchase.Released, func(t *testing.T, h *harness, c Claim) {
		expect(t, h.store(), c, purchase.ClaimNew)
		must(t, true)(h.store().Release(t.Context(), c, 0, false))
	}},
	{"pending", purchase.Pending, func(t *testing.T, h *harness, c Claim) {
		before(t, purchase.Absent)(pending(t.Context(), h.store(), c))
	}},
	{"held by a poller", purchase.Pending, func(t *testing.T, h *harness, c Claim) {
		must(t, true)(ours(h.store().HoldPost(t.Context(), c, 0)))
	}},
	{"hold over", purchase.Pending, func(t *testing.T, h *harness, c Claim) {
		must(t, true)(ours(h.store().HoldPost(t.Context(), c, brief)))
		h.pass(brief)
	}},
	{"settled", purchase.Settled, func(t *testing.T, h *harness, c Claim) {
		before(t, purchase.Absent)(settled(t.Context(), h.store(), c))
	}},
}

// operations are all that can be done to a record.
var operations = []struct {
	name string
	do   func(t *testing.T, s *Store, c Claim) error
}{
	{"claim", func(t *testing.T, s *Store, c Claim) error {
		_, err := s.Claim(t.Context(), []Claim{c})
		return err
	}},
	{"extend", func(t *testing.T, s *Store, c Claim) error {
		_, err := s.Extend(t.Context(), []Claim{c})
		return err
	}},
	{"mark sent", func(t *testing.T, s *Store, c Claim) error {
		_, err := s.MarkSent(t.Context(), c)
		return err
	}},
	{"release", func(t *testing.T, s *Store, c Claim) error {
		_, err := s.Release(t.Context(), c, 1, true)
		return err
	}},
	{"mark pending", func(t *testing.T, s *Store, c Claim) error {
		_, err := pending(t.Context(), s, c)
		return err
	}},
	{"mark settled", func(t *testing.T, s *Store, c Claim) error {
		_, err := settled(t.Context(), s, c)
		return err
	}},
	{"reopen pending", func(t *testing.T, s *Store, c Claim) error {
		_, err := s.Reopen(t.Context(), c, purchase.Pending)
		return err
	}},
	{"reopen settled", func(t *testing.T, s *Store, c Claim) error {
		_, err := s.Reopen(t.Context(), c, purchase.Settled)
		return err
	}},
	{"hold post", func(t *testing.T, s *Store, c Claim) error {
		_, err := s.HoldPost(t.Context(), c, time.Hour)
		return err
	}},
}

// Every operation on every situation, by the same owner and by another, with
// the same payload and another: what happens is allowed by purchase.ClaimState,
// and everything that it allows can happen.
func TestExactlyTheTransitionsOfTheDomain(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s := h.store()
		reached := map[[2]purchase.ClaimState]bool{}
		for _, situation := range situations {
			for _, operation := range operations {
				for _, owner := range []string{"first", "second"} {
					for _, digest := range []purchase.Digest{digestA, digestB} {
						name := situation.name + "/" + operation.name + "/" + owner + "/" + string(digest[:6])
						situation.set(t, h, claimOf(name, "first"))
						c := claimOf(name, owner)
						c.Digest = digest
						if err := operation.do(t, s, c); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						after := h.state(t, s, c.Key)
						if !situation.state.CanBecome(after) {
							t.Errorf("%s: %q became %q", name, situation.state, after)
						}
						reached[[2]purchase.ClaimState{situation.state, after}] = true
						checkTTL(t, h, s, c.Key, after)
					}
				}
			}
		}
		states := []purchase.ClaimState{purchase.Absent, purchase.Claimed, purchase.Released, purchase.Pending, purchase.Settled}
		for _, from := range states {
			for _, to := range states {
				if from.CanBecome(to) && !reached[[2]purchase.ClaimState{from, to}] {
					t.Errorf("nothing makes %q of %q", to, from)
				}
			}
		}
	})
}

// checkTTL checks that a record expires if it is settled, and never otherwise.
func checkTTL(t *testing.T, h *harness, s *Store, k Key, state purchase.ClaimState) {
	t.Helper()
	ttl, err := h.client.PTTL(t.Context(), s.key(k)).Result()
	if err != nil {
		t.Fatal(err)
	}
	// -1 is a key without a time to live, -2 no key.
	switch state {
	case purchase.Absent:
		if ttl != -2 {
			t.Errorf("an absent record has a time to live of %v", ttl)
		}
	case purchase.Settled:
		if ttl <= s.cfg.TTL-time.Minute || ttl > s.cfg.TTL {
			t.Errorf("a settled record has a time to live of %v, want %v", ttl, s.cfg.TTL)
		}
	default:
		if ttl != -1 {
			t.Errorf("a %s record has a time to live of %v", state, ttl)
		}
	}
}

// The verdict on a claim in every situation.
func TestVerdicts(t *testing.T) {
	type key struct {
		situation, owner string
		digest           purchase.Digest
	}
	want := map[key]purchase.Verdict{
		{"claimed", "first", digestA}:           purchase.ClaimAgain,
		{"claimed", "second", digestA}:          purchase.ClaimInFlight,
		{"lease over", "first", digestA}:        purchase.ClaimAgain,
		{"lease over", "second", digestA}:       purchase.ClaimTakenOver,
		{"released", "first", digestA}:          purchase.ClaimNew,
		{"released", "second", digestA}:         purchase.ClaimNew,
		{"pending", "first", digestA}:           purchase.ClaimPending,
		{"pending", "second", digestA}:          purchase.ClaimPending,
		{"held by a poller", "second", digestA}: purchase.ClaimPending,
		{"hold over", "second", digestA}:        purchase.ClaimPending,
		{"settled", "first", digestA}:           purchase.ClaimSettled,
		{"settled", "second", digestA}:          purchase.ClaimSettled,
		{"absent", "first", digestA}:            purchase.ClaimNew,
		{"absent", "first", digestB}:            purchase.ClaimNew,
	}
	for _, situation := range situations {
		if situation.state != purchase.Absent {
			want[key{situation.name, "first", digestB}] = purchase.ClaimConflict
			want[key{situation.name, "second", digestB}] = purchase.ClaimConflict
		}
	}
	conformance(t, func(t *testing.T, h *harness) {
		for _, situation := range situations {
			for k, verdict := range want {
				if k.situation != situation.name {
					continue
				}
				c := claimOf(k.situation+k.owner+string(k.digest), "first")
				situation.set(t, h, c)
				c.Owner, c.Digest = k.owner, k.digest
				got := claim(t, h.store(), c)
				if got.Verdict != verdict || got.State != situation.state {
					t.Errorf("%s, claimed by %s: %v of %q, want %v of %q", k.situation, k.owner, got.Verdict, got.State, verdict, situation.state)
				}
				if inFlight := got.Verdict == purchase.ClaimInFlight; inFlight != (got.Wait > 0) || got.Wait > time.Hour {
					t.Errorf("%s, claimed by %s: %v with a wait of %v", k.situation, k.owner, got.Verdict, got.Wait)
				}
				if conflict := got.Verdict == purchase.ClaimConflict; conflict != (got.Digest != c.Digest) {
					t.Errorf("%s, claimed by %s: %v with digest %q", k.situation, k.owner, got.Verdict, got.Digest)
				}
			}
		}
	})
}
