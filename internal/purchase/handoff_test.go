package purchase_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// handOver sends a purchase through an encoded hand-off, as the poller gets it.
func handOver(t testing.TB, r *purchase.Request, o purchase.Outcome) (purchase.Handoff, *purchase.Request) {
	t.Helper()
	h := r.HandOver(o, purchase.Submission{Attempts: 3, RequestSequence: 7, RequestedAt: noon.In(time.FixedZone("", 7200)), SubmittedAt: noon.Add(time.Minute)})
	encoded, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var back purchase.Handoff
	if err := json.Unmarshal(encoded, &back); err != nil {
		t.Fatal(err)
	}
	again, err := back.Purchase()
	if err != nil {
		t.Fatal(err)
	}
	return back, again
}

func TestHandoffEncoding(t *testing.T) {
	r := mustParse(t, with(` "amount":"50.00","x":"<&`+"\u2028"+`\ud800"`), acme)
	h := r.HandOver(purchase.Outcome{Kind: purchase.InFlight, TransactionID: "t-1", Code: "PENDING"}, purchase.Submission{Attempts: 1, RequestedAt: noon, SubmittedAt: noon})
	got, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"account":"acme","merchantReference":"r-1","state":"in_flight","transactionId":"t-1","lastCode":"PENDING",` +
		`"requestDigest":"` + string(r.Digest) + `",` +
		`"request":{"merchantReference":"r-1","amount":"50.00","x":"<&` + "\u2028" + `\ud800"},"channelId":"web","attempts":1,"requestSequence":0,` +
		`"requestedAt":"2026-04-21T12:00:00.831786006Z","submittedAt":"2026-04-21T12:00:00.831786006Z"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Only a non-terminal answer may keep the poller from posting again.
func TestHandoffState(t *testing.T) {
	r := mustParse(t, electricity, acme)
	for kind := range purchase.OutcomeKind(20) {
		want := purchase.OpenUnknown
		if kind == purchase.InFlight {
			want = purchase.OpenInFlight
		}
		if got := r.HandOver(purchase.Outcome{Kind: kind}, purchase.Submission{RequestedAt: noon, SubmittedAt: noon}).State; got != want {
			t.Errorf("%s: state %s, want %s", kind, got, want)
		}
	}
}

func TestHandoffRoundTrip(t *testing.T) {
	keyed := purchase.Account{Name: "acme", ChannelID: "web", DigestKey: []byte("key")}
	for name, c := range map[string]struct {
		account purchase.Account
		body    string
	}{
		"plain":                    {acme, electricity},
		"digest with a key":        {keyed, electricity},
		"channel from the account": {acme, with(`"amount":"50.00"`)},
		"channel null, with a key": {keyed, with(`"channelId":null,"amount":5`)},
		"no channel":               {noChannel, with(`"amount":5`)},
		"lone surrogates":          {keyed, with(`"x":"\ud800","\udc00":1`)},
		"as deep as can be":        {keyed, nested(9000)},
		"as large as can be":       {keyed, padded(purchase.MaxBody)},
		"numbers":                  {keyed, with(`"x":[30.0000,12341234123412341234,1e400,-0]`)},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustParse(t, c.body, c.account)
			h, again := handOver(t, r, purchase.Outcome{TransactionID: "t-1", Code: "1204"})
			if again.Digest != r.Digest || again.Reference != r.Reference || again.Account != r.Account {
				t.Errorf("got %s %s %s", again.Digest, again.Reference, again.Account)
			}
			if again.ChannelID() != r.ChannelID() || string(again.VendorBody()) != string(r.VendorBody()) {
				t.Errorf("the vendor would get\n%s\ninstead of\n%s", again.VendorBody(), r.VendorBody())
			}
			if h.TransactionID != "t-1" || h.LastCode != "1204" || h.Attempts != 3 || h.State != purchase.OpenUnknown {
				t.Errorf("got %+v", h)
			}
			if !h.RequestedAt.Equal(noon) || h.RequestedAt.Location() != time.UTC || !h.SubmittedAt.Equal(noon.Add(time.Minute)) {
				t.Errorf("times %v and %v", h.RequestedAt, h.SubmittedAt)
			}
			if (again.Validate() == nil) != (r.Validate() == nil) {
				t.Error("valid at one end and not at the other")
			}
		})
	}
}

// White space is all that a hand-off may take from the body.
func TestHandoffKeepsEverythingButWhiteSpace(t *testing.T) {
	_, again := handOver(t, mustParse(t, "{ \"merchantReference\" : \"r 1\",\n\t\"x\": [ 1.50 , \"a  b\\u0041\" ] }", noChannel), purchase.Outcome{})
	if got, want := string(again.Body()), `{"merchantReference":"r 1","x":[1.50,"a  b\u0041"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The channel of a hand-off is the one the consumer sent, whatever is
// configured by the time the poller reads it.
func TestHandoffKeepsTheChannelOfItsTime(t *testing.T) {
	h, again := handOver(t, mustParse(t, with(`"amount":5`), acme), purchase.Outcome{})
	if h.ChannelID != "web" || again.ChannelID() != "web" || !strings.Contains(string(again.VendorBody()), `"channelId":"web"`) {
		t.Errorf("channel %q, then %q in %s", h.ChannelID, again.ChannelID(), again.VendorBody())
	}
	h, _ = handOver(t, mustParse(t, electricity, purchase.Account{Name: "acme", ChannelID: "pos"}), purchase.Outcome{})
	if h.ChannelID != "" {
		t.Errorf("channel %q stands in for the request's own", h.ChannelID)
	}
}

func TestHandoffWithoutARequestIsAnError(t *testing.T) {
	for _, raw := range []string{"", "null", `{}`, `{"merchantReference":" "}`, `[]`} {
		h := purchase.Handoff{Account: "acme", Request: json.RawMessage(raw)}
		if r, err := h.Purchase(); err == nil || r != nil {
			t.Errorf("request %q: got %v, %v", raw, r, err)
		}
	}
	h := purchase.Handoff{Request: json.RawMessage("{")}
	if out, err := h.Encode(); err == nil || out != nil {
		t.Errorf("encoded %s, error %v", out, err)
	}
}
