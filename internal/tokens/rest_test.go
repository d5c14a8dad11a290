package tokens_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/internal/tokens"
	"github.com/vendstream/vendstream/internal/vendor"
)

// Clients on a real Redis, eight and then fewer, started three times against a vendor that allows
// five logins a minute: every purchase goes through, and nothing that is left in
// Redis shows the token or the password.
func TestEightClientsAndWhatIsLeftAtRest(t *testing.T) {
	limits := simulator.DefaultConfig()
	limits.PurchaseLimit = simulator.Limit{}
	sim, err := simulator.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	seen := &tap{next: sim}
	web := httptest.NewServer(seen)
	t.Cleanup(web.Close)
	client := redis.NewClient(&redis.Options{Addr: servertest.Redis(t).Addr(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })

	for start, processes := range []int{8, 2, 2} { // each derives a key, which is slow
		clients, errs := make([]*vendor.Client, processes), make([]error, processes)
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				clients[i], errs[i] = vendor.New(vendor.Config{
					Account: "acme", BaseURL: web.URL + "/api/v1", Username: "acme", Password: "acme-secret",
					Share: tokens.New(client, "test", "acme"),
				})
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for i, c := range clients {
			wg.Go(func() {
				ref := fmt.Sprintf("r-%d-%d", start, i)
				body := `{"productCode":"ELE-FLS-001","amount":200.00,"paymentMethod":"cash","channelId":"7","meterNumber":"000001020001","merchantReference":"` + ref + `"}`
				if got := c.Purchase(t.Context(), ref, []byte(body)); got.Kind != purchase.Completed {
					t.Errorf("%s: %s, %v", ref, got.Kind, got.Cause)
				}
			})
		}
		wg.Wait()
		sim.Revoke("acme", start == 1) // the next start finds a token that is refused
		for _, c := range clients {
			c.Close()
		}
	}
	st := sim.Stats()
	t.Logf("logins %v, refreshes %v in three starts", st.Calls[simulator.EndpointToken], st.Calls[simulator.EndpointRefresh])
	if n := st.Total(simulator.EndpointToken); n > 6 || n != st.Logins {
		t.Errorf("%d logins, %d of them good", n, st.Logins)
	}
	secrets := append(seen.tokens(), "acme-secret", "password", "refreshToken")
	if len(secrets) < 6 {
		t.Fatalf("%d tokens were seen", len(secrets)-3)
	}
	atRest := everything(t, client)
	if !strings.Contains(atRest, "test:tokens:{acme}:") {
		t.Fatal("nothing is shared")
	}
	for _, secret := range secrets {
		if strings.Contains(atRest, secret) {
			t.Errorf("%.4s… is readable in Redis", secret)
		}
	}
}

// everything is all keys and values of a Redis, in the form of DUMP too.
func everything(t *testing.T, client *redis.Client) string {
	t.Helper()
	var all strings.Builder
	ctx := t.Context()
	keys := client.Scan(ctx, 0, "*", 0).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		dump, err := client.Dump(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		fields, err := client.HGetAll(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, key, dump, fields)
		if ttl := client.PTTL(ctx, key).Val(); ttl <= 0 {
			t.Errorf("%s does not expire", key)
		}
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}
