package vendor

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/vendstream/vendstream/internal/purchase"
)

var errLookupKind = errors.New("not a lookup that the vendor has")

// Lookup validates the customer's account before a charge and returns the
// vendor's data as it was sent, nil where there is none. Completed says that the
// account is good, Failed that it is not; nothing is charged either way. Another
// kind than the three of package purchase is Unknown without a call.
//
// The request is the purchase's own body and the answer is read by its code, as
// the documentation leaves both open (pagamio-api.md, ASSUMED).
func (c *Client) Lookup(ctx context.Context, kind purchase.LookupKind, body []byte) (purchase.Outcome, json.RawMessage) {
	switch kind {
	case purchase.LookupElectricity, purchase.LookupBillPayment, purchase.LookupMoneyTransfer:
	default:
		return unknown(errLookupKind), nil
	}
	var data json.RawMessage
	outcome := c.authorized(ctx, call{
		endpoint: "lookup_" + string(kind),
		path:     "/lookup/" + string(kind),
		body:     body,
		limit:    maxPurchaseAnswer,
	}, func(status int, body []byte) purchase.Outcome {
		outcome, a := classifyLookup(status, body)
		data = a.data
		return outcome
	})
	return outcome, data
}
