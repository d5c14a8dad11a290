package publisher_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/publisher"
)

// benchStore is a store in front of a nats-server in this process, whose own
// allocations are counted too.
func benchStore(tb testing.TB) *publisher.Store {
	tb.Helper()
	nc, js := servertest.NATS(tb).Connect()
	if _, err := broker.Ensure(tb.Context(), js, broker.Topology{Replicas: 1, Results: time.Hour, AckWait: time.Minute, Accounts: []string{"acme"}}); err != nil {
		tb.Fatal(err)
	}
	store, err := publisher.NewStore(nc, publisher.Subjects{})
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

func benchResult(tb testing.TB) *purchase.Result {
	tb.Helper()
	r, err := purchase.Parse(body("bench"), purchase.Account{Name: "acme"})
	if err != nil {
		tb.Fatal(err)
	}
	result, err := r.Settle(
		purchase.Outcome{Kind: purchase.Completed, TransactionID: "8f14e45f-ceea-4671-a2a7-0c6f0a8b1d7e", Message: "Approved", Receipt: []byte(`{"pin":"1234567890","serialNumber":"987654321"}`)},
		purchase.Ending{Source: purchase.SourcePurchase, Attempts: 1, RequestedAt: resolved, ResolvedAt: resolved})
	if err != nil {
		tb.Fatal(err)
	}
	return &result
}

const parentTrace = "00-" + traceID + "-" + spanID + "-01"

func BenchmarkPublishResult(b *testing.B) {
	store, result := benchStore(b), benchResult(b)
	serial := 0
	b.ReportAllocs()
	for b.Loop() {
		serial++
		result.MerchantReference = "bench-" + strconv.Itoa(serial)
		if there, err := store.PublishResult(b.Context(), result, parentTrace); err != nil || there != nil {
			b.Fatal(there, err)
		}
	}
}

// The look at the ledger before a new claim leads to a call: nothing is there.
func BenchmarkLedgerMiss(b *testing.B) {
	store := benchStore(b)
	b.ReportAllocs()
	for b.Loop() {
		handoff, _, err := store.Handoff(b.Context(), "acme", "bench-1")
		if err != nil || handoff != nil {
			b.Fatal(handoff, err)
		}
		result, err := store.Result(b.Context(), "acme", "bench-1")
		if err != nil || result != nil {
			b.Fatal(result, err)
		}
	}
}

func BenchmarkChildTrace(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = publisher.ChildTrace(parentTrace)
	}
}
