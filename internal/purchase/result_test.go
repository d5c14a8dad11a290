package purchase_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

var (
	noon   = time.Date(2026, 4, 21, 12, 0, 0, 831786006, time.UTC)
	ending = purchase.Ending{
		Source:      purchase.SourcePurchase,
		Attempts:    2,
		RequestedAt: noon.In(time.FixedZone("SAST", 2*60*60)),
		ResolvedAt:  noon.Add(time.Second).In(time.FixedZone("", -5*60*60)),
	}
)

func settle(t testing.TB, body string, o purchase.Outcome) purchase.Result {
	t.Helper()
	result, err := mustParse(t, body, acme).Settle(o, ending)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func encodeResult(t testing.TB, r purchase.Result) string {
	t.Helper()
	out, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestCompletedResult(t *testing.T) {
	result := settle(t, electricity, purchase.Outcome{
		Kind: purchase.Completed, TransactionID: "t-1", Code: "ignored", Message: "Approved", Class: purchase.ClassOther,
		Receipt: json.RawMessage(`{"token":12341234123412341234, "units":30.0000,"amount":2E4,"note":"<a>&b` + "\u2028" + `\u003c\ud800"}`),
	})
	want := `{"merchantReference":"r-1","account":"acme","status":"COMPLETED","transactionId":"t-1",` +
		`"responseCode":"0","responseMessage":"Approved",` +
		`"receipt":{"token":12341234123412341234,"units":30.0000,"amount":2E4,"note":"<a>&b` + "\u2028" + `\u003c\ud800"},` +
		`"requestDigest":"` + string(mustParse(t, electricity, acme).Digest) + `",` +
		`"productCode":"ELE-FLS-001","amount":50,"channelId":"web","source":"purchase","attempts":2,` +
		`"requestedAt":"2026-04-21T12:00:00.831786006Z","resolvedAt":"2026-04-21T12:00:01.831786006Z"}`
	if got := encodeResult(t, result); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFailedResult(t *testing.T) {
	result := settle(t, electricity, purchase.Outcome{
		Kind: purchase.Failed, Code: "1103", Message: "Insufficient <balance>", Class: purchase.ClassBalance,
	})
	got := encodeResult(t, result)
	for _, part := range []string{
		`"status":"FAILED"`, `"responseCode":"1103"`, `"responseMessage":"Insufficient <balance>"`, `"failure":{"class":"balance"}`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%s lacks %s", got, part)
		}
	}
	for _, name := range []string{"receipt", "transactionId"} {
		if strings.Contains(got, `"`+name+`"`) {
			t.Errorf("%s bears %s, which the vendor did not give", got, name)
		}
	}
}

func TestFailureStandsWithFailedOnly(t *testing.T) {
	done := settle(t, electricity, purchase.Outcome{Kind: purchase.Completed, Class: purchase.ClassProvider})
	if done.Failure != nil || strings.Contains(encodeResult(t, done), "failure") {
		t.Errorf("a completed result bears a failure: %+v", done.Failure)
	}
	if got := settle(t, electricity, purchase.Outcome{Kind: purchase.Failed}); got.Failure == nil {
		t.Error("a failed result bears no failure")
	}
}

func TestSettleTakesTerminalOutcomesOnly(t *testing.T) {
	r := mustParse(t, electricity, acme)
	for kind := range purchase.OutcomeKind(255) {
		got, err := r.Settle(purchase.Outcome{Kind: kind, Code: "0", TransactionID: "t"}, ending)
		if kind == purchase.Completed || kind == purchase.Failed {
			if err != nil || !kind.Terminal() {
				t.Errorf("%s: %v", kind, err)
			}
			continue
		}
		if !errors.Is(err, purchase.ErrNotTerminal) || !strings.Contains(err.Error(), kind.String()) || kind.Terminal() {
			t.Errorf("%s: error %v, want ErrNotTerminal with its name", kind, err)
		}
		if got.Status != "" || got.MerchantReference != "" {
			t.Errorf("%s: a result beside the error: %+v", kind, got)
		}
	}
}

func TestRefuse(t *testing.T) {
	r := mustParse(t, with(`"amount":"x"`), acme)
	got := r.Refuse(purchase.Expired(), ending)
	if got.Status != purchase.StatusFailed || got.ResponseCode != "EXPIRED" || got.Failure.Class != purchase.ClassExpired {
		t.Errorf("got %+v", got)
	}
	if got.Source != purchase.SourceExpiry {
		t.Errorf("source %s: the refusal's own counts", got.Source)
	}
	if got.Receipt != nil || got.TransactionID != "" || got.RequestDigest != r.Digest || got.Attempts != 2 {
		t.Errorf("got %+v", got)
	}
	if got := r.Refuse(r.Validate(), ending); got.ResponseCode != "1001" || got.Source != purchase.SourceValidation {
		t.Errorf("got %+v", got)
	}
}

// productCode, amount and channelId are the request's own, in their spelling.
func TestResultFieldsOfTheRequest(t *testing.T) {
	for name, c := range map[string]struct {
		account                  purchase.Account
		members                  string
		product, amount, channel string // "" where the field is left out
	}{
		"as written":             {acme, `"productCode":"\u0041","amount":50.00,"channelId":"p"`, `"\u0041"`, `50.00`, `"p"`},
		"amount as text":         {acme, `"amount":"50.00"`, "", `"50.00"`, `"web"`},
		"exponent":               {acme, `"amount":5E+1`, "", `5E+1`, `"web"`},
		"mistyped scalars":       {acme, `"productCode":5,"amount":true,"channelId":7`, "5", "true", "7"},
		"mistyped, not scalars":  {acme, `"productCode":{},"amount":[5],"channelId":[]`, "", "", ""},
		"null":                   {acme, `"productCode":null,"amount":null,"channelId":null`, "null", "null", `"web"`},
		"no channel":             {noChannel, `"x":1`, "", "", ""},
		"channel with an escape": {purchase.Account{ChannelID: "a\"<"}, `"x":1`, "", "", `"a\"<"`},
	} {
		result, err := mustParse(t, with(c.members), c.account).Settle(purchase.Outcome{Kind: purchase.Completed}, ending)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal([]byte(encodeResult(t, result)), &got); err != nil {
			t.Fatal(err)
		}
		for field, want := range map[string]string{"productCode": c.product, "amount": c.amount, "channelId": c.channel} {
			if string(got[field]) != want {
				t.Errorf("%s: %s is %s, want %s", name, field, got[field], want)
			}
		}
	}
}

func TestEncodedResultReadsBackTheSame(t *testing.T) {
	result := settle(t, with(`"amount":12341234123412341234.50`), purchase.Outcome{
		Kind: purchase.Failed, Code: "1203", Message: "a\u2028\"b\x00", TransactionID: "é<", Class: purchase.ClassProvider,
		Receipt: json.RawMessage(`{"units":30.0000}`),
	})
	first := encodeResult(t, result)
	var back purchase.Result
	if err := json.Unmarshal([]byte(first), &back); err != nil {
		t.Fatal(err)
	}
	if again := encodeResult(t, back); again != first {
		t.Errorf("got  %s\nwant %s", again, first)
	}
	if back.ResponseMessage != result.ResponseMessage || back.Compare(&result) != purchase.Agree {
		t.Errorf("got %+v", back)
	}
}

func TestEncodeReportsJSONThatIsNone(t *testing.T) {
	for _, receipt := range []string{"{", "nonsense", `{"a":1}{}`} {
		result := settle(t, electricity, purchase.Outcome{Kind: purchase.Completed, Receipt: json.RawMessage(receipt)})
		out, err := result.Encode()
		if err == nil || out != nil {
			t.Errorf("receipt %s: encoded %s, error %v", receipt, out, err)
		}
		if errors.Unwrap(err) == nil {
			t.Errorf("receipt %s: the cause cannot be unwrapped from %v", receipt, err)
		}
	}
}

func TestCompare(t *testing.T) {
	base := purchase.Result{RequestDigest: "sha256:a", Status: purchase.StatusCompleted, TransactionID: "t-1", ResponseCode: "0"}
	for name, c := range map[string]struct {
		change func(*purchase.Result)
		want   purchase.Agreement
	}{
		"the same":               {func(*purchase.Result) {}, purchase.Agree},
		"other code and message": {func(r *purchase.Result) { r.ResponseCode, r.ResponseMessage = "999", "x" }, purchase.Agree},
		"other source and times": {func(r *purchase.Result) { r.Source, r.Attempts, r.ResolvedAt = "poll", 9, noon }, purchase.Agree},
		"a receipt more":         {func(r *purchase.Result) { r.Receipt = json.RawMessage(`{}`) }, purchase.Agree},
		"no transaction":         {func(r *purchase.Result) { r.TransactionID = "" }, purchase.Agree},
		"another transaction":    {func(r *purchase.Result) { r.TransactionID = "t-2" }, purchase.Contradict},
		"another status":         {func(r *purchase.Result) { r.Status = purchase.StatusFailed }, purchase.Contradict},
		"another payload":        {func(r *purchase.Result) { r.RequestDigest = "sha256:b" }, purchase.OtherPurchase},
		"another payload and end": {func(r *purchase.Result) {
			r.RequestDigest, r.Status, r.TransactionID = "sha256:b", purchase.StatusFailed, "t-2"
		}, purchase.OtherPurchase},
	} {
		other := base
		c.change(&other)
		if got := base.Compare(&other); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if got := other.Compare(&base); got != c.want {
			t.Errorf("%s, the other way round: %d, want %d", name, got, c.want)
		}
	}
}
