package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

// TestCatalogIsShared starts two daemons of an account with a merchant_id: the
// catalog is fetched once, lies in Redis, and nothing fails for it. The other
// account, which has none, fetches nothing.
func TestCatalogIsShared(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{Accounts: []simulator.Account{
		{Username: "acme", Password: "acme-secret", MerchantID: "m-1"}, {Username: "beta", Password: "beta-secret"},
	}}, "")
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "password: acme-secret,", "password: acme-secret, merchant_id: m-1,", 1)
	if changed == string(text) {
		t.Fatal("the configuration has changed its shape")
	}
	if err := os.WriteFile(s.config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: s.redis.Addr()})
	defer client.Close()

	s.daemon("serve")
	eventually(t, "the catalog lies in Redis", func() error {
		keys, err := client.Keys(t.Context(), "purchases:catalog:*:held").Result()
		if err == nil && (len(keys) != 1 || keys[0] != "purchases:catalog:{acme}:m-1:held") {
			err = fmt.Errorf("keys %v", keys)
		}
		return err
	})
	_, stop := s.daemon("consumer")
	for _, account := range []string{"acme", "beta"} {
		s.publish(account, airtime("catalog-"+account))
		if r := s.result(account, "catalog-"+account); r.Status != purchase.StatusCompleted {
			t.Errorf("%+v", r)
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	stats := s.vendor.Stats()
	if n := stats.Total(simulator.EndpointProducts); n != 1 {
		t.Errorf("the products were fetched %d times", n)
	}
	if n := stats.Total(simulator.EndpointFields); n == 0 {
		t.Error("no fields were fetched")
	}
	if strings.Contains(s.logs.String(), `"component":"catalog"`) {
		t.Error("the catalog had something to report")
	}
	s.settled()
}
