package failpoint

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/internal/vendor"
)

// Every call that the client can make has its points, by whoever makes it.
func TestEveryCallOfTheVendorHasPoints(t *testing.T) {
	sim, err := simulator.New(simulator.Config{Accounts: []simulator.Account{{Username: "acme", Password: "acme-secret", MerchantID: "1001"}}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(sim)
	t.Cleanup(web.Close)
	t.Cleanup(sim.Close)
	s := testSet(t, "")
	client, err := vendor.New(s.Vendor(vendor.Config{
		Account: "acme", BaseURL: web.URL + "/api/v1", Username: "acme", Password: "acme-secret", MerchantID: "1001",
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	asConsumer := at{s, roleConsumer}.ctx(t.Context())
	asPoller := at{s, rolePoller}.ctx(t.Context())
	body := []byte(`{"productCode":"GAM-XBX-001","amount":50,"paymentMethod":"cash","channelId":"7","merchantReference":"r"}`)
	methods := map[string]func(){
		"Check":          func() { _ = client.Check(t.Context()) },
		"Purchase":       func() { client.Purchase(asConsumer, "r", body); client.Purchase(asPoller, "r", body) },
		"Transaction":    func() { client.Transaction(asConsumer, "", "r"); client.Transaction(asPoller, "", "r") },
		"Lookup":         func() { client.Lookup(asConsumer, purchase.LookupElectricity, body) },
		"Products":       func() { _, _ = client.Products(t.Context()) },
		"Categories":     func() { _, _ = client.Categories(t.Context()) },
		"CategoryFields": func() { _, _ = client.CategoryFields(t.Context(), "1") },
		"Prepare":        func() { _ = client.Prepare(t.Context()) },
		"Close":          func() {},
	}
	of := reflect.TypeOf(client)
	for i := range of.NumMethod() {
		if methods[of.Method(i).Name] == nil {
			t.Fatalf("vendor.Client has a method %s, which this test does not call", of.Method(i).Name)
		}
	}
	for _, call := range methods {
		call()
	}
	sim.Revoke("acme", false) // the next call refreshes the token
	client.Purchase(asConsumer, "r", body)
	hits := s.Hits()
	for _, effect := range httpPoints {
		if hits[effect+before] == 0 || hits[effect+after] != hits[effect+before] {
			t.Errorf("%s: hit %d times before and %d after", effect, hits[effect+before], hits[effect+after])
		}
	}
}

// A vendor's call that was not sent proves nothing here, and one whose answer is
// lost is never taken for a failure.
func TestVendorFaultsAreUnknown(t *testing.T) {
	for _, fault := range []string{"consumer.http.purchase:before=error@1", "consumer.http.purchase:after=lose@1"} {
		var got int
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/purchase" {
				got++
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"accessToken": "t", "expiresIn": 1800})
		}))
		s := testSet(t, fault)
		client, err := vendor.New(s.Vendor(vendor.Config{Account: "acme", BaseURL: web.URL, Username: "a", Password: "b"}))
		if err != nil {
			t.Fatal(err)
		}
		outcome := client.Purchase(at{s, roleConsumer}.ctx(t.Context()), "r", []byte(`{}`))
		client.Close()
		web.Close()
		if !slices.Contains([]purchase.OutcomeKind{purchase.Unknown, purchase.Unreachable}, outcome.Kind) {
			t.Errorf("%s: %s", fault, outcome.Kind)
		}
		if lost := outcome.Kind == purchase.Unknown; got > 0 && !lost {
			t.Errorf("%s: %s, and the vendor was called", fault, outcome.Kind)
		}
	}
}
