package vendor

import "github.com/vendstream/vendstream/internal/purchase"

// This file is the one table of what the vendor's answers mean. Sources are
// sections of pagamio-api.md.

// codeProviderTimedOut is 1204: the provider gave no answer in time.
const codeProviderTimedOut = "1204"

// ruling is what an HTTP status settles.
type ruling uint8

const (
	byStatus  ruling = iota // the status alone, whatever the body says
	byBody                  // the body, which must be readable
	byFailure               // the body, as far as it states a failure
)

// statusRule is a row of the table for the HTTP status, which decides first
// (source: "Purchase", the paragraph on 401 and 403).
type statusRule struct {
	from, to int
	ruling   ruling
	kind     purchase.OutcomeKind // of byStatus
}

// statusRules are tried in order; a status in no row is Unknown.
var statusRules = []statusRule{
	{202, 202, byStatus, purchase.InFlight},     // "Purchase": in flight is HTTP 202
	{200, 299, byBody, 0},                       // "Purchase": documented responses
	{300, 399, byStatus, purchase.Unknown},      // not documented; redirects are not followed
	{401, 401, byStatus, purchase.Unauthorized}, // "Retry rules", 401
	{403, 403, byStatus, purchase.Forbidden},    // "Retry rules", 403
	{408, 408, byStatus, purchase.Unknown},      // not documented; a time-out proves nothing
	{409, 409, byStatus, purchase.LookUp},       // "Retry rules", 409
	{429, 429, byStatus, purchase.Limited},      // "Purchase limits"
	{400, 499, byFailure, 0},                    // "Purchase": 1300 inside a 400
	{500, 599, byStatus, purchase.Unknown},      // "Retry rules", 5xx
}

func statusRuleOf(status int) statusRule {
	for _, rule := range statusRules {
		if rule.from <= status && status <= rule.to {
			return rule
		}
	}
	return statusRule{status, status, byStatus, purchase.Unknown}
}

// codeRow is a row of the table for responseCode.
type codeRow struct {
	kind  purchase.OutcomeKind
	class purchase.Class // of Failed
}

// codeRows is compared with the code as it is spelled: "0.0", " 0" and "00" are
// not 0. A code that is not here proves nothing. The source is "Error codes"
// except where a row says another.
var codeRows = map[string]codeRow{
	"0": {purchase.Completed, ""},

	"PENDING":    {purchase.InFlight, ""}, // "Purchase", in flight
	"PROCESSING": {purchase.InFlight, ""}, // "Purchase", in flight

	"999": {purchase.Failed, purchase.ClassOther}, // terminal, no class of its own

	"1000": {purchase.Failed, purchase.ClassValidation}, // product not supported
	"1001": {purchase.Failed, purchase.ClassValidation}, // required fields missing
	"1002": {purchase.Failed, purchase.ClassValidation}, // product inactive
	"1003": {purchase.Failed, purchase.ClassValidation}, // product not available on this channel
	"1004": {purchase.Failed, purchase.ClassValidation}, // invalid amount
	"1005": {purchase.Failed, purchase.ClassValidation}, // invalid phone number
	"1006": {purchase.LookUp, ""},                       // duplicate transaction found; "Retry rules"
	"1007": {purchase.Failed, purchase.ClassValidation}, // invalid tender amount
	"1008": {purchase.Failed, purchase.ClassValidation}, // invalid field format
	"1009": {purchase.Failed, purchase.ClassAccount},    // product not available for this account
	"1010": {purchase.Failed, purchase.ClassValidation}, // invalid product

	"1100": {purchase.Failed, purchase.ClassAccount}, // account, customer or meter problems
	"1101": {purchase.Failed, purchase.ClassAccount},
	"1102": {purchase.Failed, purchase.ClassAccount},
	"1103": {purchase.Failed, purchase.ClassBalance}, // insufficient balance
	"1104": {purchase.Failed, purchase.ClassAccount},
	"1105": {purchase.Failed, purchase.ClassAccount},
	"1106": {purchase.Failed, purchase.ClassAccount},
	"1107": {purchase.Failed, purchase.ClassAccount},

	"1200": {purchase.Transient, ""},                  // provider error
	"1201": {purchase.Transient, ""},                  // provider system error
	"1202": {purchase.Transient, ""},                  // provider unavailable
	"1203": {purchase.Failed, purchase.ClassProvider}, // failed at the provider
	"1204": {purchase.LookUp, ""},                     // provider timed out: unknown outcome
	"1205": {purchase.LookUp, ""},                     // already processed; "Retry rules"
	"1206": {purchase.Failed, purchase.ClassProvider}, // out of stock

	"1300": {purchase.Failed, purchase.ClassValidation}, // required fields missing, older page
}

// statusWords are the values of a purchase's status (source: "Purchase",
// success enveloped; "Transactions", life cycle).
var statusWords = map[string]purchase.OutcomeKind{
	"COMPLETED":  purchase.Completed,
	"PENDING":    purchase.InFlight,
	"PROCESSING": purchase.InFlight,
	"FAILED":     purchase.Failed,
}

// itemStatusCodes are the values of status.code of a transaction (source:
// "Transactions", parameters and life cycle), as the words that they stand for.
var itemStatusCodes = map[string]string{
	"0": "COMPLETED",
	"1": "PENDING",
	"2": "PROCESSING",
	"3": "FAILED",
}
