package consumer

import (
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestDecide(t *testing.T) {
	const most = 3
	// What follows from each kind: with tries left or none, and with or without
	// an earlier call that may have acted.
	type row struct{ left, leftActed, none, noneActed step }
	same := func(s step) row { return row{s, s, s, s} }
	table := map[purchase.OutcomeKind]row{
		purchase.Completed:    same(stepSettle),
		purchase.Failed:       same(stepSettle),
		purchase.InFlight:     same(stepHandOver),
		purchase.LookUp:       same(stepHandOver),
		purchase.Limited:      same(stepWait),
		purchase.Unauthorized: same(stepPutBack),
		purchase.Forbidden:    {stepSettle, stepHandOver, stepSettle, stepHandOver},
		purchase.Unreachable:  {stepAgain, stepAgain, stepPutBack, stepHandOver},
		purchase.Unknown:      {stepAgain, stepAgain, stepHandOver, stepHandOver},
		purchase.Transient:    {stepAgain, stepAgain, stepHandOver, stepHandOver},
		// Not an answer to a purchase, nor is one after the last: both are unknown.
		purchase.NotFound:     {stepAgain, stepAgain, stepHandOver, stepHandOver},
		purchase.NotFound + 1: {stepAgain, stepAgain, stepHandOver, stepHandOver},
	}
	for kind := range purchase.NotFound + 2 {
		want, listed := table[kind]
		if !listed {
			t.Errorf("%s is not in the table", kind)
			continue
		}
		for tries := 1; tries <= most+1; tries++ {
			first, later := want.left, want.leftActed
			if tries >= most {
				first, later = want.none, want.noneActed
			}
			if got := decide(kind, tries, most, false); got != first {
				t.Errorf("%s, try %d of %d, the first that may have acted: step %d, want %d", kind, tries, most, got, first)
			}
			if got := decide(kind, tries, most, true); got != later {
				t.Errorf("%s, try %d of %d, after one that may have acted: step %d, want %d", kind, tries, most, got, later)
			}
		}
	}
}

func TestForbiddenAsFailure(t *testing.T) {
	for _, code := range []string{"", purchase.CodeForbidden, "1105"} {
		got := asFailure(purchase.Outcome{Kind: purchase.Forbidden, Code: code, Message: "no"})
		want := code
		if want == "" {
			want = purchase.CodeForbidden
		}
		if got.Kind != purchase.Failed || got.Class != purchase.ClassAuthorization || got.Code != want || got.Message != "no" {
			t.Errorf("code %q: %+v", code, got)
		}
	}
	if got := asFailure(failed("1103", purchase.ClassBalance)); got.Class != purchase.ClassBalance || got.Code != "1103" {
		t.Errorf("another failure was changed: %+v", got)
	}
}
