package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestItem(t *testing.T) {
	h := newHarness(t)
	h.call("POST", "/purchase", body("r", map[string]any{"amount": json.Number("30")}))
	equal(t, "page", string(h.poll().body), `{"content":[{"id":1,"status":{"code":0,"label":"COMPLETED",`+
		`"description":"Transaction completed"},"productName":"Vodacom Airtime","productShortName":"AIR-VOD-001",`+
		`"quantity":1,"price":30.0000,"totalAmount":30.0000,"transactionId":"VAS-000000000001",`+
		`"responseDate":"2026-04-21T12:57:51.831786006","brandName":"Vodacom","categoryName":"Airtime",`+
		`"channelName":"web","merchantName":"acme"}],"page":0,"size":20,"totalElements":1,"totalPages":1}`)
	equal(t, "nothing found", string(h.poll("transactionId", "VAS-9").body),
		`{"content":[],"page":0,"size":20,"totalElements":0,"totalPages":0}`)
	equal(t, "bare array", strings.HasPrefix(string(h.poll("exportAll", "true").body), `[{"id":1,`), true)
}

func TestItemOptions(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.Transactions = Transactions{BearReference: true, FilterByReference: true, Receipts: true}
	})
	receipt := h.purchase("r-1").field("receipt", "serialNumber")
	h.purchase("r-2")
	items := h.poll("merchantReference", "r-1").items()
	if len(items) != 1 {
		t.Fatalf("%d items", len(items))
	}
	equal(t, "reference", items[0]["merchantReference"], "r-1")
	equal(t, "receipt", items[0]["receipt"].(map[string]any)["serialNumber"], receipt)
	equal(t, "unknown reference", len(h.poll("merchantReference", "r-3").items()), 0)
}

func TestReferenceFilterThatIsIgnored(t *testing.T) {
	h := newHarness(t)
	h.purchase("r-1")
	h.purchase("r-2")
	items := h.poll("merchantReference", "r-1").items()
	equal(t, "items", len(items), 2)
	equal(t, "reference", items[0]["merchantReference"], nil)
	equal(t, "the newest first", items[0]["transactionId"], "VAS-000000000002")
	equal(t, "polls", h.entry("r-1").Polls, 1)
}

func TestQueryIsChecked(t *testing.T) {
	h := newHarness(t)
	for params, want := range map[string]int{
		"":                                                      400,
		"userType=MERCHANT":                                     400,
		"userTypeId=1001":                                       400,
		"userType=SUB_MERCHANT&userTypeId=1":                    403,
		"userType=MERCHANT&userTypeId=1002":                     403,
		"userType=MERCHANT&userTypeId=1001":                     200,
		"userType=MERCHANT&userTypeId=1001&page=x":              400,
		"userType=MERCHANT&userTypeId=1001&size=-1":             400,
		"userType=MERCHANT&userTypeId=1001&status=4":            400,
		"userType=MERCHANT&userTypeId=1001&exportAll=si":        400,
		"userType=MERCHANT&userTypeId=1001&startDate=today":     400,
		"userType=MERCHANT&userTypeId=1001&page=99999999999999": 200,
	} {
		equal(t, params, h.call("POST", "/transactions?"+params, "").status, want)
	}
	equal(t, "GET", h.call("GET", "/transactions", "").status, 405)
}

func TestPaging(t *testing.T) {
	h := newHarness(t)
	for i := range 137 {
		h.purchase(fmt.Sprintf("r-%d", i))
	}
	for _, test := range []struct {
		params               []string
		items, size, pages   int
		firstTransactionLast string
	}{
		{nil, 20, 20, 7, "137"},
		{[]string{"page", "6"}, 17, 20, 7, "017"},
		{[]string{"page", "7"}, 0, 20, 7, ""},
		{[]string{"size", "100"}, 100, 100, 2, "137"},
		{[]string{"size", "1000"}, 100, 100, 2, "137"},
		{[]string{"size", "0"}, 1, 1, 137, "137"},
	} {
		a := h.poll(test.params...)
		equal(t, "items", len(a.items()), test.items)
		equal(t, "size", a.field("size"), json.Number(fmt.Sprint(test.size)))
		equal(t, "pages", a.field("totalPages"), json.Number(fmt.Sprint(test.pages)))
		equal(t, "elements", a.field("totalElements"), json.Number("137"))
		if test.items > 0 {
			id := a.items()[0]["transactionId"].(string)
			equal(t, "first", strings.HasSuffix(id, test.firstTransactionLast), true)
		}
	}
	equal(t, "exported", len(h.poll("exportAll", "true", "size", "5").items()), 137)
}

func TestFilters(t *testing.T) {
	h := newHarness(t)
	h.purchase("day-1")
	h.purchase("sim-pending-forever")
	h.clock.Advance(24 * time.Hour)
	h.login("acme", "acme-secret")
	h.purchase("sim-fail-1206")
	h.call("POST", "/purchase", body("dstv", map[string]any{"productCode": "BIL-DST-001", "accountNumber": accountDStv}))
	h.order(Fault{Steps: []Step{{Stored: StoredProcessing}}})
	h.purchase("processing")
	for params, want := range map[string]int{
		"":                                   5,
		"status=0":                           2,
		"status=1":                           1,
		"status=2":                           1,
		"status=3":                           1,
		"categoryName=Bill payment":          1,
		"brandName=vodacom":                  4,
		"aggregatorName=DStv":                1,
		"keyWord=dst":                        1,
		"keyWord=VAS-000000000001":           1,
		"startDate=2026-04-22":               3,
		"endDate=2026-04-21":                 2,
		"startDate=2026-04-23":               0,
		"transactionId=VAS-000000000002":     1,
		"status=0,transactionId=VAS-0000002": 0,
	} {
		var pairs []string
		for _, pair := range strings.Split(params, ",") {
			if name, value, ok := strings.Cut(pair, "="); ok {
				pairs = append(pairs, name, value)
			}
		}
		equal(t, params, len(h.poll(pairs...).items()), want)
	}
}

func TestDateFilterNames(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Transactions.StartParam, c.Transactions.EndParam = "from", "to" })
	h.purchase("r")
	equal(t, "from", len(h.poll("from", "2026-04-22").items()), 0)
	equal(t, "to", len(h.poll("to", "2026-04-20").items()), 0)
	equal(t, "documented name", len(h.poll("startDate", "2026-04-22").items()), 1)
}

func TestAccountsSeeTheirOwn(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.Accounts = []Account{{Username: "acme", Password: "acme-secret"}, {Username: "two", Password: "2"}}
	})
	h.purchase("r")
	h.login("two", "2")
	q := "/transactions?userType=MERCHANT&userTypeId=1002"
	equal(t, "all", len(h.call("POST", q, "").items()), 0)
	equal(t, "by id", len(h.call("POST", q+"&transactionId=VAS-000000000001", "").items()), 0)
}

func TestLateTransaction(t *testing.T) {
	for name, step := range map[string]Step{
		"by time":  {HiddenFor: Duration(time.Minute)},
		"by polls": {HiddenPolls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.order(Fault{Steps: []Step{step}})
			id := h.purchase("r").field("transactionId").(string)
			for range 2 {
				equal(t, "hidden", len(h.poll("transactionId", id).items()), 0)
			}
			if step.HiddenFor > 0 {
				h.clock.Advance(time.Minute)
			}
			equal(t, "shown", len(h.poll("transactionId", id).items()), 1)
			equal(t, "polls", h.entry("r").Polls, 3)
		})
	}
}

func TestReceiptModes(t *testing.T) {
	for mode, want := range map[ReceiptMode]struct{ listed, reposted bool }{
		ReceiptDefault: {true, true},
		ReceiptRepost:  {false, true},
		ReceiptNone:    {false, false},
	} {
		h := newHarness(t, func(c *Config) { c.Transactions.Receipts = true })
		h.order(Fault{Steps: []Step{{Stored: StoredPending, For: Duration(time.Second), Receipt: mode}}})
		id := h.purchase("r").field("transactionId").(string)
		h.clock.Advance(time.Second)
		_, listed := h.poll("transactionId", id).items()[0]["receipt"]
		equal(t, "listed "+string(mode), listed, want.listed)
		again := h.purchase("r")
		equal(t, "code", again.code(), "0")
		equal(t, "reposted "+string(mode), again.field("receipt") != nil, want.reposted)
		equal(t, "not a breach, as the end was told", h.entry("r").RepostedUntold, 0)
	}
}
