package simulator

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const control = "http://vendor.test/_simulator/"

func TestControlFaults(t *testing.T) {
	for _, sockets := range []bool{false, true} {
		h := newHarness(t)
		at := control
		if sockets {
			h.overSockets()
			at = strings.TrimSuffix(h.base, "/api/v1") + "/_simulator/"
		}
		equal(t, "one", h.call("POST", at+"faults", `{"match":{"reference":"r"},"steps":[{"status":503},{"stored":"pending","for":"1m"}]}`).status, 204)
		equal(t, "several", h.call("POST", at+"faults", ` [{"use":"500"},{"use":"502"}]`).status, 204)
		equal(t, "listed", strings.Count(string(h.call("GET", at+"faults", "").body), `"match"`), 3)
		equal(t, "first step", h.purchase("r").status, 503)
		equal(t, "second step", h.purchase("r").code(), "PENDING")
		equal(t, "another", h.purchase("s").status, 500)
		equal(t, "removed", h.call("DELETE", at+"faults", "").status, 204)
		equal(t, "ordinary", h.purchase("s").status, 200)
		for _, wrong := range []string{"", "{", `{"steps":[]}`, `{"what":1}`, `{"use":"500"} {}`, `{"steps":[{"for":"soon"}]}`, `{"steps":[{"for":"-1s"}]}`} {
			a := h.call("POST", at+"faults", wrong)
			equal(t, wrong, a.status, 400)
			equal(t, "error", a.field("error") != nil, true)
		}
	}
}

func TestControlLedgerHoldsNoCustomerData(t *testing.T) {
	h := newHarness(t)
	h.purchase("r-1")
	h.call("POST", "/purchase", body("r-2", map[string]any{"productCode": "ELE-FLS-001", "meterNumber": "000001020001"}))
	h.call("POST", "/purchase", body("r-3", map[string]any{"amount": "+27821234567"}))
	all := h.call("GET", control+"ledger", "")
	var entries []Entry
	if err := json.Unmarshal(all.body, &entries); err != nil {
		t.Fatal(err)
	}
	equal(t, "entries", len(entries), 3)
	equal(t, "amount", entries[0].Amount, "50.00")
	equal(t, "product", entries[1].ProductCode, "ELE-FLS-001")
	for _, secret := range []string{"27821234567", "000001020001", "12341234", "acme-secret", h.token} {
		for _, path := range []string{"ledger", "ledger/acme", "ledger/acme?reference=r-2", "stats", "faults"} {
			if a := h.call("GET", control+path, ""); a.status != 200 || strings.Contains(string(a.body), secret) {
				t.Errorf("%s shows customer data or fails: %d", path, a.status)
			}
		}
	}
	equal(t, "one", h.call("GET", control+"ledger/acme?reference=r-2", "").field("reference"), "r-2")
	equal(t, "unknown reference", h.call("GET", control+"ledger/acme?reference=r-9", "").status, 404)
	equal(t, "unknown account", h.call("GET", control+"ledger/nobody", "").status, 404)
	equal(t, "unknown call", h.call("GET", control+"nothing", "").status, 404)
}

func TestControlStatsAndReset(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Faults = []Fault{{Use: "500"}} })
	equal(t, "fault of the configuration", h.purchase("r").status, 500)
	h.purchase("r")
	h.purchase("sim-reset")
	st := h.call("GET", control+"stats", "")
	equal(t, "200", st.field("calls", "purchase", "200"), json.Number("1"))
	equal(t, "500", st.field("calls", "purchase", "500"), json.Number("1"))
	equal(t, "none", st.field("calls", "purchase", "none"), json.Number("1"))
	equal(t, "total", h.sim.Stats().Total(EndpointPurchase), int64(3))
	equal(t, "vends", st.field("vends"), json.Number("1"))
	equal(t, "references", st.field("references"), json.Number("2"))

	equal(t, "reset", h.call("POST", control+"reset", "").status, 204)
	equal(t, "calls", len(h.sim.Stats().Calls), 0)
	equal(t, "ledger", len(h.sim.Ledger("acme")), 0)
	equal(t, "the fault again", h.purchase("r").status, 500)
	equal(t, "the token is still valid", h.purchase("r").status, 200)
}

func TestControlEndRevokeAdvance(t *testing.T) {
	h := newHarness(t)
	h.purchase("sim-pending-forever")
	end := control + "end?account=acme&reference=sim-pending-forever&status="
	equal(t, "open state", h.call("POST", end+"PENDING", "").status, 400)
	equal(t, "end", h.call("POST", end+"FAILED&code=1206", "").status, 204)
	equal(t, "end again", h.call("POST", end+"COMPLETED", "").status, 404)
	equal(t, "code", h.purchase("sim-pending-forever").code(), "1206")

	equal(t, "advance", h.call("POST", control+"advance?by=90s", "").field("now"), start.Add(90*time.Second).Format(time.RFC3339Nano))
	equal(t, "advance by nonsense", h.call("POST", control+"advance?by=soon", "").status, 400)
	equal(t, "revoke", h.call("POST", control+"revoke?account=acme&refresh=true", "").status, 204)
	equal(t, "after that", h.purchase("r").status, 401)

	h = newHarness(t, func(c *Config) { c.Clock = nil })
	equal(t, "advance a real clock", h.call("POST", control+"advance?by=1s", "").status, 409)
}

func TestRedirectThatIsFollowedIsCounted(t *testing.T) {
	h := newHarness(t)
	h.purchase("sim-redirect-1")
	equal(t, "not followed", h.sim.Stats().Redirected, int64(0))
	h.http.CheckRedirect = nil
	h.purchase("sim-redirect-2")
	equal(t, "followed", h.sim.Stats().Redirected, int64(1))
}
