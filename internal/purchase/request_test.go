package purchase_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// The first reason in the contract's order is given where several apply.
func TestParseGivesTheFirstReason(t *testing.T) {
	large := strings.Repeat(" ", purchase.MaxBody)
	for name, c := range map[string]struct {
		body string
		want purchase.Reason
	}{
		"too large, malformed, no reference": {large + "{", purchase.ReasonTooLarge},
		"too large, invalid UTF-8":           {large + "\xff", purchase.ReasonTooLarge},
		"too large, no reference":            {large + "{}", purchase.ReasonTooLarge},
		"malformed, no reference":            {`{"x":1,"x":2}`, purchase.ReasonMalformed},
		"malformed, invalid reference":       {`{"merchantReference":"","x":1,"x":2}`, purchase.ReasonMalformed},
		"nested too deeply, no reference":    {`{"x":` + strings.Repeat("[", 9001) + strings.Repeat("]", 9001) + "}", purchase.ReasonMalformed},
		"no members":                         {`{}`, purchase.ReasonInvalidReference},
		"no reference, other faults":         {`{"amount":{}}`, purchase.ReasonInvalidReference},
		"reference null":                     {`{"merchantReference":null}`, purchase.ReasonInvalidReference},
		"reference a number":                 {`{"merchantReference":5}`, purchase.ReasonInvalidReference},
		"reference an array":                 {`{"merchantReference":["r"]}`, purchase.ReasonInvalidReference},
		"reference in other letters":         {`{"MerchantReference":"r"}`, purchase.ReasonInvalidReference},
		"reference one level down":           {`{"x":{"merchantReference":"r"}}`, purchase.ReasonInvalidReference},
		"reference empty":                    {`{"merchantReference":""}`, purchase.ReasonInvalidReference},
		"reference with a lone surrogate":    {`{"merchantReference":"a\ud800b"}`, purchase.ReasonInvalidReference},
		"reference with a control":           {`{"merchantReference":"a\u0000b"}`, purchase.ReasonInvalidReference},
		"reference with a C1 control":        {`{"merchantReference":"a\u0085b"}`, purchase.ReasonInvalidReference},
		"reference with space at the end":    {`{"merchantReference":"r\u2003"}`, purchase.ReasonInvalidReference},
		"reference too long once decoded":    {`{"merchantReference":"` + strings.Repeat(`\u00e9`, 65) + `"}`, purchase.ReasonInvalidReference},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rejected(t, c.body); got.Reason != c.want {
				t.Errorf("%v, want %s", got, c.want)
			}
		})
	}
}

func TestRejectionNamesReasonAndDetailButNoValue(t *testing.T) {
	rejection := rejected(t, `{"merchantReference":" top-secret"}`)
	if rejection.Detail == "" || strings.Contains(rejection.Detail, "top-secret") {
		t.Errorf("detail %q", rejection.Detail)
	}
	var err error = rejection
	if got := err.Error(); got != "invalid_reference: "+rejection.Detail {
		t.Errorf("Error() = %q", got)
	}
	if !errors.As(err, new(*purchase.Rejection)) {
		t.Error("the rejection cannot be found by its type")
	}
}

func TestParseReadsWhatIdentifiesThePurchase(t *testing.T) {
	r := mustParse(t, electricity, purchase.Account{Name: "acme", ChannelID: "other"})
	if r.Account != "acme" || r.Reference != "r-1" || r.ProductCode() != "ELE-FLS-001" || r.ChannelID() != "web" {
		t.Errorf("got %q %q %q %q", r.Account, r.Reference, r.ProductCode(), r.ChannelID())
	}
	if string(r.Body()) != electricity {
		t.Errorf("body %s", r.Body())
	}
	long := strings.Repeat("é", 64)
	if got := mustParse(t, `{"merchantReference":"`+strings.Repeat(`\u00e9`, 64)+`"}`, acme).Reference; got != long {
		t.Errorf("reference %q, want 128 bytes of é", got)
	}
}

func TestTextOfFieldsIsValidOrEmpty(t *testing.T) {
	for name, c := range map[string]struct{ members, product, channel string }{
		"left out":                 {`"x":1`, "", "web"},
		"null":                     {`"productCode":null,"channelId":null`, "", "web"},
		"empty":                    {`"productCode":"","channelId":""`, "", "web"},
		"mistyped":                 {`"productCode":5,"channelId":{}`, "", ""},
		"escaped":                  {`"productCode":"\u0041","channelId":"\ud83d\ude00"`, "A", "😀"},
		"lone surrogate, no UTF-8": {`"productCode":"A\ud800","channelId":"\udc00"`, "", ""},
	} {
		r := mustParse(t, with(c.members), acme)
		if r.ProductCode() != c.product || r.ChannelID() != c.channel {
			t.Errorf("%s: product %q, channel %q, want %q and %q", name, r.ProductCode(), r.ChannelID(), c.product, c.channel)
		}
	}
}

// All but the amount and the channel reaches the vendor byte for byte.
func TestVendorBody(t *testing.T) {
	for name, c := range map[string]struct {
		account    purchase.Account
		body, want string
	}{
		"nothing to edit":              {acme, with(`"amount":50.00,"channelId":"pos"`), with(`"amount":50.00,"channelId":"pos"`)},
		"no channel anywhere":          {noChannel, with(`"amount":5`), with(`"amount":5`)},
		"empty channel, none else":     {noChannel, with(`"channelId":""`), with(`"channelId":""`)},
		"amount text":                  {noChannel, with(`"amount":"50"`), with(`"amount":50`)},
		"amount text keeps its digits": {noChannel, with(`"amount" : "50.00" `), with(`"amount" : 50.00 `)},
		"amount text, escaped":         {noChannel, with(`"\u0061mount":"5\u0030.\u0030"`), with(`"\u0061mount":50.0`)},
		"amount text, long":            {noChannel, with(`"amount":"12341234123412341234.10"`), with(`"amount":12341234123412341234.10`)},
		"amount text, no decimal":      {noChannel, with(`"amount":"fifty"`), with(`"amount":"fifty"`)},
		"amount text, exponent":        {noChannel, with(`"amount":"5e1"`), with(`"amount":"5e1"`)},
		"amount number with exponent":  {noChannel, with(`"amount":5E+1`), with(`"amount":5E+1`)},
		"amount one level down":        {noChannel, with(`"x":{"amount":"50"}`), with(`"x":{"amount":"50"}`)},
		"channel put in":               {acme, ` { "merchantReference":"r-1"}`, ` {"channelId":"web", "merchantReference":"r-1"}`},
		"channel for null":             {acme, with(`"channelId": null ,"x":1`), with(`"channelId": "web" ,"x":1`)},
		"channel for empty":            {acme, with(`"x":1,"channelId":""`), with(`"x":1,"channelId":"web"`)},
		"channel, escaped name":        {acme, with(`"channel\u0049d":""`), with(`"channel\u0049d":"web"`)},
		"channel mistyped":             {acme, with(`"channelId":5`), with(`"channelId":5`)},
		"channel of one space":         {acme, with(`"channelId":" "`), with(`"channelId":" "`)},
		"channel one level down":       {noChannel, with(`"x":{"channelId":""}`), with(`"x":{"channelId":""}`)},
		"amount, then channel":         {acme, with(`"amount":"1","channelId":null`), with(`"amount":1,"channelId":"web"`)},
		"channel, then amount":         {acme, with(`"channelId":null,"amount":"1"`), with(`"channelId":"web","amount":1`)},
		"channel put in and amount":    {acme, `{"amount":"1","merchantReference":"r"}`, `{"channelId":"web","amount":1,"merchantReference":"r"}`},
		"channel that needs escapes":   {purchase.Account{ChannelID: "a\"\\\n<"}, `{"merchantReference":"r"}`, `{"channelId":"a\"\\\u000a<","merchantReference":"r"}`},
		"foreign fields as they are": {acme,
			with(`"channelId":"w","x":[1.50,-0,1E400, "\u0041\ud800\/<&"],"Amount":"50","` + "\u2028" + `":{ "b":1,"a":2 }`),
			with(`"channelId":"w","x":[1.50,-0,1E400, "\u0041\ud800\/<&"],"Amount":"50","` + "\u2028" + `":{ "b":1,"a":2 }`)},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustParse(t, c.body, c.account)
			if got := string(r.VendorBody()); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if string(r.Body()) != c.body {
				t.Errorf("the body was changed to %s", r.Body())
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	at := time.Date(2026, 4, 21, 12, 57, 51, 0, time.UTC)
	for header, want := range map[string]time.Time{
		"2026-04-21T12:57:51Z":                at,
		"2026-04-21T14:57:51+02:00":           at,
		"2026-04-21T02:57:51-10:00":           at,
		"2026-04-21T12:57:51.5Z":              at.Add(500 * time.Millisecond),
		"2026-04-21T12:57:51.831786006+00:00": at.Add(831786006),
		"2026-04-21t12:57:51z":                at, // RFC 3339, section 5.6, allows small letters
		"1970-01-01T00:00:00Z":                time.Unix(0, 0),
	} {
		got, refusal := purchase.Expiry([]string{header})
		if refusal != nil || !got.Equal(want) {
			t.Errorf("Expiry(%q) = %v, %v, want %v", header, got, refusal, want)
		}
	}
}

func TestExpiryIsOneValue(t *testing.T) {
	if at, refusal := purchase.Expiry(nil); !at.IsZero() || refusal != nil {
		t.Errorf("no header: %v, %v", at, refusal)
	}
	for _, values := range [][]string{{""}, {"2099-01-01T00:00:00Z", "2099-01-01T00:00:00Z"}} {
		if at, refusal := purchase.Expiry(values); refusal == nil || refusal.Code != "1008" {
			t.Errorf("%q: %v, %v", values, at, refusal)
		}
	}
}

// The first moment of the year 1 is Go's zero time and a real, if odd, header.
func TestExpiryAtTheZeroTimeIsStillAnExpiry(t *testing.T) {
	for _, header := range []string{"0001-01-01T00:00:00Z", "0001-01-01T02:00:00+02:00"} {
		at, refusal := purchase.Expiry([]string{header})
		if refusal != nil || at.IsZero() || at.Year() != 1 {
			t.Errorf("Expiry(%q) = %v, %v: it must have passed long ago", header, at, refusal)
		}
	}
}

func TestExpiryRefusesWhatIsNotRFC3339(t *testing.T) {
	for _, header := range []string{
		" ", "soon", "1776776271", "2026-04-21", "2026-04-21T12:57:51", "2026-04-21 12:57:51Z",
		" 2026-04-21T12:57:51Z", "2026-04-21T12:57:51Z ", "2026-04-21T12:57:51Z\n", "2026-04-21T1:57:51Z",
		"2026-04-21T12:57:51,5Z", "2026-04-21T12:57Z", "2026-04-21T12:57:51.Z", "2026-04-21T24:00:00Z",
		"2026-02-30T12:57:51Z", "2026-13-01T12:57:51Z", "2026-04-21T12:57:51+0200", "2026-04-21T12:57:51+24:00",
		"2026-04-21T12:57:51+02:60", "2026-04-21T12:57:51 Z", "26-04-21T12:57:51Z", "+2026-04-21T12:57:51Z",
		"Tue, 21 Apr 2026 12:57:51 GMT", "2026-04-21T12:57:51\u017f", strings.Repeat("9", 10_000),
	} {
		at, refusal := purchase.Expiry([]string{header})
		if refusal == nil {
			t.Errorf("Expiry(%q) = %v, want a refusal", abbreviate(header), at)
			continue
		}
		if refusal.Code != "1008" || refusal.Class != purchase.ClassValidation || refusal.Source != purchase.SourceValidation {
			t.Errorf("Expiry(%q) is refused with %+v", header, refusal)
		}
	}
}

func TestExpired(t *testing.T) {
	got := purchase.Expired()
	if got.Code != "EXPIRED" || got.Class != purchase.ClassExpired || got.Source != purchase.SourceExpiry || got.Message == "" {
		t.Errorf("got %+v", got)
	}
}
