package simulation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
)

// channel is the account's channelId.
const channel = "7"

// payloads are bodies, in rows of the same value in different spellings. Two rows
// differ in one thing each, so that a fingerprint that overlooks it is found out.
// The one with a meter can be looked up first; the last is refused without a call.
var payloads = [][]string{
	{
		`{"productCode":"GAM-XBX-001","amount":90071992547409.930001,"paymentMethod":"cash","merchantReference":%q}`,
		`{"merchantReference":%q, "paymentMethod":"cash","channelId":"7","amount":"90071992547409.930001","productCode":"GAM-XBX-001"}`,
		`{"productCode":"GAM-XBX-001","amount":90071992547409930001e-6,"paymentMethod":"c\u0061sh","channelId":null,"merchantReference":%q}`,
	},
	{`{"productCode":"GAM-XBX-001","amount":90071992547409.930002,"paymentMethod":"cash","merchantReference":%q}`},
	{`{"productCode":"GAM-XBX-001","amount":90071992547409.930001,"paymentMethod":"cash","channelId":"8","merchantReference":%q}`},
	{`{"productCode":"GAM-XBX-001","amount":90071992547409.930001,"paymentMethod":"cash","merchantReference":%q,"additionalInfo":{"a":[1,{"b":"x"}]}}`},
	{`{"productCode":"GAM-XBX-001","amount":90071992547409.930001,"paymentMethod":"cash","merchantReference":%q,"additionalInfo":{"a":[1,{"b":"y"}]}}`},
	{`{"productCode":"GAM-XBX-001","amount":90071992547409.930001,"paymentMethod":"cash","merchantReference":%q,"newField":true}`},
	{`{"productCode":"ELE-FLS-001","amount":50.00,"paymentMethod":"cash","meterNumber":"000001020001","merchantReference":%q}`},
	{`{"productCode":"GAM-XBX-001","amount":-5,"paymentMethod":"cash","merchantReference":%q}`},
}

// broken are bodies that can have no result, with the reason.
var broken = []struct{ body, reason string }{
	{`{"amount":1,"amount":2,"merchantReference":"twice"}`, "malformed"},
	{`{"merchantReference":`, "malformed"},
	{`{"amount":1,"merchantReference":" blank "}`, "invalid_reference"},
}

var plainDecimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// value is a body by value: a second reading of it that shares nothing with the
// one in package purchase. An amount is a fraction, and channelId the account's
// where there is none. It panics on what is no object.
func value(body []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		panic(err)
	}
	if all["channelId"] == nil || all["channelId"] == "" {
		all["channelId"] = channel
	}
	if text, ok := all["amount"].(string); ok && plainDecimal.MatchString(text) {
		all["amount"] = json.Number(text)
	}
	return fmt.Sprint(byValue(all)) // maps are printed in the order of their keys
}

func byValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = byValue(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = byValue(inner)
		}
	case json.Number:
		fraction, ok := new(big.Rat).SetString(v.String())
		if !ok {
			panic("not a number: " + v.String())
		}
		return fraction.RatString()
	case string:
		return fmt.Sprintf("%q", v)
	}
	return v
}
