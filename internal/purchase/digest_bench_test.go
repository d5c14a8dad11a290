package purchase

import "testing"

// The fingerprint alone, of a request that was read.
func BenchmarkDigest(b *testing.B) {
	r, err := Parse([]byte(`{"productCode":"ELE-FLS-001","amount":"50.00","paymentMethod":"cash","merchantReference":"shop-7/2026-04-21/000123",`+
		`"meterNumber":"000001020001","additionalInfo":{"till":7,"operator":"thandi"}}`), Account{Name: "acme", ChannelID: "web"})
	if err != nil {
		b.Fatal(err)
	}
	for name, key := range map[string][]byte{"sha256": nil, "hmac": []byte("a secret of some length")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = digest(r.canonical(), key)
			}
		})
	}
}
