package purchase_test

import (
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestClaimTransitions(t *testing.T) {
	states := []purchase.ClaimState{purchase.Absent, purchase.Claimed, purchase.Released, purchase.Pending, purchase.Settled}
	// A row is a state, a column what it may become, in the order of states.
	table := [][]bool{
		/* absent   */ {true, true, false, true, true},
		/* claimed  */ {false, true, true, true, true},
		/* released */ {false, true, true, true, true},
		/* pending  */ {false, true, false, true, true},
		/* settled  */ {false, true, false, false, true},
	}
	for i, from := range states {
		for j, to := range states {
			if got := from.CanBecome(to); got != table[i][j] {
				t.Errorf("%q to %q: %v, want %v", from, to, got, table[i][j])
			}
		}
		if from.CanBecome("something else") {
			t.Errorf("%q may become a state that does not exist", from)
		}
	}
}

// Nothing that is held may be forgotten by a transition, and no purchase that
// has a hand-off or a result may be put back as if it were merely released.
func TestClaimsAreNeverForgotten(t *testing.T) {
	for _, s := range []purchase.ClaimState{purchase.Claimed, purchase.Released, purchase.Pending, purchase.Settled} {
		if s.CanBecome(purchase.Absent) {
			t.Errorf("%q may become absent", s)
		}
		if !s.CanBecome(purchase.Settled) {
			t.Errorf("%q can never be settled", s)
		}
	}
	if purchase.ClaimState("unheard of").CanBecome(purchase.Claimed) {
		t.Error("a state that does not exist may become claimed")
	}
}

func TestVerdicts(t *testing.T) {
	for verdict, want := range map[purchase.Verdict]struct {
		name string
		held bool
	}{
		0:                       {"", false},
		purchase.ClaimNew:       {"new", true},
		purchase.ClaimAgain:     {"again", true},
		purchase.ClaimTakenOver: {"taken_over", true},
		purchase.ClaimInFlight:  {"in_flight", false},
		purchase.ClaimPending:   {"pending", false},
		purchase.ClaimSettled:   {"settled", false},
		purchase.ClaimConflict:  {"conflict", false},
		8:                       {"", false},
		255:                     {"", false},
	} {
		if verdict.String() != want.name || verdict.Held() != want.held {
			t.Errorf("verdict %d: %q held %v, want %q held %v", verdict, verdict, verdict.Held(), want.name, want.held)
		}
	}
}
