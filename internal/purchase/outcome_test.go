package purchase_test

import (
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestOutcomeKinds(t *testing.T) {
	for kind, want := range map[purchase.OutcomeKind]struct {
		name            string
		terminal, acted bool
	}{
		purchase.Unknown:      {"unknown", false, true},
		purchase.Completed:    {"completed", true, true},
		purchase.Failed:       {"failed", true, true},
		purchase.InFlight:     {"in_flight", false, true},
		purchase.Transient:    {"transient", false, true},
		purchase.LookUp:       {"look_up", false, true},
		purchase.Limited:      {"limited", false, false},
		purchase.Unauthorized: {"unauthorized", false, false},
		purchase.Forbidden:    {"forbidden", false, true},
		purchase.Unreachable:  {"unreachable", false, false},
		purchase.NotFound:     {"not_found", false, false},
	} {
		if kind.String() != want.name || kind.Terminal() != want.terminal || kind.MayHaveActed() != want.acted {
			t.Errorf("kind %d: %q terminal %v acted %v, want %+v", kind, kind, kind.Terminal(), kind.MayHaveActed(), want)
		}
	}
}

// What is not proven is unknown: the zero outcome, and a kind from nowhere.
func TestOutcomeKindDefaultsToUnknown(t *testing.T) {
	var zero purchase.Outcome
	if zero.Kind != purchase.Unknown {
		t.Errorf("the zero outcome is %s", zero.Kind)
	}
	nowhere := purchase.OutcomeKind(99)
	if nowhere.String() != "unknown" || nowhere.Terminal() || !nowhere.MayHaveActed() {
		t.Errorf("kind 99 is %s", nowhere)
	}
}
