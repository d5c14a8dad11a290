package publisher

import (
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

var someResult = &purchase.Result{
	Account: "acme", MerchantReference: "shop-7-000123", Status: purchase.StatusCompleted,
	ResolvedAt: time.Date(2026, 4, 21, 12, 57, 51, 831786006, time.UTC),
}

const someTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func BenchmarkResultHeader(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = resultHeader(someResult, someTrace)
	}
}

func TestAllocationBudgets(t *testing.T) {
	for _, c := range []struct {
		name   string
		budget float64
		run    func()
	}{
		{"resultHeader", 10, func() { _ = resultHeader(someResult, someTrace) }},
		{"ChildTrace", 1, func() { _ = ChildTrace(someTrace) }},
		{"percentEncode", 0, func() { _ = percentEncode("shop-7-000123") }},
	} {
		got := testing.AllocsPerRun(100, c.run)
		t.Logf("%s: %v allocations, budget %v", c.name, got, c.budget)
		if got > c.budget*raceFactor {
			t.Errorf("%s makes %v allocations, at most %v", c.name, got, c.budget*raceFactor)
		}
	}
}

// Values share one array: setting one leaves the others as they are.
func TestResultHeader(t *testing.T) {
	h := resultHeader(someResult, someTrace)
	for name, want := range map[string]string{
		HeaderMessageID: "acme/shop-7-000123", HeaderEventID: "acme/shop-7-000123", HeaderEventSource: "/vendstream/acme",
		HeaderEventType: TypeCompleted, HeaderSubject: "shop-7-000123", HeaderSpecVersion: "1.0",
		HeaderEventTime: "2026-04-21T12:57:51.831786006Z", HeaderContentType: "application/json",
	} {
		if got := h[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if trace := h.Get(HeaderTraceParent); !strings.HasPrefix(trace, someTrace[:36]) || len(h) != 9 {
		t.Errorf("traceparent %s among %d headers", trace, len(h))
	}
	h.Set(HeaderMessageID, "other")
	h.Add(HeaderEventType, "more")
	if h.Get(HeaderEventID) != "acme/shop-7-000123" || h.Get(HeaderSubject) != "shop-7-000123" {
		t.Errorf("%v", h)
	}
}
