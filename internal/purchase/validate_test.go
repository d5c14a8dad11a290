package purchase_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// fields are the members of a body, as raw JSON; "" takes one away.
type fields map[string]string

// body is a valid purchase that needs no customer field, with changes.
func body(change fields) string {
	members := map[string]json.RawMessage{
		"merchantReference": json.RawMessage(`"r-1"`),
		"productCode":       json.RawMessage(`"VCH-ABC-001"`),
		"amount":            json.RawMessage(`50`),
		"paymentMethod":     json.RawMessage(`"cash"`),
		"channelId":         json.RawMessage(`"web"`),
	}
	for name, raw := range change {
		if raw == "" {
			delete(members, name)
		} else {
			members[name] = json.RawMessage(raw)
		}
	}
	out, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func TestValidate(t *testing.T) {
	const fine = ""
	for name, c := range map[string]struct {
		change fields
		code   string
		named  string // the fields that the message names
	}{
		"nothing wrong": {nil, fine, ""},

		"product missing":        {fields{"productCode": ""}, "1001", "productCode"},
		"product null":           {fields{"productCode": `null`}, "1001", "productCode"},
		"product empty":          {fields{"productCode": `""`}, "1001", "productCode"},
		"amount missing":         {fields{"amount": ""}, "1001", "amount"},
		"amount null":            {fields{"amount": `null`}, "1001", "amount"},
		"payment missing":        {fields{"paymentMethod": ""}, "1001", "paymentMethod"},
		"payment null":           {fields{"paymentMethod": `null`}, "1001", "paymentMethod"},
		"channel missing":        {fields{"channelId": ""}, "1001", "channelId"},
		"channel empty":          {fields{"channelId": `""`}, "1001", "channelId"},
		"all missing":            {fields{"productCode": "", "amount": "", "paymentMethod": "", "channelId": ""}, "1001", "productCode, amount, paymentMethod, channelId"},
		"missing and mistyped":   {fields{"amount": "", "paymentMethod": `5`}, "1001", "amount"},
		"product mistyped":       {fields{"productCode": `5`}, "1008", "productCode"},
		"product an object":      {fields{"productCode": `{}`}, "1008", "productCode"},
		"product not UTF-8":      {fields{"productCode": `"AIR-\ud800"`}, "1008", "productCode"},
		"payment mistyped":       {fields{"paymentMethod": `true`}, "1008", "paymentMethod"},
		"channel mistyped":       {fields{"channelId": `7`}, "1008", "channelId"},
		"amount an object":       {fields{"amount": `{"value":50}`}, "1008", "amount"},
		"amount an array":        {fields{"amount": `[50]`}, "1008", "amount"},
		"amount true":            {fields{"amount": `true`}, "1008", "amount"},
		"info mistyped":          {fields{"additionalInfo": `"x"`}, "1008", "additionalInfo"},
		"info an array":          {fields{"additionalInfo": `[]`}, "1008", "additionalInfo"},
		"info null":              {fields{"additionalInfo": `null`}, fine, ""},
		"info an object":         {fields{"additionalInfo": `{"\ud800":[1e400]}`}, fine, ""},
		"mobile mistyped":        {fields{"mobileNumber": `27821234567`}, "1008", "mobileNumber"},
		"meter mistyped":         {fields{"meterNumber": `1020001`}, "1008", "meterNumber"},
		"account mistyped":       {fields{"accountNumber": `81715524`}, "1008", "accountNumber"},
		"two mistyped":           {fields{"meterNumber": `1`, "amount": `[]`}, "1008", "meterNumber, amount"},
		"mistyped before amount": {fields{"amount": `-1`, "meterNumber": `1`}, "1008", "meterNumber"},
		"amount before mobile":   {fields{"amount": `0`, "mobileNumber": `"082"`}, "1004", "amount"},
		"unknown fields":         {fields{"voucherCount": `{"amount":"x"}`, "MobileNumber": `5`}, fine, ""},

		"airtime":                   {fields{"productCode": `"AIR-VOD-001"`, "mobileNumber": `"+27821234567"`}, fine, ""},
		"airtime without mobile":    {fields{"productCode": `"AIR-VOD-001"`}, "1001", "mobileNumber"},
		"airtime, mobile null":      {fields{"productCode": `"AIR-VOD-001"`, "mobileNumber": `null`}, "1001", "mobileNumber"},
		"airtime, mobile empty":     {fields{"productCode": `"AIR-VOD-001"`, "mobileNumber": `""`}, "1001", "mobileNumber"},
		"airtime with a meter only": {fields{"productCode": `"AIR-VOD-001"`, "meterNumber": `"1"`}, "1001", "mobileNumber"},
		"data without mobile":       {fields{"productCode": `"DAT-VOD-001"`}, "1001", "mobileNumber"},
		"minutes without mobile":    {fields{"productCode": `"MIN-VOD-001"`}, "1001", "mobileNumber"},
		"SMS without mobile":        {fields{"productCode": `"SMS-VOD-001"`}, "1001", "mobileNumber"},
		"electricity":               {fields{"productCode": `"ELE-FLS-001"`, "meterNumber": `"000001020001"`}, fine, ""},
		"electricity without meter": {fields{"productCode": `"ELE-FLS-001"`}, "1001", "meterNumber"},
		"bill":                      {fields{"productCode": `"BIL-DST-001"`, "accountNumber": `"81715524"`}, fine, ""},
		"bill without account":      {fields{"productCode": `"BIL-DST-001"`}, "1001", "accountNumber"},
		"entertainment":             {fields{"productCode": `"ENT-NFX-001"`}, fine, ""},
		"gaming":                    {fields{"productCode": `"GAM-PSN-001"`}, fine, ""},
		"lifestyle":                 {fields{"productCode": `"LIF-UBR-001"`}, fine, ""},
		"wallet":                    {fields{"productCode": `"WLT-ABC-001"`}, fine, ""},
		"legacy code":               {fields{"productCode": `"ATP-AIR"`}, fine, ""},
		"unknown category":          {fields{"productCode": `"XXX-AIR-ELE"`}, fine, ""},
		"category in small letters": {fields{"productCode": `"air-vod-001"`}, fine, ""},
		"category, escaped":         {fields{"productCode": `"\u0041IR-VOD-001"`}, "1001", "mobileNumber"},
		"no hyphen":                 {fields{"productCode": `"AIRTIME"`}, fine, ""},

		"mobile local":           {fields{"mobileNumber": `"0821234567"`}, "1005", "mobileNumber"},
		"mobile without plus":    {fields{"mobileNumber": `"27821234567"`}, "1005", "mobileNumber"},
		"mobile of 8 digits":     {fields{"mobileNumber": `"+2782123456"`}, "1005", "mobileNumber"},
		"mobile of 10 digits":    {fields{"mobileNumber": `"+278212345678"`}, "1005", "mobileNumber"},
		"mobile, other country":  {fields{"mobileNumber": `"+28821234567"`}, "1005", "mobileNumber"},
		"mobile with spaces":     {fields{"mobileNumber": `"+27 82 123 4567"`}, "1005", "mobileNumber"},
		"mobile with a line end": {fields{"mobileNumber": `"+27821234567\n"`}, "1005", "mobileNumber"},
		"mobile, other digits":   {fields{"mobileNumber": `"+27٨٢١٢٣٤٥٦٧"`}, "1005", "mobileNumber"},
		"mobile not UTF-8":       {fields{"mobileNumber": `"+2782123456\ud800"`}, "1008", "mobileNumber"},
		"mobile empty, not due":  {fields{"mobileNumber": `""`}, fine, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := mustParse(t, body(c.change), noChannel).Validate()
			if c.code == fine {
				if got != nil {
					t.Errorf("refused with %+v", got)
				}
				return
			}
			if got == nil {
				t.Fatalf("not refused, want %s", c.code)
			}
			if got.Code != c.code || got.Class != purchase.ClassValidation || got.Source != purchase.SourceValidation {
				t.Errorf("got %+v, want code %s", got, c.code)
			}
			if !strings.Contains(strings.ToLower(got.Message), strings.ToLower(c.named)) {
				t.Errorf("message %q does not name %s", got.Message, c.named)
			}
		})
	}
}

func TestValidateTakesTheAccountsChannel(t *testing.T) {
	for _, raw := range []string{"", "null", `""`} {
		if got := mustParse(t, body(fields{"channelId": raw}), acme).Validate(); got != nil {
			t.Errorf("channelId %q: refused with %+v", raw, got)
		}
	}
	if got := mustParse(t, body(fields{"channelId": "5"}), acme).Validate(); got == nil || got.Code != "1008" {
		t.Errorf("a mistyped channel gives %+v, want 1008", got)
	}
}

func TestValidateAmount(t *testing.T) {
	zeros := strings.Repeat("0", 5000)
	for _, raw := range []string{
		"50", "50.00", "0.01", "5e1", "5E+1", "500e-1", `"50"`, `"50.00"`, `"0.5"`, "1e0", "12.345",
		"999999999999999", "999999999999999.999999999999999999", "1e14", "0.000000000000000001", "1e-18",
		"50." + zeros, "50" + zeros + "e-5000", "50e" + zeros,
	} {
		if got := mustParse(t, body(fields{"amount": raw}), noChannel).Validate(); got != nil {
			t.Errorf("amount %s is refused: %+v", abbreviate(raw), got)
		}
	}
	for _, raw := range []string{
		"0", "-0", "0.00", "0e9", "-50", "-0.01", `"0"`, `"-50"`, `"-0"`, `""`, `" "`, `" 50"`, `"50 "`, `"+50"`,
		`"050"`, `"00"`, `".5"`, `"5."`, `"5e1"`, `"0x32"`, `"1,50"`, `"1 000"`, `"R50"`, `"fifty"`, `"-"`, `"."`, `"-.5"`,
		`"50\u0000"`, `"50\ud800"`, `"٥٠"`, `"５０"`, `"NaN"`, `"Infinity"`, `"1_000"`, `"--5"`, `"5.0.0"`, `"5-"`, `"5\n"`,
		"1e15", "1000000000000000", "1e400", "1e-19", "0.0000000000000000001", "1e" + strings.Repeat("9", 5000),
		"1e-" + strings.Repeat("9", 5000), "1" + zeros, "0." + zeros + "1", "1e9223372036854775807", "1e-9223372036854775808",
		"1e18446744073709551617", strings.Repeat("9", 5000) + "e-4990",
	} {
		if got := mustParse(t, body(fields{"amount": raw}), noChannel).Validate(); got == nil || got.Code != "1004" {
			t.Errorf("amount %s gives %+v, want 1004", abbreviate(raw), got)
		}
	}
}

// Messages go into results, and so to whoever reads them.
func TestRefusalsNeverHoldAValue(t *testing.T) {
	const secret = "s3cret"
	for _, change := range []fields{
		{"amount": `"` + secret + `"`},
		{"amount": `["` + secret + `"]`},
		{"productCode": `{"` + secret + `":"` + secret + `"}`},
		{"mobileNumber": `"` + secret + `"`},
		{"additionalInfo": `"` + secret + `"`},
		{"productCode": `"AIR-` + secret + `"`, secret: `1`},
	} {
		got := mustParse(t, body(change), noChannel).Validate()
		if got == nil || strings.Contains(got.Message, secret) {
			t.Errorf("%v gives %+v", change, got)
		}
	}
	if _, got := purchase.Expiry([]string{secret}); got == nil || strings.Contains(got.Message, secret) {
		t.Errorf("an unreadable expiry gives %+v", got)
	}
}

func TestValidateDoesNotChangeTheRequest(t *testing.T) {
	r := mustParse(t, electricity, acme)
	before, sent := r.Digest, string(r.VendorBody())
	if got := r.Validate(); got != nil {
		t.Fatalf("refused with %+v", got)
	}
	if r.Digest != before || string(r.VendorBody()) != sent || string(r.Body()) != electricity {
		t.Error("the request changed")
	}
}
