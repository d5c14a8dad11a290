package purchase_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vendstream/vendstream/internal/purchase"
)

// oracle reads a body with encoding/json's tokens, and so apart from the code
// under test. ok is false where the body breaks a rule of the contract.
type oracle struct {
	value          any
	ok             bool
	loneSurrogates bool // encoding/json makes U+FFFD of them: not comparable
}

func consult(body []byte) oracle {
	o := oracle{loneSurrogates: mayHoldLoneSurrogates(body)}
	if len(body) > purchase.MaxBody || !utf8.Valid(body) || !json.Valid(body) {
		return o
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	o.ok = true
	value := o.next(dec, 0)
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		o.ok = false
	}
	o.value = value
	if _, isObject := value.(map[string]any); !isObject {
		o.ok = false
	}
	return o
}

// next reads one value, and clears ok where a key stands twice in an object.
func (o *oracle) next(dec *json.Decoder, depth int) any {
	token, err := dec.Token()
	if err != nil || depth > 9000 {
		o.ok = false
		return nil
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for o.ok && dec.More() {
			key, _ := dec.Token()
			name, _ := key.(string)
			if _, twice := object[name]; twice {
				o.ok = false
			}
			object[name] = o.next(dec, depth+1)
		}
		_, _ = dec.Token()
		return object
	case json.Delim('['):
		array := []any{}
		for o.ok && dec.More() {
			array = append(array, o.next(dec, depth+1))
		}
		_, _ = dec.Token()
		return array
	default:
		return token
	}
}

// mayHoldLoneSurrogates is true for too many bodies rather than for too few.
func mayHoldLoneSurrogates(body []byte) bool {
	return bytes.Contains(bytes.ToLower(body), []byte(`\ud`))
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		electricity, "", "{}", "null", "[]", `{"merchantReference":"r"} x`, "\ufeff{}", "{\"a\":\"\xff\"}", nested(3),
		with(`"amount":"50.00","channelId":null`), with(`"amount":5E+1,"channelId":""`), with(`"\u0061mount":"5\u0030"`),
		with(`"amount":50,"\u0061mount":50`), with(`"x":{"b":[1,{"a":-0.50e-3,"":null}],"a":true}`), with(`"x":{"b":1,"a":2,"b":3}`),
		with(`"x":"\ud83d\ude00\ud800\/\b"`), with(`"\ud800":{"\udc00":1,"\udbff":2}`), with(`"x":1e400,"y":-0,"z":1e-99999999999999999999`),
		" \t\r\n" + with(" \"channelId\" : 5 ,\n\"additionalInfo\" : { } ") + " ", `{"merchantReference":"\u0085"}`,
		with(`"X":1,"x":2,"MerchantReference":3`), with(`"x":["\u2028<>&",[],{},"",0]`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		want := consult(body)
		r, err := purchase.Parse(body, acme)
		if !bytes.Equal(body, before) {
			t.Fatal("Parse changed the body")
		}
		if err != nil {
			checkRejection(t, want, err)
			return
		}
		if !want.ok && !want.loneSurrogates {
			t.Fatalf("accepted %q", body)
		}
		checkRequest(t, r, want)
	})
}

// checkRejection agrees with the oracle on whether the body is at fault.
func checkRejection(t *testing.T, want oracle, err error) {
	t.Helper()
	var rejection *purchase.Rejection
	if !errors.As(err, &rejection) {
		t.Fatalf("%T is not a *Rejection", err)
	}
	atFault := rejection.Reason == purchase.ReasonMalformed || rejection.Reason == purchase.ReasonTooLarge
	if want.loneSurrogates {
		return
	}
	if atFault == want.ok {
		t.Fatalf("rejected with %v, but the body is well formed: %v", rejection, want.ok)
	}
	if want.ok {
		object, _ := want.value.(map[string]any)
		if ref, isText := object["merchantReference"].(string); isText && purchase.ValidReference(ref) {
			t.Fatalf("rejected with %v, but %q is a usable reference", rejection, ref)
		}
	}
}

func checkRequest(t *testing.T, r *purchase.Request, want oracle) {
	t.Helper()
	if !purchase.ValidReference(r.Reference) {
		t.Fatalf("reference %q", r.Reference)
	}
	sent := r.VendorBody()
	if len(sent) <= purchase.MaxBody {
		again, err := purchase.Parse(sent, acme)
		if err != nil || again.Digest != r.Digest {
			t.Fatalf("the vendor reads %q, another request: %v", sent, err)
		}
	}
	for _, text := range []string{r.ProductCode(), r.ChannelID()} {
		if !utf8.ValidString(text) {
			t.Fatalf("%q is not UTF-8", text)
		}
	}
	if refusal := r.Validate(); refusal != nil {
		result := r.Refuse(refusal, ending)
		if _, err := result.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	h := r.HandOver(purchase.Outcome{}, purchase.Submission{Attempts: 1, RequestedAt: noon, SubmittedAt: noon})
	if again, err := h.Purchase(); err != nil || !bytes.Equal(again.VendorBody(), sent) {
		t.Fatalf("the poller sends another request: %v", err)
	}
	if want.loneSurrogates {
		return
	}
	// What encoding/json makes of the body is the same request, spelt its way.
	respelt, err := json.Marshal(want.value)
	if err != nil {
		t.Fatal(err)
	}
	if len(respelt) <= purchase.MaxBody {
		again, err := purchase.Parse(respelt, acme)
		if err != nil || again.Digest != r.Digest {
			t.Fatalf("respelt as %q it is another request: %v", respelt, err)
		}
	}
	checkSent(t, sent, want.value.(map[string]any))
}

// checkSent compares what is sent with what was asked, value by value.
func checkSent(t *testing.T, sent []byte, asked map[string]any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(sent))
	dec.UseNumber()
	var got map[string]any
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%q: %v", sent, err)
	}
	if text, isText := asked["amount"].(string); isText && got["amount"] != asked["amount"] {
		if number, isNumber := got["amount"].(json.Number); !isNumber || string(number) != text {
			t.Fatalf("amount %v is sent as %v", asked["amount"], got["amount"])
		}
		got["amount"] = text
	}
	if channel, there := asked["channelId"]; !there || channel == nil || channel == "" {
		if got["channelId"] != acme.ChannelID {
			t.Fatalf("channelId %v is sent", got["channelId"])
		}
		delete(got, "channelId")
		if there {
			got["channelId"] = channel
		}
	}
	if !reflect.DeepEqual(got, asked) {
		t.Fatalf("asked %v, sent %v", asked, got)
	}
}

func FuzzToken(f *testing.F) {
	for _, seed := range []string{
		"", "r-1", "a.b", "~", "~YS5i", "~YS5i\n", "~YS\r5i", "~Kh", "~Kg==", "~ci0x", "a b", " a", "a\x00", "a\u0085", "é", "\xff", "😀", "=", "~w6k/",
		strings.Repeat("a", 128), strings.Repeat("a", 129), strings.Repeat("é", 64),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if purchase.ValidReference(s) {
			token := purchase.Token(s)
			if !subjectToken.MatchString(token) || len(token) > 1+(purchase.MaxReference*8+5)/6 {
				t.Fatalf("Token(%q) = %q is no token of a subject", s, token)
			}
			if back, err := purchase.FromToken(token); err != nil || back != s {
				t.Fatalf("FromToken(%q) = %q, %v, want %q", token, back, err, s)
			}
		}
		ref, err := purchase.FromToken(s)
		if err != nil {
			if !errors.Is(err, purchase.ErrToken) || ref != "" {
				t.Fatalf("FromToken(%q) = %q, %v", s, ref, err)
			}
			return
		}
		if !purchase.ValidReference(ref) || purchase.Token(ref) != s {
			t.Fatalf("FromToken(%q) = %q, whose token is %q", s, ref, purchase.Token(ref))
		}
	})
}
