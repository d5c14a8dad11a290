package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	h := newHarness(t)
	h.order(Fault{Match: Match{Reference: "b"}, Steps: []Step{{Status: 401}, {Status: 429}, {Answer: AnswerReset}}})
	h.clock.Advance(time.Second)
	for range 5 {
		h.purchase("b")
	}
	h.call("POST", "/purchase", body("b", map[string]any{"amount": 60}))
	h.clock.Advance(time.Second)
	h.purchase("a")
	entries := h.sim.Ledger("acme")
	equal(t, "entries", len(entries), 2)
	e := entries[0]
	equal(t, "by the time of the first call", e.Reference, "b")
	equal(t, "first call", e.FirstCall, start.Add(time.Second))
	equal(t, "calls", e.Calls, 6)
	equal(t, "unauthorized", e.Unauthorized, 1)
	equal(t, "limited", e.Limited, 1)
	equal(t, "refused", e.Refused, 1)
	equal(t, "acted", e.Acted, 3)
	equal(t, "vends", e.Vends, 1)
	equal(t, "transaction", e.TransactionID, "VAS-000000000001")
	equal(t, "digests", len(e.Digests), 2)
	equal(t, "amount", e.Amount, "50.00")
	equal(t, "unknown account", len(h.sim.Ledger("nobody")), 0)
	_, found := h.sim.Entry("nobody", "b")
	equal(t, "entry of an unknown account", found, false)
}

func TestBodies(t *testing.T) {
	h := newHarness(t)
	h.purchase("r")
	h.purchase("r")
	for i := range 12 {
		h.call("POST", "/purchase", body("r", map[string]any{"note": i}))
	}
	equal(t, "bodies", len(h.sim.Bodies("acme", "r")), maxDigests)
	first, ok := h.sim.Body("acme", "r")
	equal(t, "kept", ok, true)
	equal(t, "first", string(first), body("r", nil))
	_, ok = h.sim.Body("acme", "s")
	equal(t, "unknown", ok, false)

	h = newHarness(t, func(c *Config) { c.KeepBodies = false })
	h.purchase("r")
	_, ok = h.sim.Body("acme", "r")
	equal(t, "not kept", ok, false)
}

func TestAuditOfReposts(t *testing.T) {
	const open = "sim-pending"
	for name, test := range map[string]struct {
		reference string
		between   func(*harness)
		wantOpen  int
		untold    int
	}{
		"while open":                   {open, func(*harness) {}, 1, 1},
		"after an empty 202":           {"sim-accepted-empty", func(*harness) {}, 1, 1},
		"ended, and not told":          {open, func(h *harness) { h.clock.Advance(time.Minute) }, 0, 1},
		"ended, and told by a poll":    {open, func(h *harness) { h.clock.Advance(time.Minute); h.pollLast() }, 0, 0},
		"open, and told so by a poll":  {"sim-reset-after-pending", func(h *harness) { h.pollLast() }, 1, 1},
		"open, and the answer lost":    {"sim-reset-after-pending", func(*harness) {}, 0, 0},
		"the end told by a lost poll":  {open, func(h *harness) { h.clock.Advance(time.Minute); h.losePoll() }, 0, 1},
		"open by a listing of all":     {"sim-reset-after-pending", func(h *harness) { h.poll() }, 0, 0},
		"ended, told by a full export": {open, func(h *harness) { h.clock.Advance(time.Minute); h.poll("exportAll", "true") }, 0, 0},
		"limited while open":           {open, func(h *harness) { h.order(Fault{Use: "429"}) }, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.purchase(test.reference)
			test.between(h)
			h.purchase(test.reference)
			e := h.entry(test.reference)
			equal(t, "while open", e.RepostedWhileOpen, test.wantOpen)
			equal(t, "before the end was told", e.RepostedUntold, test.untold)
			equal(t, "in all", h.sim.Stats().RepostedWhileOpen, int64(test.wantOpen))
		})
	}
}

func (h *harness) pollLast() answer {
	return h.poll("transactionId", transactionID(h.sim.transactionNumber.Load()))
}

func (h *harness) losePoll() {
	h.order(Fault{Match: Match{Endpoint: EndpointTransactions}, Steps: []Step{{Answer: AnswerTruncated}}})
	h.pollLast()
}

func TestMaxEntries(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxEntries = 10 })
	h.purchase("sim-pending-forever")
	for i := range 100 {
		h.purchase(fmt.Sprintf("r-%d", i))
	}
	equal(t, "entries", len(h.sim.Ledger("acme")), 10)
	equal(t, "the open one stays", h.entry("sim-pending-forever").Status, Pending)
	equal(t, "vends are still counted", h.sim.Stats().Vends, int64(100))
	a := h.sim.accounts["acme"]
	equal(t, "transactions", len(a.byID), 10)
	equal(t, "the list is bounded", len(a.listed) <= 3*10+16, true)
	if items := h.poll("size", "100").items(); len(items) < 10 {
		t.Errorf("%d items", len(items))
	}
}

func TestIdempotencyKeyIsCounted(t *testing.T) {
	h := newHarness(t)
	req, err := http.NewRequest(http.MethodPost, h.base+"/purchase", strings.NewReader(body("r", nil)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "r")
	resp, err := h.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	equal(t, "keys", h.sim.Stats().IdempotencyKeys, int64(1))
}

// Receipt is what the vendor writes in the answer to a purchase call.
func TestReceipt(t *testing.T) {
	h := newHarness(t)
	answered := h.purchase("a")
	if receipt := string(h.sim.Receipt("acme", "a")); receipt == "" || !strings.Contains(string(answered.body), `"receipt":`+receipt) {
		t.Errorf("receipt %s of %s", receipt, answered.body)
	}
	h.purchase("none-sim-failed")
	h.order(Fault{Match: Match{Reference: "b"}, Steps: []Step{{Receipt: ReceiptNone}}})
	h.purchase("b")
	for _, reference := range []string{"none-sim-failed", "b", "unknown"} {
		if receipt := h.sim.Receipt("acme", reference); receipt != nil {
			t.Errorf("%s has receipt %s", reference, receipt)
		}
	}
	equal(t, "base path", h.sim.BasePath(), "/api/v1")
}
