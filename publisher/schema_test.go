package publisher_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

func compiled(t *testing.T, schema []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return schema.Validate(v)
}

func TestSchemasAreTheCallers(t *testing.T) {
	for _, schema := range []func() []byte{publisher.RequestSchema, publisher.ResultSchema} {
		clear(schema())
		if !json.Valid(schema()) {
			t.Error("a caller can change the schema")
		}
	}
}

// edit is a body with members changed; an empty value takes one away.
func edit(t *testing.T, text string, change map[string]string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatal(err)
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
		t.Fatal(err)
	}
	return string(out)
}

// The schema and the program must say the same of a body, under an account that
// configures a channel.
func TestRequestSchemaSaysWhatTheProgramSays(t *testing.T) {
	schema := compiled(t, publisher.RequestSchema())
	plain := string(body("r-1"))
	type m = map[string]string
	for _, change := range []m{
		nil,
		{"x": `1`}, {"x": `{"y":[null]}`},
		{"merchantReference": ""}, {"merchantReference": `null`}, {"merchantReference": `5`}, {"merchantReference": `""`},
		{"merchantReference": `" r"`}, {"merchantReference": `"r "`}, {"merchantReference": `"r s"`}, {"merchantReference": `"r\ts"`},
		{"merchantReference": `"\u00a0r"`}, {"merchantReference": `"r\u3000"`}, {"merchantReference": `"r\u3000s"`}, {"merchantReference": `"r\u007f"`},
		{"merchantReference": `"r\u0085s"`}, {"merchantReference": `"r\u2028"`}, {"merchantReference": `"\u200ar"`}, {"merchantReference": `"\u200br"`},
		{"merchantReference": `"\ufeffr"`}, {"merchantReference": `"r\u0000s"`}, {"merchantReference": `"é"`}, {"merchantReference": `"😀"`}, {"merchantReference": `"x"`},
		{"merchantReference": `"` + strings.Repeat("x", 128) + `"`}, {"merchantReference": `"` + strings.Repeat("x", 129) + `"`},
		{"productCode": ""}, {"productCode": `null`}, {"productCode": `""`}, {"productCode": `5`}, {"productCode": `{}`}, {"productCode": `"OLD1"`},
		{"amount": ""}, {"amount": `null`}, {"amount": `""`}, {"amount": `true`}, {"amount": `[5]`}, {"amount": `{}`},
		{"amount": `0`}, {"amount": `-1`}, {"amount": `0.00`}, {"amount": `0.01`}, {"amount": `5e1`}, {"amount": `1e14`}, {"amount": `1e15`}, {"amount": `999999999999999.99`},
		{"amount": `"50"`}, {"amount": `"50.00"`}, {"amount": `"0"`}, {"amount": `"0.00"`}, {"amount": `"0.01"`}, {"amount": `"-1"`}, {"amount": `"+1"`}, {"amount": `"5e1"`},
		{"amount": `"050"`}, {"amount": `".5"`}, {"amount": `"5."`}, {"amount": `" 5"`}, {"amount": `"5\n"`}, {"amount": `"five"`}, {"amount": `"1,5"`}, {"amount": `"٥"`},
		{"amount": `"999999999999999"`}, {"amount": `"1000000000000000"`}, {"amount": `"0.000000000000000001"`}, {"amount": `"0.0000000000000000001"`}, {"amount": `"1.00000000000000000000000"`},
		{"paymentMethod": ""}, {"paymentMethod": `null`}, {"paymentMethod": `""`}, {"paymentMethod": `1`},
		{"channelId": ""}, {"channelId": `null`}, {"channelId": `""`}, {"channelId": `7`}, {"channelId": `{}`},
		{"mobileNumber": `"+27821234567"`}, {"mobileNumber": `"0821234567"`}, {"mobileNumber": `"+2782123456"`}, {"mobileNumber": `"+27821234567\n"`},
		{"mobileNumber": `null`}, {"mobileNumber": `""`}, {"mobileNumber": `27821234567`},
		{"meterNumber": `1`}, {"meterNumber": `null`}, {"meterNumber": `"1"`}, {"accountNumber": `1`}, {"accountNumber": `""`}, {"accountNumber": `"1"`},
		{"additionalInfo": `{}`}, {"additionalInfo": `null`}, {"additionalInfo": `[]`}, {"additionalInfo": `"x"`},
		{"productCode": `"AIR-MTN-001"`}, {"productCode": `"AIR-MTN-001"`, "mobileNumber": `"+27821234567"`}, {"productCode": `"AIR-MTN-001"`, "mobileNumber": `""`},
		{"productCode": `"AIR"`}, {"productCode": `"AIRX-1"`}, {"productCode": `"air-MTN-001"`}, {"productCode": `"DAT-A-1"`}, {"productCode": `"MIN-A-1"`}, {"productCode": `"SMS-A-1"`, "mobileNumber": `null`},
		{"productCode": `"ELE-A-1"`}, {"productCode": `"ELE-A-1"`, "meterNumber": `"1"`}, {"productCode": `"ELE-A-1"`, "meterNumber": `null`}, {"productCode": `"ELE-A-1"`, "meterNumber": `5`},
		{"productCode": `"BIL-A-1"`}, {"productCode": `"BIL-A-1"`, "accountNumber": `"1"`}, {"productCode": `"BIL-A-1"`, "accountNumber": `""`}, {"productCode": `"VCH-A-1"`},
	} {
		text := edit(t, plain, change)
		var refusal string
		if r, err := purchase.Parse([]byte(text), purchase.Account{Name: "acme", ChannelID: "web"}); err != nil {
			refusal = err.Error()
		} else if no := r.Validate(); no != nil {
			refusal = no.Message
		}
		if err := valid(t, schema, text); (err == nil) != (refusal == "") {
			t.Errorf("%v: the program says %q, the schema %v", change, refusal, err)
		}
	}
	for _, text := range []string{`[]`, `"x"`, `null`, `5`} {
		if valid(t, schema, text) == nil {
			t.Errorf("%s is valid", text)
		}
	}
}

// everyKind are encoded results of every kind that the program makes.
func everyKind(t *testing.T) map[string]string {
	t.Helper()
	end := purchase.Ending{Source: purchase.SourcePoll, Attempts: 2, RequestedAt: time.Now(), ResolvedAt: time.Now()}
	all := map[string]string{}
	add := func(name string, r purchase.Result) {
		encoded, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(encoded)
	}
	settle := func(name string, req *purchase.Request, o purchase.Outcome) {
		r, err := req.Settle(o, end)
		if err != nil {
			t.Fatal(err)
		}
		add(name, r)
	}
	fine := parsed(t, string(body("Café 5")))
	settle("completed", fine, purchase.Outcome{Kind: purchase.Completed, TransactionID: "tx", Message: "ok", Receipt: []byte(`{"units":30.0000,"n":12341234123412341234}`)})
	settle("completed without more", fine, purchase.Outcome{Kind: purchase.Completed})
	for _, class := range []purchase.Class{
		purchase.ClassValidation, purchase.ClassAccount, purchase.ClassBalance, purchase.ClassProvider,
		purchase.ClassAuthorization, purchase.ClassLookup, purchase.ClassOther,
	} {
		settle("failed "+string(class), fine, purchase.Outcome{Kind: purchase.Failed, Code: "1100", Class: class, TransactionID: "tx"})
	}
	add("expired", fine.Refuse(purchase.Expired(), end))
	for name, text := range map[string]string{
		"nothing there":  `{"merchantReference":"r"}`,
		"all mistyped":   `{"merchantReference":"r","amount":true,"productCode":5,"channelId":1}`,
		"all containers": `{"merchantReference":"r","amount":[5],"productCode":{},"channelId":[]}`,
		"all null":       `{"merchantReference":"r","amount":null,"productCode":null,"channelId":null}`,
		"bad amount":     `{"merchantReference":"r","amount":"five","productCode":"VCH-A-1","paymentMethod":"cash"}`,
	} {
		r := parsed(t, text)
		no := r.Validate()
		if no == nil {
			t.Fatalf("%s: valid", name)
		}
		add(name, r.Refuse(no, end))
	}
	keyed, err := purchase.Parse(body("r"), purchase.Account{Name: "acme", DigestKey: []byte("k")})
	if err != nil {
		t.Fatal(err)
	}
	lookedUp := fine.Refuse(purchase.RefusedByLookup(purchase.Outcome{Code: "1104", Message: "no such meter"}), end)
	lookedUp.Lookup = []byte(`{"valid":false}`)
	add("refused by the look-up", lookedUp)
	add("keyed digest", keyed.Refuse(purchase.Expired(), end))
	return all
}

func TestEveryResultObeysTheSchema(t *testing.T) {
	schema := compiled(t, publisher.ResultSchema())
	var named struct {
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(publisher.ResultSchema(), &named); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for name, text := range everyKind(t) {
		if err := valid(t, schema, text); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatal(err)
		}
		for field := range members {
			seen[field] = true
			if _, ok := named.Properties[field]; !ok {
				t.Errorf("%s: the schema does not name %s", name, field)
			}
		}
	}
	for field := range named.Properties {
		if !seen[field] {
			t.Errorf("no result has the field %s of the schema", field)
		}
	}
}

func TestResultSchemaRefusesBrokenResults(t *testing.T) {
	schema := compiled(t, publisher.ResultSchema())
	all := everyKind(t)
	good, failed := all["completed"], all["failed balance"]
	type m = map[string]string
	for _, change := range []m{
		{"status": `"PENDING"`}, {"status": `"completed"`}, {"status": `"FAILED"`}, {"failure": `{"class":"other"}`},
		{"responseCode": `"1001"`}, {"responseCode": `0`}, {"responseMessage": `null`}, {"transactionId": `""`}, {"transactionId": `5`},
		{"receipt": `"pin"`}, {"receipt": `[]`}, {"receipt": `null`},
		{"requestDigest": `"md5:00"`}, {"requestDigest": `"sha256:` + strings.Repeat("A", 64) + `"`}, {"source": `"guess"`},
		{"attempts": `-1`}, {"attempts": `1.5`}, {"attempts": `"1"`},
		{"requestedAt": `"yesterday"`}, {"resolvedAt": `"2026-04-21T12:57:51+02:00"`}, {"resolvedAt": `"2026-13-21T12:57:51Z"`},
		{"account": `"Acme"`}, {"merchantReference": `" r"`}, {"merchantReference": `""`},
		{"amount": `{}`}, {"amount": `true`}, {"productCode": `[]`}, {"channelId": `{}`},
	} {
		if text := edit(t, good, change); valid(t, schema, text) == nil {
			t.Errorf("completed with %v is valid", change)
		}
	}
	for _, change := range []m{
		{"failure": ""}, {"failure": `{}`}, {"failure": `{"class":"bad luck"}`}, {"failure": `null`},
		{"responseCode": `"0"`}, {"status": `"COMPLETED"`},
	} {
		if text := edit(t, failed, change); valid(t, schema, text) == nil {
			t.Errorf("failed with %v is valid", change)
		}
	}
	required := []string{
		"merchantReference", "account", "status", "responseCode", "responseMessage",
		"requestDigest", "source", "attempts", "requestedAt", "resolvedAt",
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(good), &members); err != nil {
		t.Fatal(err)
	}
	for field := range members {
		err := valid(t, schema, edit(t, good, m{field: ""}))
		if want := slices.Contains(required, field); (err != nil) != want {
			t.Errorf("without %s: %v", field, err)
		}
	}
	if err := valid(t, schema, edit(t, good, m{"addedLater": `1`})); err != nil {
		t.Errorf("a field of a later version: %v", err)
	}
}
