package simulator

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestProducts(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.Accounts = []Account{
			{Username: "acme", Password: "acme-secret", MerchantID: "m-7"},
			{Username: "sub", Password: "s", UserType: "SUB_MERCHANT"},
		}
	})
	a := h.call("GET", "/merchants/m-7/products", "")
	equal(t, "first", strings.HasPrefix(string(a.body), `[{"id":101,"name":"Vodacom Airtime","code":"AIR-VOD-001",`+
		`"brandId":11,"brandName":"Vodacom","minAmount":2.0000,"maxAmount":1000.0000,"fixedAmount":false,"pinLess":true},`), true)
	equal(t, "fixed", strings.Contains(string(a.body), `"minAmount":85.0000,"maxAmount":85.0000,"fixedAmount":true`), true)
	var listed []struct{ Code string }
	if err := json.Unmarshal(a.body, &listed); err != nil {
		t.Fatal(err)
	}
	equal(t, "products", len(listed), len(DefaultProducts()))
	for _, of := range categories {
		equal(t, of.Code, slices.ContainsFunc(listed, func(p struct{ Code string }) bool {
			return strings.HasPrefix(p.Code, of.Code+"-")
		}), true)
	}
	equal(t, "another's", h.call("GET", "/merchants/1002/products", "").status, 403)
	equal(t, "wrong kind", h.call("GET", "/sub-merchants/m-7/products", "").status, 403)
	equal(t, "no such path", h.call("GET", "/merchants/m-7/x/products", "").status, 403)
	h.login("sub", "s")
	equal(t, "sub-merchant", h.call("GET", "/sub-merchants/1002/products", "").status, 200)
	equal(t, "POST", h.call("POST", "/sub-merchants/1002/products", "").status, 405)
}

func TestCategories(t *testing.T) {
	h := newHarness(t)
	for _, method := range []string{"GET", "POST"} {
		a := h.call(method, "/products/categories", "")
		equal(t, method, strings.HasPrefix(string(a.body), `[{"id":1,"name":"Airtime","state":"ACTIVE","parentId":null,`+
			`"meta":"{\"fields\":[{\"name\":\"mobileNumber\",`), true)
	}
	equal(t, "fields", string(h.call("GET", "/products/categories/7/fields", "").body),
		`{"fields":[{"name":"mobileNumber","type":"phone","required":false}],"receiptFields":["voucher.pin","voucher.serialNumber"]}`)
	equal(t, "unknown", h.call("GET", "/products/categories/99/fields", "").status, 404)
}

// receiptOf vends a product and returns its receipt as it was written.
func receiptOf(t *testing.T, h *harness, code string, changes map[string]any) string {
	t.Helper()
	fields := map[string]any{"productCode": code}
	for name, value := range changes {
		fields[name] = value
	}
	a := h.call("POST", "/purchase", body("r-"+code, fields))
	var answered struct{ Receipt json.RawMessage }
	if err := json.Unmarshal(a.body, &answered); err != nil || a.code() != "0" {
		t.Fatalf("%s: %s: %v", code, a.body, err)
	}
	return string(answered.Receipt)
}

func TestReceipts(t *testing.T) {
	meter := func(number string) map[string]any { return map[string]any{"meterNumber": number} }
	h := newHarness(t)
	equal(t, "the documented token, as a number", receiptOf(t, h, "ELE-FLS-001", meter("000001020001")),
		`{"token":12341234123412341234,"units":20.0000,"unitType":"kWh","meterNumber":"000001020001",`+
			`"taxAmount":6.5217,"aggregator":"Flash","amount":5000}`)
	for code, want := range map[string]struct {
		changes map[string]any
		holds   []string
	}{
		"AIR-VOD-001": {nil, []string{`"serialNumber":"`, `"amount":5000`}},
		"AIR-MTN-001": {nil, []string{`"pin":"`, `"serialNumber":"`}},
		"DAT-MTN-001": {nil, []string{`"serialNumber":"`}},
		"MIN-VOD-001": {nil, []string{`"serialNumber":"`}},
		"SMS-VOD-001": {nil, []string{`"serialNumber":"`}},
		"ATP-100":     {nil, []string{`"pin":"`, `"serialNumber":"`}},
		"ELE-CTP-001": {meter(meterWater), []string{`"tokens":[{"token":"`, `"quantity":20.0000,"unit":"kl","free":false}`, `"fixedCosts":[`, `"utility":`, `"name":`, `"receiptNumber":`}},
		"ENT-NFX-001": {map[string]any{"amount": 99}, []string{`"pin":"`, `"serialNumber":`, `"expiryDate":"`}},
		"VCH-OTT-001": {nil, []string{`"pin":"`, `"serialNumber":`, `"expiryDate":"`}},
		"GAM-PSN-001": {nil, []string{`"details":[{"tokens":[{"token":"`}},
		"LIF-UBR-001": {nil, []string{`"voucher":{"pin":"`}},
		"WLT-MTN-001": {nil, []string{`"walletReference":`, `"balance":175.0000`}},
		"BIL-DST-001": {map[string]any{"accountNumber": accountDStv}, []string{`"accountHolder":`, `"amountDue":0.00`, `"accountNumber":"81715524"`, `"vendorName":"DStv"`}},
	} {
		got := receiptOf(t, h, code, want.changes)
		for _, part := range want.holds {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %s does not hold %s", code, got, part)
			}
		}
	}
	h = newHarness(t)
	free := receiptOf(t, h, "ELE-FLS-001", meter(meterFreeOnly))
	equal(t, "a free token only", strings.Count(free, `"free":true`)*10+strings.Count(free, `"free":false`), 10)
}

func TestLookup(t *testing.T) {
	h := newHarness(t)
	for _, test := range []struct{ path, request, code string }{
		{"electricity", `{"meterNumber":"000001020001"}`, "0"},
		{"electricity", `{"meterNumber":"00001100000"}`, "0"},
		{"electricity", `{"meterNumber":"00001000000"}`, "0"},
		{"electricity", `{"meterNumber":"000000000100"}`, "0"},
		{"electricity", `{"meterNumber":"1"}`, "1104"},
		{"electricity", `{"meterNumber":1020001}`, "1008"},
		{"electricity", `{}`, "1001"},
		{"electricity", `[]`, "1008"},
		{"bill-payment", `{"accountNumber":"81715524","productCode":"BIL-DST-001"}`, "0"},
		{"bill-payment", `{"accountNumber":"x"}`, "1104"},
		{"money-transfer", `{"mobileNumber":"+27821234567"}`, "0"},
		{"money-transfer", `{"mobileNumber":"0821234567"}`, "1104"},
	} {
		a := h.call("POST", "/lookup/"+test.path, test.request)
		equal(t, test.path+" "+test.request, a.code(), test.code)
		if test.code == "0" {
			equal(t, "valid", a.field("data", "valid"), true)
			equal(t, "outstanding", a.field("data", "outstandingAmount"), json.Number("0.0000"))
		}
	}
	equal(t, "no such lookup", h.call("POST", "/lookup/water", "{}").status, 404)
}
