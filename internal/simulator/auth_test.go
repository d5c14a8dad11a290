package simulator

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTokenShapes(t *testing.T) {
	h := newHarness(t)
	a := h.call("POST", "/auth/token", `{"username":"acme","password":"acme-secret"}`)
	equal(t, "successful", a.field("successful"), true)
	equal(t, "life", a.field("data", "expiresIn"), json.Number("1800"))
	equal(t, "own id", a.field("data", "userTypeId"), "1001")
	if token, _ := a.field("data", "refreshToken").(string); token == "" {
		t.Error("no refresh token")
	}

	h = newHarness(t, func(c *Config) { c.TokenShape = Flat })
	a = h.call("POST", "/auth/token", `{"username":"acme","password":"acme-secret"}`)
	equal(t, "life", a.field("expiresIn"), json.Number("1800"))
	equal(t, "own id", a.field("userTypeId"), "1001")
	equal(t, "refresh token", a.field("refreshToken"), nil)

	h = newHarness(t, func(c *Config) { c.OmitUserTypeID = true })
	a = h.call("POST", "/auth/token", `{"username":"acme","password":"acme-secret"}`)
	equal(t, "own id", a.field("data", "userTypeId"), nil)
}

func TestLoginRefusals(t *testing.T) {
	h := newHarness(t)
	for _, credentials := range []string{
		`{"username":"acme","password":"wrong"}`, `{"username":"nobody","password":"acme-secret"}`, `{}`,
	} {
		equal(t, credentials, h.call("POST", "/auth/token", credentials).status, 401)
	}
	equal(t, "not JSON", h.call("POST", "/auth/token", "x").status, 400)
	equal(t, "refresh, not JSON", h.call("POST", "/auth/token/refresh", "x").status, 400)
	equal(t, "GET", h.call("GET", "/auth/token", "").status, 405)
	equal(t, "no such path", h.call("GET", "/auth", "").status, 404)
	equal(t, "outside the base path", h.call("GET", "http://vendor.test/purchase", "").status, 404)
}

func TestTokenIsRequired(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		h := newHarness(t, func(c *Config) { c.LegacyErrors = legacy })
		code := map[bool]string{false: "401", true: "1105"}[legacy]
		for _, token := range []string{"", "unknown"} {
			h.token = token
			for _, a := range []answer{
				h.purchase("r"), h.poll(), h.call("GET", "/merchants/1001/products", ""),
				h.call("GET", "/products/categories", ""), h.call("GET", "/products/categories/1/fields", ""),
				h.call("POST", "/lookup/electricity", "{}"),
			} {
				equal(t, "status", a.status, 401)
				equal(t, "code", a.code(), code)
			}
		}
	}
}

func TestTokenExpires(t *testing.T) {
	h := newHarness(t)
	refreshToken := h.call("POST", "/auth/token", `{"username":"acme","password":"acme-secret"}`).field("data", "refreshToken").(string)
	h.clock.Advance(30*time.Minute - 1)
	equal(t, "just before", h.purchase("r").status, 200)
	h.clock.Advance(1)
	equal(t, "at its end", h.purchase("r").status, 401)
	equal(t, "counted for the account", h.entry("r").Unauthorized, 1)

	refreshed := h.call("POST", "/auth/token/refresh", `{"refreshToken":"`+refreshToken+`"}`)
	h.token = refreshed.field("data", "token").(string)
	equal(t, "after the refresh", h.purchase("r").status, 200)
	h.clock.Advance(7 * 24 * time.Hour)
	equal(t, "an old refresh token", h.call("POST", "/auth/token/refresh", `{"refreshToken":"`+refreshToken+`"}`).status, 401)
	st := h.sim.Stats()
	equal(t, "logins", st.Logins, int64(2))
	equal(t, "refreshes", st.Refreshes, int64(1))
}

func TestRefreshTokenRotation(t *testing.T) {
	for _, rotate := range []bool{false, true} {
		h := newHarness(t, func(c *Config) { c.RotateRefresh = rotate })
		held := h.call("POST", "/auth/token", `{"username":"acme","password":"acme-secret"}`).field("data", "refreshToken").(string)
		request := `{"refreshToken":"` + held + `"}`
		equal(t, "first", h.call("POST", "/auth/token/refresh", request).status, 200)
		equal(t, "second", h.call("POST", "/auth/token/refresh", request).status, map[bool]int{false: 200, true: 401}[rotate])
	}
}

func TestRevoke(t *testing.T) {
	h := newHarness(t)
	held := h.call("POST", "/auth/token", `{"username":"acme","password":"acme-secret"}`).field("data", "refreshToken").(string)
	request := `{"refreshToken":"` + held + `"}`
	h.sim.Revoke("other", true)
	equal(t, "another account's", h.purchase("r").status, 200)
	h.sim.Revoke("acme", false)
	equal(t, "purchase", h.purchase("r").status, 401)
	equal(t, "refresh", h.call("POST", "/auth/token/refresh", request).status, 200)
	h.sim.Revoke("acme", true)
	equal(t, "refresh", h.call("POST", "/auth/token/refresh", request).status, 401)
	h.login("acme", "acme-secret")
	equal(t, "after a new login", h.purchase("r").status, 200)
}

func TestSessionsAreSwept(t *testing.T) {
	h := newHarness(t)
	for range maxSessions {
		h.sim.sessions.open(h.sim.accounts["acme"], h.clock.Now(), &h.sim.cfg, true)
	}
	h.clock.Advance(8 * 24 * time.Hour)
	h.login("acme", "acme-secret")
	equal(t, "access tokens", len(h.sim.sessions.access), 1)
	equal(t, "refresh tokens", len(h.sim.sessions.renewal), 1)
}

func TestLimitsByAddress(t *testing.T) {
	for path, request := range map[string]string{
		"/auth/token":         `{"username":"acme","password":"acme-secret"}`,
		"/auth/token/refresh": `{"refreshToken":"x"}`,
	} {
		h := newHarness(t, func(c *Config) {
			documented := DefaultConfig()
			c.LoginLimit, c.RefreshLimit = documented.LoginLimit, documented.RefreshLimit
		})
		h.clock.Advance(time.Minute) // the harness has logged in
		allowed := 0
		var last answer
		for range 12 {
			if last = h.call("POST", path, request); last.status != 429 {
				allowed++
			}
		}
		equal(t, path, allowed, map[string]int{"/auth/token": 5, "/auth/token/refresh": 10}[path])
		equal(t, "body", string(last.body), `{"error":"Too Many Requests","message":"Rate limit exceeded for `+path+`"}`)
		h.clock.Advance(time.Minute)
		if h.call("POST", path, request).status == 429 {
			t.Errorf("%s: still limited after a minute", path)
		}
		if err := h.sim.Reset(); err != nil {
			t.Error(err)
		}
	}
}

func TestPurchaseLimit(t *testing.T) {
	spend := func(h *harness) int {
		allowed := 0
		for range 20 {
			if h.purchase("r").status == 200 {
				allowed++
			}
		}
		return allowed
	}
	for kind, afterTwelveSeconds := range map[LimitKind]int{FixedWindow: 10, TokenBucket: 2} {
		t.Run(string(kind), func(t *testing.T) {
			h := newHarness(t, func(c *Config) { c.PurchaseLimit = Limit{Requests: 10, Kind: kind} })
			equal(t, "at first", spend(h), 10)
			a := h.purchase("s")
			equal(t, "status", a.status, 429)
			equal(t, "body", string(a.body), `{"error":"Too Many Requests","message":"Rate limit exceeded for /purchase"}`)
			equal(t, "limited", h.entry("s").Limited, 1)
			equal(t, "acted", h.entry("s").Acted, 0)
			equal(t, "calls", h.entry("r").Calls, 20)
			// The clock stood at :51, so that a new minute has begun.
			h.clock.Advance(12 * time.Second)
			equal(t, "after twelve seconds", spend(h), afterTwelveSeconds)
			h.clock.Advance(time.Minute)
			equal(t, "after a minute", spend(h), 10)
			h.login("acme", "acme-secret")
			equal(t, "with a new token", spend(h), 0)
		})
	}
}

func TestPurchaseLimitOfAnAccount(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.PurchaseLimit = Limit{Requests: 1}
		c.Accounts = []Account{
			{Username: "acme", Password: "acme-secret"},
			{Username: "big", Password: "b", PurchaseLimit: &Limit{}},
		}
	})
	equal(t, "first", h.purchase("r").status, 200)
	equal(t, "second", h.purchase("r").status, 429)
	h.login("big", "b")
	for range 20 {
		equal(t, "unlimited", h.purchase("r").status, 200)
	}
}

func TestAddressesAreBounded(t *testing.T) {
	l := newAddressLimiter(Limit{Requests: 1})
	for i := range maxAddresses + 1 {
		l.allow(strings.Repeat("x", i%7)+string(rune('a'+i)), start)
	}
	equal(t, "addresses", len(l.addresses) <= maxAddresses, true)
}
