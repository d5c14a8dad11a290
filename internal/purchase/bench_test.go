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

// The budgets leave some room above what is measured today; a change that needs
// twice as much does not pass unseen.
func TestAllocationBudgets(t *testing.T) {
	raw := []byte(typical)
	r := mustParse(t, typical, acme)
	result := typicalResult(t)
	for _, c := range []struct {
		name   string
		budget float64
		run    func()
	}{
		{"Parse", 100, func() { _, _ = purchase.Parse(raw, acme) }},
		{"Validate", 6, func() { _ = r.Validate() }},
		{"VendorBody", 15, func() { _ = r.VendorBody() }},
		{"Encode", 10, func() { _, _ = result.Encode() }},
	} {
		got := testing.AllocsPerRun(100, c.run)
		t.Logf("%s: %v allocations, budget %v", c.name, got, c.budget)
		if got > c.budget {
			t.Errorf("%s makes %v allocations, at most %v", c.name, got, c.budget)
		}
	}
}
