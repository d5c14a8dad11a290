package purchase_test

import (
	"encoding/json"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// typical is a request as a shop sends it: text amount, account's channel,
// some foreign fields.
const typical = `{"productCode":"ELE-FLS-001","amount":"50.00","paymentMethod":"cash","merchantReference":"shop-7/2026-04-21/000123",` +
	`"meterNumber":"000001020001","additionalInfo":{"till":7,"operator":"thandi","basket":[{"sku":"1","qty":1},{"sku":"2","qty":2.50}]}}`

func typicalResult(t testing.TB) purchase.Result {
	t.Helper()
	return settle(t, typical, purchase.Outcome{
		Kind: purchase.Completed, TransactionID: "8f14e45f-ceea-4671-a2a7-0c6f0a8b1d7e", Message: "Approved",
		Receipt: json.RawMessage(`{"token":"12341234123412341234","units":30.0000,"unitType":"kWh","meterNumber":"000001020001","taxAmount":6.52}`),
	})
}

func BenchmarkParse(b *testing.B) {
	for name, body := range map[string]string{"typical": typical, "64KiB": padded(purchase.MaxBody)} {
		b.Run(name, func(b *testing.B) {
			raw := []byte(body)
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := purchase.Parse(raw, acme); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVendorBody(b *testing.B) {
	r := mustParse(b, typical, acme)
	b.ReportAllocs()
	for b.Loop() {
		_ = r.VendorBody()
	}
}

func BenchmarkEncodeResult(b *testing.B) {
	result := typicalResult(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := result.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

// The budgets leave little room above what is measured today, so that a change
// that needs more is a decision.
func TestAllocationBudgets(t *testing.T) {
	raw := []byte(typical)
	r := mustParse(t, typical, acme)
	result := typicalResult(t)
	handoff := r.HandOver(purchase.Outcome{Kind: purchase.InFlight, TransactionID: "T"}, purchase.Submission{Attempts: 1})
	for _, c := range []struct {
		name   string
		budget float64
		run    func()
	}{
		{"Parse", 36, func() { _, _ = purchase.Parse(raw, acme) }}, // with the fingerprint
		{"Validate", 0, func() { _ = r.Validate() }},
		{"VendorBody", 6, func() { _ = r.VendorBody() }},
		{"Encode a result", 6, func() { _, _ = result.Encode() }},
		{"Encode a hand-off", 6, func() { _, _ = handoff.Encode() }},
		{"Token", 0, func() { _ = purchase.Token("shop-7_2026-04-21_000123") }},
	} {
		got := testing.AllocsPerRun(100, c.run)
		t.Logf("%s: %v allocations, budget %v", c.name, got, c.budget)
		if got > c.budget*raceFactor {
			t.Errorf("%s makes %v allocations, at most %v", c.name, got, c.budget*raceFactor)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	r := mustParse(b, typical, acme)
	b.ReportAllocs()
	for b.Loop() {
		if refusal := r.Validate(); refusal != nil {
			b.Fatal(refusal)
		}
	}
}

func BenchmarkToken(b *testing.B) {
	for name, reference := range map[string]string{"plain": "shop-7_2026-04-21_000123", "encoded": "shop-7/2026-04-21/000123"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = purchase.Token(reference)
			}
		})
	}
}

func BenchmarkEncodeHandoff(b *testing.B) {
	handoff := mustParse(b, typical, acme).HandOver(
		purchase.Outcome{Kind: purchase.InFlight, TransactionID: "8f14e45f-ceea-4671-a2a7-0c6f0a8b1d7e"}, purchase.Submission{Attempts: 1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := handoff.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
