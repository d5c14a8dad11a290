package vendor

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// TestEveryCode states the table a second time, from pagamio-api.md, and asks
// each row in each shape.
func TestEveryCode(t *testing.T) {
	rows := map[string]codeRow{
		"0": {purchase.Completed, ""}, "PENDING": {purchase.InFlight, ""}, "PROCESSING": {purchase.InFlight, ""},
		"999": {purchase.Failed, "other"}, "1000": {purchase.Failed, "validation"}, "1001": {purchase.Failed, "validation"},
		"1002": {purchase.Failed, "validation"}, "1003": {purchase.Failed, "validation"}, "1004": {purchase.Failed, "validation"},
		"1005": {purchase.Failed, "validation"}, "1006": {purchase.LookUp, ""}, "1007": {purchase.Failed, "validation"},
		"1008": {purchase.Failed, "validation"}, "1009": {purchase.Failed, "account"}, "1010": {purchase.Failed, "validation"},
		"1100": {purchase.Failed, "account"}, "1101": {purchase.Failed, "account"}, "1102": {purchase.Failed, "account"},
		"1103": {purchase.Failed, "balance"}, "1104": {purchase.Failed, "account"}, "1105": {purchase.Failed, "account"},
		"1106": {purchase.Failed, "account"}, "1107": {purchase.Failed, "account"}, "1200": {purchase.Transient, ""},
		"1201": {purchase.Transient, ""}, "1202": {purchase.Transient, ""}, "1203": {purchase.Failed, "provider"},
		"1204": {purchase.LookUp, ""}, "1205": {purchase.LookUp, ""}, "1206": {purchase.Failed, "provider"},
		"1300": {purchase.Failed, "validation"},
	}
	if len(rows) != len(codeRows) {
		t.Errorf("the table has %d codes, want %d", len(codeRows), len(rows))
	}
	for code, want := range rows {
		flag := strconv.FormatBool(want.kind == purchase.Completed)
		literals := []string{strconv.Quote(code)}
		if _, err := strconv.Atoi(code); err == nil {
			literals = append(literals, code)
		}
		for _, literal := range literals {
			shapes := []string{
				`{"responseCode":` + literal + `,"responseMessage":"m","transactionId":"T"}`,
				`{"responseCode":` + literal + `,"responseMessage":"m","transactionId":"T","successful":` + flag + `}`,
				`{"success":` + flag + `,"data":{"responseCode":` + literal + `,"responseMessage":"m","transactionId":"T"}}`,
			}
			if want.kind != purchase.Completed && want.kind != purchase.InFlight {
				shapes = append(shapes, `{"success":false,"transactionId":"T","error":{"code":`+literal+`,"message":"m"}}`)
			}
			for _, body := range shapes {
				got := classify(200, []byte(body), ref)
				if got.Kind != want.kind || got.Class != want.class || got.Code != code || got.Message != "m" || got.TransactionID != "T" || got.Cause != nil {
					t.Errorf("%s: %+v, want %s %s", body, got, want.kind, want.class)
				}
				if got := classify(400, []byte(body), ref); want.kind == purchase.Failed || want.kind == purchase.LookUp {
					if got.Kind != want.kind || got.Class != want.class {
						t.Errorf("400 %s: %+v, want %s", body, got, want.kind)
					}
				} else if got.Kind != purchase.Unknown {
					t.Errorf("400 %s: %s, want unknown", body, got.Kind)
				}
			}
		}
	}
}

func TestEveryStatus(t *testing.T) {
	const success, failure = completedBody, `{"responseCode":"1103","successful":false}`
	for _, c := range []struct {
		from, to      int
		success, fail purchase.OutcomeKind
		empty         purchase.OutcomeKind
	}{
		{0, 199, purchase.Unknown, purchase.Unknown, purchase.Unknown},
		{200, 201, purchase.Completed, purchase.Failed, purchase.Unknown},
		{202, 202, purchase.InFlight, purchase.InFlight, purchase.InFlight},
		{203, 299, purchase.Completed, purchase.Failed, purchase.Unknown},
		{300, 399, purchase.Unknown, purchase.Unknown, purchase.Unknown},
		{400, 400, purchase.Unknown, purchase.Failed, purchase.Unknown},
		// A status that says that nothing happened, and a body that says it did.
		{401, 401, purchase.Unknown, purchase.Unauthorized, purchase.Unauthorized},
		{402, 402, purchase.Unknown, purchase.Failed, purchase.Unknown},
		{403, 403, purchase.Unknown, purchase.Forbidden, purchase.Forbidden},
		{404, 407, purchase.Unknown, purchase.Failed, purchase.Unknown},
		{408, 408, purchase.Unknown, purchase.Unknown, purchase.Unknown},
		{409, 409, purchase.LookUp, purchase.LookUp, purchase.LookUp},
		{410, 428, purchase.Unknown, purchase.Failed, purchase.Unknown},
		{429, 429, purchase.Unknown, purchase.Limited, purchase.Limited},
		{430, 499, purchase.Unknown, purchase.Failed, purchase.Unknown},
		{500, 700, purchase.Unknown, purchase.Unknown, purchase.Unknown},
	} {
		for status := c.from; status <= c.to; status++ {
			for body, want := range map[string]purchase.OutcomeKind{success: c.success, failure: c.fail, "": c.empty} {
				got := classify(status, []byte(body), ref)
				if got.Kind != want {
					t.Errorf("%d %q: %s, want %s", status, body, got.Kind, want)
				}
				if explained := got.Cause != nil; explained != (want != purchase.Completed && want != purchase.Failed && want != purchase.InFlight) {
					t.Errorf("%d %q: %s has cause %v", status, body, got.Kind, got.Cause)
				}
			}
		}
	}
}

func TestOutcomesByStatus(t *testing.T) {
	forbidden := classify(403, []byte(`{"responseCode":"403","responseMessage":"no role"}`), ref)
	if forbidden.Code != "403" || forbidden.Class != purchase.ClassAuthorization || forbidden.Message != "no role" {
		t.Errorf("403: %+v", forbidden)
	}
	if got := classify(401, []byte(`{"responseCode":"1105","responseMessage":"m"}`), ref); got.Kind != purchase.Unauthorized || got.Message != "m" {
		t.Errorf("401 with code 1105: %+v", got)
	}
	limited := classify(429, []byte(`{"error":"Too Many Requests","message":"Rate limit exceeded for /purchase"}`), ref)
	if limited.Kind != purchase.Limited || limited.Message != "Rate limit exceeded for /purchase" {
		t.Errorf("429: %+v", limited)
	}
	if got := classify(202, []byte(`{"data":{"transactionId":17,"status":"PENDING"}}`), ref); got.TransactionID != "17" || got.Cause != nil {
		t.Errorf("202: %+v", got)
	}
	if got := classify(202, []byte(`{"transactionId":"T","merchantReference":"other"}`), ref); got.Kind != purchase.InFlight || got.TransactionID != "" {
		t.Errorf("202 about another purchase: %+v", got)
	}
	if got := classify(409, []byte(`{"responseCode":"1006","transactionId":"T"}`), ref); got.TransactionID != "T" || got.Code != "1006" {
		t.Errorf("409: %+v", got)
	}
	if got := classify(503, []byte(`{"transactionId":"T","responseMessage":"m","responseCode":"1103"}`), ref); got.TransactionID+got.Code+got.Message != "" {
		t.Errorf("a 503 hands on its body: %+v", got)
	}
}

// TestSignals are bodies of a 200 and what they prove.
func TestSignals(t *testing.T) {
	for _, c := range []struct {
		body string
		want purchase.OutcomeKind
		err  error // of Unknown
	}{
		// Documented shapes.
		{`{"transactionId":"1","responseCode":"0","responseMessage":"m","responseDateTime":"2026-04-21T12:57:51.831786006","successful":true,"receipt":{"pin":"1"}}`, purchase.Completed, nil},
		{`{"success":true,"data":{"transactionId":"1","status":"COMPLETED","responseCode":0,"responseMessage":"m","receipt":{}}}`, purchase.Completed, nil},
		{`{"responseCode":"1103","responseMessage":"m","successful":false,"rejectionCode":"1103","rejectionReason":"r"}`, purchase.Failed, nil},
		{`{"success":false,"error":{"code":1103,"message":"m"}}`, purchase.Failed, nil},
		{" \n{\"responseCode\":\"0\"}\t\r\n", purchase.Completed, nil},
		{`{"responseCode":"0","error":null,"rejectionCode":null,"data":null,"successful":null,"status":null,"rejectionReason":""}`, purchase.Completed, nil},
		{`{"responseCode":"0","rejectionCode":"0","error":""}`, purchase.Completed, nil},
		{`{"responseCode":"0","note":1,"note":2}`, purchase.Completed, nil}, // not a field that is read

		// In flight.
		{`{"success":true,"data":{"status":"PENDING","responseCode":0}}`, purchase.InFlight, nil},
		{`{"success":true,"data":{"status":"PROCESSING"}}`, purchase.InFlight, nil},
		{`{"success":false,"data":{"status":"PENDING"}}`, purchase.InFlight, nil},
		{`{"responseCode":"PENDING","successful":false}`, purchase.InFlight, nil},
		{`{"responseCode":"PENDING","data":{"status":"PROCESSING"}}`, purchase.InFlight, nil},
		{`{"responseCode":"PENDING","data":{"status":"COMPLETED"}}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"PENDING","data":{"status":"FAILED"}}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"PENDING","error":{"message":"m"}}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"PENDING","rejectionCode":"1103"}`, purchase.Unknown, errContradiction},
		{`{"success":false,"data":{"status":"PENDING","responseCode":0}}`, purchase.Unknown, errContradiction},
		{`{"data":{"status":"PENDING","responseCode":1103}}`, purchase.Unknown, errContradiction},
		{`{"data":{"status":"PENDING","responseCode":1200}}`, purchase.Unknown, errContradiction},

		// Contradictions of success.
		{`{"responseCode":"0","successful":false}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","successful":true,"success":false}`, purchase.Unknown, errContradiction},
		{`{"success":true,"data":{"responseCode":0,"successful":false}}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","status":"FAILED"}`, purchase.Unknown, errContradiction},
		{`{"status":"COMPLETED","data":{"status":"FAILED","responseCode":0}}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","error":{"code":1103}}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","error":{}}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","error":"x"}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","rejectionCode":"1103"}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","rejectionCode":"P-77"}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","rejectionReason":"no"}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","data":{"responseCode":1103}}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"0","status":"REVERSED"}`, purchase.Unknown, errUnlistedStatus},
		{`{"responseCode":"0","status":"completed"}`, purchase.Unknown, errUnlistedStatus},

		// Contradictions of failure.
		{`{"responseCode":"1103","successful":true}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"1103","status":"COMPLETED"}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"1103","error":{"code":1104}}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"999","rejectionCode":"1204"}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"1200","rejectionCode":"1103"}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"1200","successful":true}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"1200","status":"FAILED"}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"1205","status":"COMPLETED"}`, purchase.Unknown, errContradiction},
		{`{"responseCode":"1103","status":"FAILED"}`, purchase.Failed, nil},
		{`{"responseCode":"999","rejectionCode":"P-77"}`, purchase.Failed, nil}, // the provider's own
		{`{"responseCode":"1103","rejectionCode":0}`, purchase.Failed, nil},
		{`{"successful":false,"rejectionCode":"1103"}`, purchase.Failed, nil},
		{`{"rejectionCode":"1103","data":{"rejectionCode":"1104"}}`, purchase.Unknown, errContradiction},

		// Nothing proven.
		{`{"successful":true}`, purchase.Unknown, errNoCode},
		{`{"success":true,"data":{"status":"COMPLETED","transactionId":"1"}}`, purchase.Unknown, errNoCode},
		{`{"success":false,"data":{"status":"FAILED"}}`, purchase.Unknown, errNoCode},
		{`{}`, purchase.Unknown, errNoCode},
		{`{"responseCode":null}`, purchase.Unknown, errNoCode},
		{`{"responseCode":"1399","successful":false}`, purchase.Unknown, errUnlistedCode},
		{`{"responseCode":"00"}`, purchase.Unknown, errUnlistedCode},
		{`{"responseCode":" 0"}`, purchase.Unknown, errUnlistedCode},
		{`{"responseCode":0.0}`, purchase.Unknown, errUnlistedCode},
		{`{"responseCode":-0}`, purchase.Unknown, errUnlistedCode},
		{`{"responseCode":1103.0}`, purchase.Unknown, errUnlistedCode},
		{`{"responseCode":"pending"}`, purchase.Unknown, errUnlistedCode},
		{`{"responseCode":"SUCCESS"}`, purchase.Unknown, errUnlistedCode},
		// An odd responseCode is not passed over for the rejectionCode.
		{`{"responseCode":"? ?","rejectionCode":"1103"}`, purchase.Unknown, errUnlistedCode},

		// Not to be read, or to be read in two ways.
		{``, purchase.Unknown, errEmpty},
		{"  \n", purchase.Unknown, errEmpty},
		{`{"responseCode":"0"`, purchase.Unknown, errNotJSON},
		{`{"responseCode":"0"}{}`, purchase.Unknown, errNotJSON},
		{`{"responseCode":"0"} x`, purchase.Unknown, errNotJSON},
		{"\ufeff" + `{"responseCode":"0"}`, purchase.Unknown, errNotJSON},
		{"{\"responseCode\":\"0\",\"receipt\":{\"n\":\"\xff\"}}", purchase.Unknown, errNotJSON},
		{`<html>OK</html>`, purchase.Unknown, errNotJSON},
		{`{"responseCode":"0","x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, purchase.Unknown, errNotJSON},
		{`[{"responseCode":"0"}]`, purchase.Unknown, errWrongType},
		{`"0"`, purchase.Unknown, errWrongType},
		{`null`, purchase.Unknown, errWrongType},
		{`{"responseCode":{}}`, purchase.Unknown, errWrongType},
		{`{"responseCode":true}`, purchase.Unknown, errWrongType},
		{`{"responseCode":"0","successful":"true"}`, purchase.Unknown, errWrongType},
		{`{"responseCode":"0","success":1}`, purchase.Unknown, errWrongType},
		{`{"responseCode":"0","data":[]}`, purchase.Unknown, errWrongType},
		{`{"responseCode":"0","status":{"code":0}}`, purchase.Unknown, errWrongType},
		{`{"responseCode":"0","error":[]}`, purchase.Unknown, errWrongType},
		{`{"error":{"code":[]}}`, purchase.Unknown, errWrongType},
		{`{"responseCode":"0","data":{"success":"no"}}`, purchase.Unknown, errWrongType},
		{`{"responseCode":"0","transactionId":{}}`, purchase.Unknown, errWrongType},
		{`{"responseCode":"1103","responseCode":"0"}`, purchase.Unknown, errAmbiguous},
		{`{"responseCode":"0","responseCode":"0"}`, purchase.Unknown, errAmbiguous},
		{`{"responseCode":"0","ResponseCode":"1103"}`, purchase.Unknown, errAmbiguous},
		{`{"responseCode":"0","SUCCESSFUL":false}`, purchase.Unknown, errAmbiguous},
		{`{"responseCode":"0","\u0072esponseCode":"1103"}`, purchase.Unknown, errAmbiguous},
		{`{"data":{"responseCode":0,"status":"FAILED","status":"COMPLETED"}}`, purchase.Unknown, errAmbiguous},
		{`{"error":{"code":1103,"code":1104}}`, purchase.Unknown, errAmbiguous},
		{`{"responseCode":"0","receipt":{"pin":"1"},"receipt":{"pin":"2"}}`, purchase.Unknown, errAmbiguous},
		{`{"responseCode":"0","transactionId":"1","data":{"transactionId":"2"}}`, purchase.Unknown, errTwoValues},
		{`{"responseCode":"0","receipt":{"pin":"1"},"data":{"receipt":{"pin":"2"}}}`, purchase.Unknown, errTwoValues},

		// Whose answer it is.
		{`{"responseCode":"0","merchantReference":"` + ref + `"}`, purchase.Completed, nil},
		{`{"responseCode":"0","merchantReference":"other"}`, purchase.Unknown, errOtherReference},
		{`{"responseCode":"1103","data":{"merchantReference":"other"}}`, purchase.Unknown, errOtherReference},
		{`{"responseCode":"0","merchantReference":["` + ref + `"]}`, purchase.Unknown, errWrongType},
	} {
		got := classify(200, []byte(c.body), ref)
		if got.Kind != c.want || !errors.Is(got.Cause, c.err) {
			t.Errorf("%.90s: %s, %v; want %s, %v", c.body, got.Kind, got.Cause, c.want, c.err)
		}
		if got.Kind == purchase.Unknown && (got.TransactionID != "" || got.Receipt != nil || got.Class != "") {
			t.Errorf("%.90s: unknown, and yet it hands on %+v", c.body, got)
		}
	}
}

func TestReceiptAndIDsKeepTheirSpelling(t *testing.T) {
	const receipt = `{ "units":30.0000, "token":12341234123412341234,"t":"\u00e9","amount":20000, "a":1,"a":2 }`
	for _, body := range []string{
		`{"transactionId":12341234123412341234,"responseCode":"0","receipt":` + receipt + `}`,
		`{"success":true,"data":{"transactionId":"12341234123412341234","responseCode":0,"receipt":` + receipt + `}}`,
		`{"responseCode":0,"receipt":` + receipt + `,"data":{"transactionId":12341234123412341234,"receipt":` + receipt + `}}`,
	} {
		got := classify(200, []byte(body), ref)
		if got.Kind != purchase.Completed || got.TransactionID != "12341234123412341234" || string(got.Receipt) != receipt {
			t.Errorf("%s: %+v, receipt %s", body, got, got.Receipt)
		}
	}
	for _, none := range []string{`null`, `""`} {
		if got := classify(200, []byte(`{"responseCode":0,"receipt":`+none+`}`), ref); got.Kind != purchase.Completed || got.Receipt != nil {
			t.Errorf("receipt %s: %+v", none, got)
		}
	}
}

func TestWhatStandsInPlaceOfACodeIsNotHandedOn(t *testing.T) {
	got := classify(200, []byte(`{"responseCode":"PIN 1234 5678","responseMessage":"m"}`), ref)
	if got.Kind != purchase.Unknown || got.Code != "" || got.Message != "m" {
		t.Errorf("%+v", got)
	}
	if got := classify(200, []byte(`{"responseCode":"7777"}`), ref); got.Code != "7777" {
		t.Errorf("an unlisted code is kept for who looks into it: %+v", got)
	}
}

func TestMessageOrder(t *testing.T) {
	for body, want := range map[string]string{
		`{"responseCode":"1103","responseMessage":"a","rejectionReason":"b","message":"c"}`: "a",
		`{"responseCode":"1103","rejectionReason":"b"}`:                                     "b",
		`{"responseCode":"1103","responseMessage":{"x":1},"rejectionReason":"b"}`:           "b",
		`{"success":false,"message":"c","error":{"code":1103,"message":"e"}}`:               "e",
	} {
		if got := classify(200, []byte(body), ref); got.Kind != purchase.Failed || got.Message != want {
			t.Errorf("%s: %+v, want message %q", body, got, want)
		}
	}
}

func TestClassifyLookup(t *testing.T) {
	const data = `{"customerName":"N","status":"ACTIVE","valid":true,"amountDue":30.0000}`
	got, a := classifyLookup(200, []byte(`{"responseCode":"0","data":`+data+`}`))
	if got.Kind != purchase.Completed || string(a.data) != data {
		t.Errorf("%+v, data %s", got, a.data)
	}
	if got, _ := classifyLookup(200, []byte(`{"success":true,"data":{"responseCode":0,"customerName":"N"}}`)); got.Kind != purchase.Completed {
		t.Errorf("enveloped: %+v", got)
	}
	if got, _ := classifyLookup(400, []byte(`{"responseCode":"1106","successful":false}`)); got.Kind != purchase.Failed || got.Class != purchase.ClassAccount {
		t.Errorf("refused: %+v", got)
	}
	if got, a := classifyLookup(200, []byte(`{"data":{`)); got.Kind != purchase.Unknown || a.data != nil {
		t.Errorf("truncated: %+v, %s", got, a.data)
	}
}
