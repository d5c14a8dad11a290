package poller

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestDecide(t *testing.T) {
	receipt := json.RawMessage(`{"token":1}`)
	const ours, none = "tx-1", ""
	tests := []struct {
		kind  purchase.OutcomeKind
		id    string
		state purchase.OpenState
		known string // the hand-off's transaction
		want  step
	}{
		{purchase.Failed, ours, purchase.OpenInFlight, ours, stepSettle},
		{purchase.Failed, none, purchase.OpenUnknown, none, stepSettle},
		{purchase.InFlight, ours, purchase.OpenInFlight, ours, stepLater},
		{purchase.InFlight, none, purchase.OpenInFlight, none, stepLater},
		{purchase.InFlight, ours, purchase.OpenInFlight, none, stepUpgrade},
		{purchase.InFlight, none, purchase.OpenInFlight, ours, stepLater},
		{purchase.InFlight, ours, purchase.OpenUnknown, none, stepUpgrade},
		{purchase.InFlight, none, purchase.OpenUnknown, none, stepUpgrade},
		{purchase.InFlight, ours, purchase.OpenUnknown, ours, stepUpgrade},
		{purchase.NotFound, none, purchase.OpenUnknown, none, stepRepost},
		{purchase.NotFound, none, purchase.OpenUnknown, ours, stepLater},
		{purchase.NotFound, none, purchase.OpenInFlight, none, stepLater},
		{purchase.NotFound, none, purchase.OpenInFlight, ours, stepLater},
		{purchase.Forbidden, none, purchase.OpenUnknown, none, stepRepost},
		{purchase.Forbidden, none, purchase.OpenInFlight, none, stepLater},
		{purchase.Forbidden, none, purchase.OpenUnknown, ours, stepLater},
	}
	for _, kind := range []purchase.OutcomeKind{purchase.Unknown, purchase.Transient, purchase.LookUp, purchase.Limited, purchase.Unauthorized, purchase.Unreachable, purchase.NotFound + 1} {
		for _, state := range []purchase.OpenState{purchase.OpenInFlight, purchase.OpenUnknown} {
			tests = append(tests, struct {
				kind  purchase.OutcomeKind
				id    string
				state purchase.OpenState
				known string
				want  step
			}{kind, none, state, none, stepLater})
		}
	}
	for _, test := range tests {
		got := decide(purchase.Outcome{Kind: test.kind, TransactionID: test.id}, purchase.Handoff{State: test.state, TransactionID: test.known})
		if got != test.want {
			t.Errorf("%+v: step %d", test, got)
		}
	}
	for _, state := range []purchase.OpenState{purchase.OpenInFlight, purchase.OpenUnknown} {
		if got := decide(purchase.Outcome{Kind: purchase.Completed, Receipt: receipt}, purchase.Handoff{State: state}); got != stepSettle {
			t.Errorf("completed with a receipt, %s: step %d", state, got)
		}
		if got := decide(purchase.Outcome{Kind: purchase.Completed}, purchase.Handoff{State: state}); got != stepReceipt {
			t.Errorf("completed without a receipt, %s: step %d", state, got)
		}
	}
}

func TestSchedule(t *testing.T) {
	const s = time.Second
	for age, want := range map[time.Duration]time.Duration{
		-s: 5 * s, 0: 5 * s, time.Minute - 1: 5 * s, time.Minute: 30 * s, 5*time.Minute - 1: 30 * s, 5 * time.Minute: 5 * time.Minute, 1000 * time.Hour: 5 * time.Minute,
	} {
		if got := schedule.Every(age); got != want {
			t.Errorf("after %v every %v, want %v", age, got, want)
		}
	}
	for age, want := range map[time.Duration]time.Duration{-s: 6 * s, 0: 5 * s, 2 * s: 3 * s, 5 * s: 0, time.Hour: 0} {
		if got := schedule.Due(age); got != want {
			t.Errorf("after %v due in %v, want %v", age, got, want)
		}
	}
	single := Schedule{{Until: s, Every: 7 * s}} // the last step's Until is not looked at
	if single.Every(0) != 7*s || single.Every(time.Hour) != 7*s || single.Due(3*s) != 4*s {
		t.Errorf("a single step: every %v and %v, due in %v", single.Every(0), single.Every(time.Hour), single.Due(3*s))
	}
	if got := (Schedule{}).Every(0); got != 5*time.Minute {
		t.Errorf("no step: every %v", got)
	}
}
