package vendor

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

// Eight processes start at once and are restarted twice within a minute, against
// a vendor that allows five logins a minute. Every purchase of theirs goes
// through at the first try.
func TestRestartsWithinTheLoginLimit(t *testing.T) {
	const perStart = 2 // the most logins
	for name, config := range map[string]simulator.Config{
		"as documented":            {},
		"no refresh token":         {TokenShape: simulator.Flat},
		"refresh token used up":    {RotateRefresh: true},
		"token bucket":             {LoginLimit: simulator.Limit{Kind: simulator.TokenBucket}},
		"token of half a minute":   {TokenTTL: simulator.Duration(30 * time.Second)},
		"the same, no refresh":     {TokenTTL: simulator.Duration(30 * time.Second), TokenShape: simulator.Flat},
		"no id in the login":       {OmitUserTypeID: true},
		"older shape of the error": {LegacyErrors: true},
	} {
		for _, revoked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, revoked %v", name, revoked), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					config.LoginLimit.Requests, config.RefreshLimit.Requests = 5, 10
					vendor, err := simulator.New(config)
					if err != nil {
						t.Fatal(err)
					}
					defer vendor.Close()
					share := &fakeShare{}
					logins := int64(0)
					for start := range 3 {
						clients := make([]*Client, processes)
						for i := range clients {
							clients[i] = sharer(t, share, Config{
								Username: "acme", Password: "acme-secret", Transport: underAPI{vendor.Transport()},
							})
						}
						sell(t, clients, fmt.Sprintf("a%d", start))
						if revoked {
							vendor.Revoke("acme", false)
							sell(t, clients, fmt.Sprintf("b%d", start))
						}
						time.Sleep(9 * time.Second)
						sell(t, clients, fmt.Sprintf("c%d", start))
						each(clients, (*Client).Close)
						now := vendor.Stats().Total(simulator.EndpointToken)
						if now-logins > perStart {
							t.Errorf("start %d took %d logins", start, now-logins)
						}
						logins = now
					}
					st := vendor.Stats()
					t.Logf("logins %v, refreshes %v", st.Calls[simulator.EndpointToken], st.Calls[simulator.EndpointRefresh])
					if st.Logins != logins {
						t.Errorf("%d of %d logins were refused", logins-st.Logins, logins)
					}
				})
			})
		}
	}
}

// sell has every client make a purchase of its own.
func sell(t *testing.T, clients []*Client, name string) {
	t.Helper()
	refs := map[*Client]string{}
	for i, c := range clients {
		refs[c] = fmt.Sprintf("%s-%d", name, i)
	}
	each(clients, func(c *Client) {
		body := fmt.Sprintf(`{"productCode":"ELE-FLS-001","amount":200.00,"paymentMethod":"cash","channelId":"7",`+
			`"meterNumber":"000001020001","merchantReference":%q}`, refs[c])
		if got := c.Purchase(t.Context(), refs[c], []byte(body)); got.Kind != purchase.Completed {
			t.Errorf("%s: %s, %s, %v", refs[c], got.Kind, got.Code, got.Cause)
		}
	})
}

// underAPI puts the simulator's base path before a call's.
type underAPI struct{ next http.RoundTripper }

func (u underAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Path = "/api/v1" + r.URL.Path
	return u.next.RoundTrip(r)
}
