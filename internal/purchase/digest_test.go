package purchase_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestDigestIsTheSameForOneValue(t *testing.T) {
	for name, bodies := range map[string][]string{
		"key order":            {with(`"a":1,"b":2`), with(`"b":2,"a":1`), `{"b":2,"a":1,"merchantReference":"r-1"}`},
		"key order below":      {with(`"x":{"a":1,"b":[{"c":1,"d":2}]}`), with(`"x":{"b":[{"d":2,"c":1}],"a":1}`)},
		"white space":          {with(`"x":[1,{"a":2}]`), with(" \"x\" :\t[ 1 ,\r\n{ \"a\" : 2 } ] "), "\n" + with(`"x":[1,{"a":2}]`) + " "},
		"empty containers":     {with(`"x":{},"y":[]`), with(`"x":{ },"y":[ ]`)},
		"escaped key":          {with(`"abc":1`), with(`"\u0061b\u0063":1`)},
		"escaped key below":    {with(`"x":{"abc":1,"b":2}`), with(`"x":{"b":2,"\u0061bc":1}`)},
		"escaped text":         {with(`"x":"a/é"`), with(`"x":"a\/\u00e9"`), with(`"x":"\u0061\u002F\u00E9"`)},
		"escaped controls":     {with(`"x":"\b\f\n\r\t\"\\"`), with(`"x":"\u0008\u000c\u000a\u000D\u0009\u0022\u005c"`)},
		"surrogate pair":       {with(`"x":"😀"`), with(`"x":"\ud83d\ude00"`), with(`"x":"\uD83D\uDE00"`)},
		"lone, then a pair":    {with(`"x":"\ud800\ud83d\ude00"`), with(`"x":"\uD800😀"`)},
		"escaped field name":   {with(`"amount":50`), with(`"\u0061mount":50`), with(`"\u0061mount":"50"`)},
		"the reference":        {`{"merchantReference":"r-1"}`, `{"merchantReference":"\u0072-1"}`, `{"merchant\u0052eference":"r-1"}`},
		"amount as text":       {with(`"amount":50`), with(`"amount":"50"`), with(`"amount":"50.00"`), with(`"amount":"5\u0030"`)},
		"negative amount text": {with(`"amount":-50`), with(`"amount":"-50.0"`)},
	} {
		t.Run(name, func(t *testing.T) {
			first := mustParse(t, bodies[0], acme).Digest
			for _, body := range bodies[1:] {
				if got := mustParse(t, body, acme).Digest; got != first {
					t.Errorf("%s\nand %s\nhave different digests", bodies[0], body)
				}
			}
		})
	}
}

func TestDigestTellsValuesApart(t *testing.T) {
	bodies := []string{
		with(`"x":1`), with(`"x":-1`), with(`"x":"1"`), with(`"x":[1]`), with(`"x":{"1":1}`), with(`"x":true`),
		with(`"x":false`), with(`"x":null`), with(`"x":""`), with(`"x":[]`), with(`"x":{}`), with(`"x":0`),
		with(`"x":"true"`), with(`"x":"null"`), with(`"x":"{}"`), with(`"x":"1e0"`), with(`"y":1`), with(`"X":1`),
		with(`"x":1,"y":null`), with(`"x":[1,2]`), with(`"x":[2,1]`), with(`"x":[12]`), with(`"x":["1,2"]`),
		with(`"x":[[1],2]`), with(`"x":[[1,2]]`), with(`"x":{"a":1,"b":2}`), with(`"x":{"a":2,"b":1}`),
		with(`"x":{"a":{"b":2}}`), with(`"x":"a"`), with(`"x":"A"`), with(`"x":" a"`), with(`"x":"a\u0000"`),
		with(`"x":"\""`), with(`"x":"\\"`), with(`"x":"\\\""`), with(`"x":"\\u0000"`), with(`"x":"\u0000"`),
		with(`"x":"\u00e9"`), with(`"x":"e\u0301"`), with(`"x":"\ufffd"`), with(`"x":"\ufffd\ufffd"`),
		with(`"x":"\ud800"`), with(`"x":"\ud801"`), with(`"x":"\udc00"`), with(`"x":"\udc00\ud800"`),
		with(`"x":"\ud800\ud800"`), with(`"x":"\ud800\udc00"`), with(`"x":"\ud800x\udc00"`), with(`"x":"\ud800\\udc00"`),
		with(`"x":"\u007f"`), with(`"x":"\u0080"`), with(`"x":"\u2028"`), with(`"x":"\ufeff"`),
		with(`"amount":50`), with(`"amount":51`), with(`"amount":-50`), with(`"amount":" 50"`), with(`"amount":"050"`),
		with(`"amount":"5e1"`), with(`"amount":"+50"`), with(`"amount":"50."`), with(`"amount":".5"`), with(`"amount":""`),
		with(`"amount":null`), with(`"amount":[50]`), with(`"amount":"50\u0000"`), with(`"amount":"५०"`),
		with(`"Amount":50`), with(`"Amount":"50"`), with(`"amounts":"50"`),
		with(`"x":{"amount":50}`), with(`"x":{"amount":"50"}`), with(`"x":[50]`), with(`"x":["50"]`),
		with(`"additionalInfo":{"amount":50}`), with(`"additionalInfo":{"amount":"50"}`),
		with(`"x":{"channelId":""}`), with(`"x":{"channelId":"web"}`), with(`"x":{"channelId":null}`),
		`{"merchantReference":"r-1"}`, `{"merchantReference":"r-2"}`, `{"merchantReference":"R-1"}`,
	}
	seen := make(map[purchase.Digest]string, len(bodies))
	for _, body := range bodies {
		d := mustParse(t, body, acme).Digest
		if other, ok := seen[d]; ok {
			t.Errorf("%s\nand %s\nhave one digest", body, other)
		}
		seen[d] = body
	}
}

func TestDigestOfTheChannel(t *testing.T) {
	left, null, empty := with(`"amount":5`), with(`"amount":5,"channelId":null`), with(`"channelId":"","amount":5`)
	own, other := with(`"amount":5,"channelId":"w\u0065b"`), with(`"amount":5,"channelId":"pos"`)
	digest := func(body string, account purchase.Account) purchase.Digest { return mustParse(t, body, account).Digest }

	want := digest(own, acme)
	for _, body := range []string{left, null, empty} {
		if digest(body, acme) != want {
			t.Errorf("%s differs from the account's own channel", body)
		}
	}
	if digest(other, acme) == want {
		t.Error("another channel has the same digest")
	}
	if digest(own, noChannel) != want {
		t.Error("a channel of the request's own depends on the account's")
	}
	if digest(left, noChannel) == want {
		t.Error("a channel that nobody gave has the digest of one")
	}
	if digest(with(`"amount":5,"channelId":5`), acme) == want || digest(with(`"amount":5,"channelId":" web"`), acme) == want {
		t.Error("a mistyped or misspelt channel has the digest of the account's")
	}
	quoted := purchase.Account{ChannelID: "a\"\\\n\u2028<b"}
	if digest(left, quoted) != digest(with(`"channelId":"a\"\\\n\u2028<b","amount":5`), quoted) {
		t.Error("a channel that needs escapes differs from the same channel written out")
	}
}

// The canonical form is a promise: digests live in the ledger for months.
func TestDigestIsPinned(t *testing.T) {
	canonical := `{"a\"\\\u000a":{"é":[-5e-1,0,true,null,"/"],"😀":12e2},"amount":5e1,"channelId":"web","merchantReference":"r-1"}`
	body := "{ \"amount\" : \"50.00\", \"a\\\"\\\\\\n\": {\"\\ud83d\\ude00\": 1.2e+3, \"\\u00e9\": [-0.50, -0, true, null, \"\\/\"]}, \"merchantReference\":\"r-1\"}"
	plain := sha256.Sum256([]byte(canonical))
	if got, want := mustParse(t, body, acme).Digest, "sha256:"+hex.EncodeToString(plain[:]); string(got) != want {
		t.Errorf("digest %s, want that of %s", got, canonical)
	}
	key := []byte("a secret of the operator's")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(canonical))
	keyed := mustParse(t, body, purchase.Account{Name: "acme", ChannelID: "web", DigestKey: key}).Digest
	if want := "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil)); string(keyed) != want {
		t.Errorf("keyed digest %s, want %s", keyed, want)
	}
	if !regexp.MustCompile(`^hmac-sha256:[0-9a-f]{64}$`).MatchString(string(keyed)) {
		t.Errorf("keyed digest %s has another form", keyed)
	}
	if strings.HasSuffix(string(keyed), hex.EncodeToString(plain[:])) {
		t.Error("the key makes no difference")
	}
}

func TestDigestDoesNotDependOnTheAccount(t *testing.T) {
	if mustParse(t, electricity, purchase.Account{Name: "a"}).Digest != mustParse(t, electricity, purchase.Account{Name: "b"}).Digest {
		t.Error("the account's name is in the digest: the reference's subject already tells accounts apart")
	}
}

// A digest is found again though the account's channel or key are others by now.
func TestDigestOf(t *testing.T) {
	key := []byte("k")
	body, explicit := []byte(`{"merchantReference":"r","amount":50}`), []byte(`{"amount":"50.0","channelId":"7","merchantReference":"r"}`)
	of := func(body []byte, a purchase.Account) purchase.Digest {
		r, err := purchase.Parse(body, a)
		if err != nil {
			t.Fatal(err)
		}
		return r.Digest
	}
	for _, c := range []struct {
		name        string
		digest      purchase.Digest
		body        []byte
		now         purchase.Account
		channels    []string
		same, known bool
	}{
		{"as it is", of(body, purchase.Account{ChannelID: "7", DigestKey: key}), body, purchase.Account{ChannelID: "7", DigestKey: key}, nil, true, true},
		{"another channel since", of(body, purchase.Account{ChannelID: "7"}), body, purchase.Account{ChannelID: "8"}, []string{"7"}, true, true},
		{"a channel since", of(body, purchase.Account{}), body, purchase.Account{ChannelID: "8"}, nil, true, true},
		{"a key since", of(body, purchase.Account{}), body, purchase.Account{DigestKey: key}, nil, true, true},
		{"its own channel", of(explicit, purchase.Account{}), body, purchase.Account{}, []string{"7"}, true, true},
		{"a key that is not here", of(body, purchase.Account{DigestKey: key}), body, purchase.Account{}, nil, false, false},
		{"another key", of(body, purchase.Account{DigestKey: key}), body, purchase.Account{DigestKey: []byte("l")}, nil, false, true},
		{"another payload", of(body, purchase.Account{}), []byte(`{"merchantReference":"r","amount":51}`), purchase.Account{}, []string{"7"}, false, true},
		{"no request", of(body, purchase.Account{}), []byte("{"), purchase.Account{}, nil, false, true},
	} {
		if same, known := c.digest.Of(c.body, c.now, c.channels...); same != c.same || known != c.known {
			t.Errorf("%s: %v, %v", c.name, same, known)
		}
	}
}
