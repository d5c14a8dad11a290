package consumer

import (
	"context"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// shelf is a catalog that says what it is told to.
type shelf struct {
	refusal *purchase.Refusal
	asked   int
	stale   int
}

func (s *shelf) Check(context.Context, *purchase.Request) *purchase.Refusal {
	s.asked++
	return s.refusal
}

func (s *shelf) Stale() { s.stale++ }

func TestCatalogRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Catalog = &shelf{refusal: &purchase.Refusal{
			Code: "1009", Message: "m", Class: purchase.ClassAccount, Source: purchase.SourceValidation,
		}}
		m := w.buy("ref", completed)
		w.run(time.Second)
		if r := w.results["ref"]; !m.acked || len(w.calls) != 0 || r.ResponseCode != "1009" || r.Source != purchase.SourceValidation || r.Attempts != 0 {
			t.Errorf("%+v after %d calls", r, len(w.calls))
		}
	})
}

// Past a call that may have purchased the catalog has no say.
func TestCatalogIsNotAskedAfterACall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &shelf{}
		w.config.Catalog = s
		w.buy("ref", outcome(purchase.Unknown), completed)
		w.run(500 * time.Millisecond) // stopped in the backoff
		s.refusal = &purchase.Refusal{Code: "1009", Class: purchase.ClassAccount, Source: purchase.SourceValidation}
		w.pass(time.Minute)
		w.run(time.Second)
		w.wantCompleted(t, 2)
		if s.asked != 1 || s.stale != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// The vendor's own 1009 makes the catalog fetch again.
func TestVendorSaysNotAvailable(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &shelf{}
		w.config.Catalog = s
		w.buy("ref", purchase.Outcome{Kind: purchase.Failed, Code: "1009", Class: purchase.ClassAccount})
		w.run(time.Second)
		if r := w.results["ref"]; r.ResponseCode != "1009" || r.Source != purchase.SourcePurchase || s.stale != 1 {
			t.Errorf("%+v, %+v", r, s)
		}
	})
}
