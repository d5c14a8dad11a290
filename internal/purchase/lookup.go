package purchase

import "strings"

// LookupKind names a look-up that validates the customer's account before a
// charge: it is the last part of its path (pagamio-api.md, "Lookups").
type LookupKind string

// The look-ups that the vendor has; there are no others.
const (
	LookupElectricity   LookupKind = "electricity"
	LookupBillPayment   LookupKind = "bill-payment"
	LookupMoneyTransfer LookupKind = "money-transfer"
)

// lookupOf is the look-up for the category in a product code. No documented
// category is a money transfer.
var lookupOf = map[string]LookupKind{
	"ELE": LookupElectricity,
	"BIL": LookupBillPayment,
}

// Lookup is the look-up for the product, or "" where the vendor has none.
func (r *Request) Lookup() LookupKind {
	category, _, _ := strings.Cut(r.ProductCode(), "-")
	return lookupOf[category]
}

// RefusedByLookup is the refusal of a purchase whose customer the vendor does
// not accept. Code and message are the look-up's.
func RefusedByLookup(o Outcome) *Refusal {
	return &Refusal{o.Code, o.Message, ClassLookup, SourceLookup}
}
