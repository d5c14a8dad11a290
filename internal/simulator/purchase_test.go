package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPurchaseShapes(t *testing.T) {
	h := newHarness(t)
	flat := h.purchase("r-1")
	equal(t, "flat", string(flat.body), `{"transactionId":"VAS-000000000001","responseCode":"0",`+
		`"responseMessage":"Transaction successful","responseDateTime":"2026-04-21T12:57:51.831786006",`+
		`"successful":true,"receipt":{"serialNumber":"`+flat.field("receipt", "serialNumber").(string)+`","amount":5000}}`)
	equal(t, "content type", flat.header.Get("Content-Type"), "application/json")
	again := h.purchase("r-1")
	equal(t, "the same answer again", string(again.body), string(flat.body))

	h = newHarness(t, func(c *Config) { c.PurchaseShape = Enveloped })
	enveloped := h.purchase("r-1")
	equal(t, "success", enveloped.field("success"), true)
	equal(t, "code", enveloped.field("data", "responseCode"), json.Number("0"))
	equal(t, "status", enveloped.field("data", "status"), "COMPLETED")
	equal(t, "failure", string(h.call("POST", "/purchase", body("r-2", map[string]any{"amount": 1})).body),
		`{"success":false,"error":{"code":1004,"message":"Invalid amount"}}`)
}

func TestPurchaseValidation(t *testing.T) {
	number := func(s string) json.Number { return json.Number(s) }
	electricity := func(meter any) map[string]any {
		return map[string]any{"productCode": "ELE-FLS-001", "mobileNumber": nil, "meterNumber": meter}
	}
	for name, test := range map[string]struct {
		changes map[string]any
		code    string
	}{
		"as it should be":           {nil, "0"},
		"amount with four decimals": {map[string]any{"amount": number("50.0000")}, "0"},
		"amount with an exponent":   {map[string]any{"amount": number("5e1")}, "0"},
		"smallest amount":           {map[string]any{"amount": number("2")}, "0"},
		"largest amount":            {map[string]any{"amount": number("1000.00")}, "0"},
		"unknown fields":            {map[string]any{"note": "x", "additionalInfo": map[string]any{"a": 1}}, "0"},
		"no product":                {map[string]any{"productCode": nil}, "1001"},
		"no amount":                 {map[string]any{"amount": nil}, "1001"},
		"null amount":               {map[string]any{"amount": json.RawMessage("null")}, "1001"},
		"empty amount":              {map[string]any{"amount": ""}, "1001"},
		"no payment method":         {map[string]any{"paymentMethod": ""}, "1001"},
		"no channel":                {map[string]any{"channelId": nil}, "1001"},
		"no mobile number":          {map[string]any{"mobileNumber": nil}, "1001"},
		"names in another case":     {map[string]any{"channelId": nil, "ChannelID": "web"}, "1001"},
		"amount as a string":        {map[string]any{"amount": "50"}, "1008"},
		"amount as an object":       {map[string]any{"amount": map[string]any{}}, "1008"},
		"channel as a number":       {map[string]any{"channelId": 7}, "1008"},
		"additionalInfo as a list":  {map[string]any{"additionalInfo": []int{1}}, "1008"},
		"meter as a number":         {electricity(20001), "1008"},
		"meter with letters":        {electricity("00001x00000"), "1008"},
		"meter too short":           {electricity("123"), "1104"},
		"no meter":                  {electricity(nil), "1001"},
		"local phone number":        {map[string]any{"mobileNumber": "0821234567"}, "1005"},
		"long phone number":         {map[string]any{"mobileNumber": "+278212345678"}, "1005"},
		"below the minimum":         {map[string]any{"amount": number("1.99")}, "1004"},
		"above the maximum":         {map[string]any{"amount": number("1000.01")}, "1004"},
		"negative":                  {map[string]any{"amount": number("-50")}, "1004"},
		"zero":                      {map[string]any{"amount": number("0")}, "1004"},
		"fractions of a cent":       {map[string]any{"amount": number("50.001")}, "1004"},
		"hostile exponent":          {map[string]any{"amount": number("1e999999999")}, "1004"},
		"hostile length":            {map[string]any{"amount": number("5" + strings.Repeat("0", 9000))}, "1004"},
		"not the fixed amount":      {map[string]any{"productCode": "DAT-VOD-001"}, "1004"},
		"the fixed amount":          {map[string]any{"productCode": "DAT-VOD-001", "amount": number("85")}, "0"},
		"unknown product":           {map[string]any{"productCode": "AIR-XXX-999"}, "1010"},
		"unsupported product":       {map[string]any{"productCode": "VCH-UNS-001"}, "1000"},
		"inactive product":          {map[string]any{"productCode": "GAM-OLD-001"}, "1002"},
		"product of another":        {map[string]any{"productCode": "AIR-PRV-001"}, "1009"},
		"wrong channel":             {map[string]any{"channelId": "pos"}, "1003"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(c *Config) {
				c.Accounts = []Account{{Username: "acme", Password: "acme-secret", Channels: []string{"web"}}}
				private := Product{Code: "AIR-PRV-001", MinAmount: "1", MaxAmount: "100", Accounts: []string{"other"}}
				c.Products = append(DefaultProducts(), private)
			})
			got := h.call("POST", "/purchase", body("r", test.changes))
			equal(t, "status", got.status, 200)
			equal(t, "code", got.code(), test.code)
			e := h.entry("r")
			if test.code == "0" {
				equal(t, "vends", e.Vends, 1)
				return
			}
			equal(t, "stored", e.Status, Failed)
			equal(t, "code in the ledger", e.Code, test.code)
			equal(t, "transaction", e.TransactionID, "")
			equal(t, "refused", e.Refused, 1)
			// A better body under the same reference changes nothing.
			equal(t, "the original failure", h.purchase("r").code(), test.code)
			equal(t, "listed", len(h.poll().items()), 0)
		})
	}
}

func TestPurchaseWithoutUsableBody(t *testing.T) {
	for name, test := range map[string]struct {
		body   string
		legacy bool
		status int
		code   string
	}{
		"not JSON":              {"{", false, 400, "1008"},
		"not an object":         {"[]", false, 400, "1008"},
		"null":                  {"null", false, 400, "1008"},
		"no body":               {"", false, 400, "1008"},
		"no reference":          {body("", nil), false, 200, "1001"},
		"reference is a number": {body("", map[string]any{"merchantReference": 5}), false, 200, "1001"},
		"no reference, legacy":  {body("", nil), true, 400, "1300"},
		"no product, legacy":    {body("r", map[string]any{"productCode": nil}), true, 400, "1300"},
		"too large":             {body("r", map[string]any{"pad": strings.Repeat("x", maxBody)}), false, 413, "1008"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(c *Config) { c.LegacyErrors = test.legacy })
			got := h.call("POST", "/purchase", test.body)
			equal(t, "status", got.status, test.status)
			equal(t, "code", got.code(), test.code)
		})
	}
}

func TestPurchaseRoles(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.Accounts = []Account{
			{Username: "acme", Password: "acme-secret"},
			{Username: "sub", Password: "s", UserType: "SUB_MERCHANT"},
			{Username: "agent", Password: "a", UserType: "AGENT"},
		}
	})
	h.login("sub", "s")
	equal(t, "sub-merchant", h.purchase("r").code(), "0")
	h.login("agent", "a")
	got := h.purchase("r")
	equal(t, "agent", got.status, 403)
	equal(t, "code", got.code(), "403")
	e, _ := h.sim.Entry("agent", "r")
	equal(t, "refused", e.Refused, 1)
	equal(t, "status", e.Status, State(""))
}

func TestIdempotencyUnderConcurrency(t *testing.T) {
	h := newHarness(t).overSockets()
	const callers = 32
	ids := make([]any, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { ids[i] = h.purchase("one").field("transactionId") })
	}
	all.Wait()
	for _, id := range ids {
		equal(t, "transaction", id, "VAS-000000000001")
	}
	e := h.entry("one")
	equal(t, "calls", e.Calls, callers)
	equal(t, "acted", e.Acted, callers)
	equal(t, "vends", e.Vends, 1)
	equal(t, "vends in all", h.sim.Stats().Vends, int64(1))
}

func TestReferencesAreByAccount(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.Accounts = []Account{{Username: "acme", Password: "acme-secret"}, {Username: "two", Password: "2"}}
	})
	first := h.purchase("r").field("transactionId")
	h.login("two", "2")
	if second := h.purchase("r").field("transactionId"); first == second {
		t.Error("two accounts share a transaction")
	}
}

func TestBalance(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.Accounts = []Account{{Username: "acme", Password: "acme-secret", Balance: "120"}}
	})
	equal(t, "first", h.purchase("r1").code(), "0")
	h.order(Fault{Steps: []Step{{Stored: StoredPending, For: Duration(time.Minute), Then: Failed, ThenCode: "1206"}}})
	equal(t, "second is reserved", h.purchase("r2").code(), "PENDING")
	third := h.purchase("r3")
	equal(t, "third", third.code(), "1103")
	equal(t, "message", third.field("responseMessage"), "Insufficient balance: available R20.00, required R50.00")
	h.clock.Advance(time.Minute)
	equal(t, "second", h.purchase("r2").code(), "1206")
	equal(t, "third again", h.purchase("r3").code(), "1103")
	equal(t, "a new one after the money came back", h.purchase("r4").code(), "0")
}

func TestOpenPurchaseEnds(t *testing.T) {
	for name, test := range map[string]struct {
		step Step
		then any // code of a repeated call after the end
	}{
		"by time to completed":  {Step{Stored: StoredPending, For: Duration(time.Minute)}, "0"},
		"by time to failed":     {Step{Stored: StoredProcessing, For: Duration(time.Minute), Then: Failed}, "999"},
		"by polls to completed": {Step{Stored: StoredPending, Polls: 2}, "0"},
		"by polls to failed":    {Step{Stored: StoredPending, Polls: 2, Then: Failed, ThenCode: "1203"}, "1203"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.order(Fault{Steps: []Step{test.step}})
			id := h.purchase("r").field("transactionId").(string)
			for range 2 {
				items := h.poll("transactionId", id).items()
				equal(t, "open", items[0]["status"].(map[string]any)["label"] == "COMPLETED", false)
			}
			if test.step.For > 0 {
				h.clock.Advance(time.Minute)
			}
			equal(t, "reposted", h.entry("r").RepostedWhileOpen, 0)
			equal(t, "code", h.purchase("r").code(), test.then)
			e := h.entry("r")
			equal(t, "reposted while open", e.RepostedWhileOpen, 0)
			equal(t, "reposted before the end was told", e.RepostedUntold, 1)
			equal(t, "open", h.sim.Stats().Open, int64(0))
		})
	}
}

func TestEnd(t *testing.T) {
	h := newHarness(t)
	h.purchase("sim-pending-forever")
	h.clock.Advance(1000 * time.Hour)
	equal(t, "open", h.entry("sim-pending-forever").Status, Pending)
	if err := h.sim.End("acme", "sim-pending-forever", Pending, ""); err == nil {
		t.Error("ended in an open state")
	}
	if err := h.sim.End("acme", "sim-pending-forever", Failed, ""); err != nil {
		t.Error(err)
	}
	h.login("acme", "acme-secret") // the token has expired long since
	equal(t, "code", h.purchase("sim-pending-forever").code(), "999")
	if err := h.sim.End("acme", "sim-pending-forever", Completed, ""); err == nil {
		t.Error("ended twice")
	}
}

func TestInvalidPurchaseUnderAFaultIsStillInvalid(t *testing.T) {
	h := newHarness(t)
	for _, name := range []string{"fail-1203", "pending", "accepted-empty", "contradiction"} {
		bad := body("sim-"+name, map[string]any{"amount": 1})
		for range 2 {
			a := h.call("POST", "/purchase", bad)
			equal(t, "status", a.status, 200)
			equal(t, "code", a.code(), "1004")
		}
	}
	bad := body("sim-503-after", map[string]any{"amount": 1})
	equal(t, "a status still strikes", h.call("POST", "/purchase", bad).status, 503)
	equal(t, "once", h.call("POST", "/purchase", bad).code(), "1004")
}

// Whatever comes as a body is answered, and nothing but an object with a
// reference is remembered.
func FuzzPurchaseBody(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "[]", "null", `"x"`, `{"merchantReference":"r"}`, `{"merchantReference":"\ud800"}`,
		`{"merchantReference":"r","amount":1e99999999999}`, `{"amount":-}`, body("r", nil), body("sim-poll-pending-x", nil),
	} {
		f.Add(seed)
	}
	sim, err := New(Config{MaxEntries: 100})
	if err != nil {
		f.Fatal(err)
	}
	token, _ := sim.sessions.open(sim.accounts["acme"], time.Now(), &sim.cfg, false)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, referenceMark) {
			return // a fault may hang or reset, as it was ordered
		}
		req, err := http.NewRequest(http.MethodPost, base+"/purchase", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := sim.Transport().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		answered, err := io.ReadAll(resp.Body)
		if err != nil || !json.Valid(answered) {
			t.Errorf("%d %q: %v", resp.StatusCode, answered, err)
		}
	})
}
