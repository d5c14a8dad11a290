package dedupe

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
)

// benchStore is a store in front of a real Redis.
func benchStore(tb testing.TB) *Store {
	tb.Helper()
	client, err := Open(servertest.Redis(tb).URL())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return New(client, Config{})
}

// claimsOf are n claims for purchases that nobody has seen.
func claimsOf(n int, serial *int) []Claim {
	claims := make([]Claim, n)
	for i := range claims {
		*serial++
		claims[i] = Claim{
			Key:    Key{"acme", "shop-7-" + strconv.Itoa(*serial)},
			Digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			Owner:  "0d3c5b0e-95f6-4f5d-8c59-6c4a6f1f2f5e/" + strconv.Itoa(*serial),
		}
	}
	return claims
}

// New claims at once; ns/op is for a claim.
func BenchmarkClaim(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, serial := benchStore(b), 0
			b.ReportAllocs()
			for i := 0; i < b.N; i += n {
				answers, err := s.Claim(b.Context(), claimsOf(n, &serial))
				if err != nil || answers[0].Verdict != purchase.ClaimNew {
					b.Fatal(answers, err)
				}
			}
		})
	}
}

func BenchmarkMarkSettled(b *testing.B) {
	s, serial := benchStore(b), 0
	b.ReportAllocs()
	for b.Loop() {
		c := claimsOf(1, &serial)[0]
		if _, err := s.MarkSettled(b.Context(), c.Key, c.Digest); err != nil {
			b.Fatal(err)
		}
	}
}

// A claim among many costs what its command does, and no connection of its own.
func TestAllocationBudgets(t *testing.T) {
	s, serial := benchStore(t), 0
	const many = 64
	claim := func() {
		if _, err := s.Claim(t.Context(), claimsOf(many, &serial)); err != nil {
			t.Error(err)
		}
	}
	claim() // loads the scripts, makes the connection
	got := testing.AllocsPerRun(20, claim) / many
	const budget = 24
	t.Logf("%v allocations for a claim, budget %v", got, budget)
	if got > budget*raceFactor {
		t.Errorf("a claim makes %v allocations, at most %v", got, budget*raceFactor)
	}
}
