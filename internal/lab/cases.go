package lab

// kase is one kind of purchase that the demo makes.
type kase struct {
	group string // of the table
	name  string // what happens to it
	fault string // of the simulator's reference convention; "" for none
	// product instead of one of the categories, account instead of any.
	product, account string
	// change alters the body.
	change func(body map[string]any)
	// expired sets an expiry that has passed.
	expired bool
}

// Groups of the table, in order.
const (
	groupSuccess  = "success"
	groupRefused  = "refused here"
	groupExpired  = "expired"
	groupFailed   = "failed at the vendor"
	groupInFlight = "in flight"
	groupRetried  = "retried"
	groupLookedUp = "looked up"
	groupUnknown  = "answer lost"
	groupReceipt  = "receipt"
)

func with(field string, value any) func(map[string]any) {
	return func(body map[string]any) { body[field] = value }
}

func without(field string) func(map[string]any) {
	return func(body map[string]any) { delete(body, field) }
}

// cases are every kind of outcome. The first is the ordinary one, which fills
// the batch.
var cases = []kase{
	{group: groupSuccess, name: "an ordinary purchase"},
	{group: groupSuccess, name: "flat answer", fault: "flat"},
	{group: groupSuccess, name: "enveloped answer", fault: "enveloped"},
	{group: groupSuccess, name: "a slow answer", fault: "slow"},

	{group: groupRefused, name: "no amount", change: without("amount")},
	{group: groupRefused, name: "amount that is no decimal", change: with("amount", "fifty")},
	{group: groupRefused, name: "amount of zero", change: with("amount", "0.00")},
	{group: groupRefused, name: "phone number not +27", product: "AIR-VOD-001", change: with("mobileNumber", "0821234567")},
	{group: groupRefused, name: "meter number as a JSON number", product: "ELE-CTP-001", change: with("meterNumber", 12345678901)},
	{group: groupRefused, name: "no account number", product: "BIL-DST-001", change: without("accountNumber")},

	{group: groupExpired, name: "not sent in time", expired: true},

	{group: groupFailed, name: "flat failure", fault: "failed"},
	{group: groupFailed, name: "enveloped failure", fault: "failed-enveloped"},
	{group: groupFailed, name: "rejection", fault: "rejected"},
	{group: groupFailed, name: "no such product", product: "AIR-XXX-999"},
	{group: groupFailed, name: "inactive product", product: "GAM-OLD-001"},
	{group: groupFailed, name: "unsupported product", product: "VCH-UNS-001"},
	{group: groupFailed, name: "amount above the product's limit", product: "AIR-VOD-001", change: with("amount", "1000.01")},
	{group: groupFailed, name: "meter not known", product: "ELE-CTP-001", change: with("meterNumber", "123")},
	{group: groupFailed, name: "account inactive", fault: "fail-1101"},
	{group: groupFailed, name: "not enough balance", fault: "fail-1103"},
	{group: groupFailed, name: "meter not registered", fault: "fail-1107"},
	{group: groupFailed, name: "out of stock", fault: "fail-1206"},
	{group: groupFailed, name: "failed without a reason", fault: "fail-999"},
	{group: groupFailed, name: "403, not activated", fault: "403-x0"},

	{group: groupInFlight, name: "PENDING, then COMPLETED", fault: "pending"},
	{group: groupInFlight, name: "PENDING, then FAILED", fault: "pending-failed"},
	{group: groupInFlight, name: "PENDING in an envelope", fault: "pending-enveloped"},
	{group: groupInFlight, name: "PROCESSING, then COMPLETED", fault: "processing"},
	{group: groupInFlight, name: "PROCESSING, then FAILED", fault: "processing-failed"},
	{group: groupInFlight, name: "202, then COMPLETED", fault: "accepted"},
	{group: groupInFlight, name: "202, then FAILED", fault: "accepted-failed"},
	{group: groupInFlight, name: "empty 202, then COMPLETED", fault: "accepted-empty"},
	{group: groupInFlight, name: "PENDING, shows up late", fault: "pending-late"},
	{group: groupInFlight, name: "503 to the poller", fault: "poll-503"},
	{group: groupInFlight, name: "reset to the poller", fault: "poll-reset"},
	{group: groupInFlight, name: "garbage to the poller", fault: "poll-garbage"},
	{group: groupInFlight, name: "429 to the poller", fault: "poll-429"},

	{group: groupRetried, name: "1200 once", fault: "code-1200"},
	{group: groupRetried, name: "1201 twice", fault: "code-1201-x2"},
	{group: groupRetried, name: "1202 once", fault: "code-1202"},
	// The call is made again with a new token under the same permit. A real 401
	// comes before the vendor's purchase limit, an ordered one behind it, so this
	// is bought where there is no limit.
	{group: groupRetried, name: "401 once", fault: "401", account: acme},
	{group: groupRetried, name: "429 once", fault: "429"},
	{group: groupRetried, name: "429 twice", fault: "429-x2"},
	{group: groupRetried, name: "500 before it was stored", fault: "500"},
	{group: groupRetried, name: "503 twice before", fault: "503-x2"},
	{group: groupRetried, name: "500 after it was stored", fault: "500-after"},
	{group: groupRetried, name: "504 after", fault: "504-after"},

	{group: groupLookedUp, name: "1204, and it was vended", fault: "code-1204"},
	{group: groupLookedUp, name: "1205, and it was vended", fault: "code-1205"},
	{group: groupLookedUp, name: "1006, and it was vended", fault: "code-1006"},
	{group: groupLookedUp, name: "409, and it was vended", fault: "409-after"},
	{group: groupLookedUp, name: "409, and nothing was stored", fault: "409"},

	{group: groupUnknown, name: "reset before it was stored", fault: "reset"},
	{group: groupUnknown, name: "reset after", fault: "reset-after"},
	{group: groupUnknown, name: "reset after a failure", fault: "reset-after-failed"},
	{group: groupUnknown, name: "reset after, PENDING", fault: "reset-after-pending"},
	{group: groupUnknown, name: "time-out before", fault: "timeout"},
	{group: groupUnknown, name: "time-out after", fault: "timeout-after"},
	{group: groupUnknown, name: "all attempts reset after", fault: "reset-after-x5"},
	{group: groupUnknown, name: "reset, shows up late", fault: "late"},
	{group: groupUnknown, name: "garbage after", fault: "garbage"},
	{group: groupUnknown, name: "garbage before", fault: "garbage-before"},
	{group: groupUnknown, name: "truncated body", fault: "truncated"},
	{group: groupUnknown, name: "empty body", fault: "empty"},
	{group: groupUnknown, name: "body of 16 MiB", fault: "oversized"},
	{group: groupUnknown, name: "redirect", fault: "redirect"},
	{group: groupUnknown, name: "says successful and 1203", fault: "contradiction"},
	{group: groupUnknown, name: "the same, and it failed", fault: "contradiction-failed"},
	{group: groupUnknown, name: "code outside the table", fault: "code-4711"},

	{group: groupReceipt, name: "only by posting again", fault: "receipt-repost"},
	{group: groupReceipt, name: "the vendor has none", fault: "receipt-none"},
}

// category is one of the vendor's, with a product of it and an amount.
type category struct{ code, product, amount string }

var categories = []category{
	{"AIR", "AIR-VOD-001", "20.00"},
	{"DAT", "DAT-VOD-001", "85"},
	{"MIN", "MIN-VOD-001", "50.00"},
	{"ELE", "ELE-CTP-001", "150.00"},
	{"ENT", "ENT-NFX-001", "99.00"},
	{"GAM", "GAM-PSN-001", "250"},
	{"LIF", "LIF-UBR-001", "100.00"},
	{"VCH", "VCH-OTT-001", "30.00"},
	{"WLT", "WLT-MTN-001", "45.50"},
	{"BIL", "BIL-DST-001", "729.00"},
	{"SMS", "SMS-VOD-001", "5.00"},
	{"ATP", "ATP-100", "10.00"},
	{"ELE", "ELE-FLS-001", "75.00"},
}

// categoryNames are the categories in order, each once.
func categoryNames() []string {
	var names []string
	seen := map[string]bool{}
	for _, c := range categories {
		if !seen[c.code] {
			seen[c.code] = true
			names = append(names, c.code)
		}
	}
	return names
}
