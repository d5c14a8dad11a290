package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseConfig(t *testing.T) {
	cfg, err := ParseConfig([]byte(`
base_path: /v2/
token_shape: flat
token_ttl: 10m
accounts:
  - {username: one, password: p, balance: "100.00", purchase_limit: {requests: 0}}
purchase_limit: {requests: 60, per: 30s, kind: token-bucket}
transactions: {bear_reference: true}
reference_faults: false
faults:
  - match: {prefix: load-}
    use: pending
    each_reference: true
  - steps: [{status: 503, latency: 10ms}]
    times: -1
`))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "token life", cfg.TokenTTL, Duration(10*time.Minute))
	equal(t, "limit", cfg.PurchaseLimit, Limit{60, Duration(30 * time.Second), TokenBucket})
	equal(t, "documented limit", cfg.LoginLimit.Requests, 5)
	sim, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "base path", sim.cfg.BasePath, "/v2")
	equal(t, "faults", len(sim.Faults()), 2)
	equal(t, "account's limit", sim.accounts["one"].limiter.limit.Requests, 0)

	written, err := json.Marshal(cfg.Faults)
	if err != nil || !strings.Contains(string(written), `"latency":"10ms"`) {
		t.Errorf("%s: %v", written, err)
	}
	for _, wrong := range []string{"a: [", "unknown: 1", "token_ttl: soon", "1: {2: 3}"} {
		if _, err := ParseConfig([]byte(wrong)); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
}

func TestNewNamesEveryWrongKey(t *testing.T) {
	_, err := New(Config{
		TokenShape:    "round",
		MaxEntries:    -1,
		LoginLimit:    Limit{Requests: -1},
		PurchaseLimit: Limit{Kind: "leaky"},
		Accounts:      []Account{{Username: "a", Password: "p", Balance: "much"}, {Username: "a"}},
		Products:      []Product{{MinAmount: "0", MaxAmount: "1"}, {Code: "X", MinAmount: "5", MaxAmount: "4"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		"token_shape", "max_entries", "login_limit", "purchase_limit", "accounts[0]: balance", "accounts[1]: username and",
		"stands twice", "products[0]: code", "min_amount", "products[1]: max_amount",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not named in: %v", part, err)
		}
	}
	if _, err := New(Config{Faults: []Fault{{Use: "nothing"}}}); err == nil {
		t.Error("a fault without a name was taken")
	}
}

func TestZeroConfigWorks(t *testing.T) {
	h := newHarness(t, func(c *Config) { *c = Config{} })
	for range 20 {
		equal(t, "code", h.purchase("r").code(), "0")
	}
}

func TestManualClock(t *testing.T) {
	clock := NewManualClock(start)
	if err := clock.Sleep(context.Background(), 0); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := clock.Sleep(ctx, time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The transport works in a bubble, where the machine's clock is a fake one.
func TestTransportInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(c *Config) { c.Clock = nil })
		began := time.Now()
		equal(t, "slow", h.purchase("sim-slow").code(), "0")
		equal(t, "took", time.Since(began), 2*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began = time.Now()
		a := h.callContext(ctx, "POST", "/purchase", body("sim-timeout-after", nil))
		if !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("got %v", a.err)
		}
		equal(t, "took", time.Since(began), 30*time.Second)
		equal(t, "stored", h.entry("sim-timeout-after").Status, Completed)
		a = h.callContext(ctx, "POST", "/purchase", body("late", nil))
		if !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("got %v", a.err)
		}
		_, found := h.sim.Entry("acme", "late")
		equal(t, "a request that was cancelled before is not sent", found, false)

		id := h.purchase("sim-pending").field("transactionId").(string)
		<-time.After(2 * time.Second) // by the bubble's clock, which costs no time
		equal(t, "label", h.poll("transactionId", id).items()[0]["status"].(map[string]any)["label"], "COMPLETED")
	})
}

func BenchmarkPurchase(b *testing.B) {
	sim, err := New(Config{MaxEntries: 10_000})
	if err != nil {
		b.Fatal(err)
	}
	token, _ := sim.sessions.open(sim.accounts["acme"], time.Now(), &sim.cfg, false)
	transport := sim.Transport()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		req := benchRequest(b, token, i)
		resp, err := transport.RoundTrip(req)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(err)
		}
	}
}

func benchRequest(b *testing.B, token string, i int) *http.Request {
	b.Helper()
	const fields = `"productCode":"AIR-VOD-001","amount":50.00,"mobileNumber":"+27821234567","paymentMethod":"cash","channelId":"web"`
	req, err := http.NewRequest(http.MethodPost, base+"/purchase",
		strings.NewReader(`{`+fields+`,"merchantReference":"ref-`+strconv.Itoa(i)+`"}`))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return req
}
