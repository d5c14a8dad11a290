package purchase_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/vendstream/vendstream/internal/purchase"
)

func rapidParse(t *rapid.T, body string, account purchase.Account) *purchase.Request {
	t.Helper()
	r, err := purchase.Parse([]byte(body), account)
	if err != nil {
		t.Fatalf("Parse(%s): %v", abbreviate(body), err)
	}
	return r
}

// A jsonValue is a value apart from its spelling: nil, bool, string, scaled,
// []jsonValue or map[string]jsonValue.
type jsonValue any

// scaled is digits times ten to the exponent.
type scaled struct {
	digits   string
	exponent int
}

var anyText = rapid.StringOfN(rapid.OneOf(
	rapid.RuneFrom([]rune("aAb\"\\/\x00\n\u007f\u0085\u00a0\u2028\ufeff\ufffdé😀<>&")), rapid.Rune()), 0, 6, -1)

func anyValue(depth int) *rapid.Generator[jsonValue] {
	return rapid.Custom(func(t *rapid.T) jsonValue {
		kinds := 6
		if depth == 0 {
			kinds = 4
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return anyText.Draw(t, "text")
		case 3:
			return scaled{rapid.StringMatching(`[1-9][0-9]{0,20}`).Draw(t, "digits"), rapid.IntRange(-20, 20).Draw(t, "exponent")}
		case 4:
			return rapid.SliceOfN(anyValue(depth-1), 0, 4).Draw(t, "array")
		default:
			return anyObject(depth-1).Draw(t, "object")
		}
	})
}

func anyObject(depth int) *rapid.Generator[map[string]jsonValue] {
	return rapid.MapOfN(anyText, anyValue(depth), 0, 5)
}

// anyRequest draws the members of a request with a usable reference.
func anyRequest(t *rapid.T) map[string]jsonValue {
	members := anyObject(3).Draw(t, "foreign")
	members["merchantReference"] = rapid.SampledFrom([]string{"r-1", "é r", "a\"b"}).Draw(t, "reference")
	for _, field := range []string{"amount", "channelId", "productCode", "additionalInfo"} {
		switch rapid.IntRange(0, 3).Draw(t, field) {
		case 0:
			members[field] = anyValue(1).Draw(t, "foreign "+field)
		case 1:
			members[field] = rapid.SampledFrom([]string{"", "50", "50.00", "0.5", "web", "AIR-VOD-001"}).Draw(t, "text of "+field)
		default:
			delete(members, field)
		}
	}
	return members
}

// spell writes a value as JSON in one of its many spellings.
func spell(t *rapid.T, v jsonValue) string {
	space := func() string { return rapid.SampledFrom([]string{"", "", "", " ", "\n\t"}).Draw(t, "space") }
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return fmt.Sprint(v)
	case string:
		return spellText(t, v)
	case scaled:
		return spellNumber(t, v.digits, v.exponent)
	case []jsonValue:
		items := make([]string, len(v))
		for i := range v {
			items[i] = space() + spell(t, v[i]) + space()
		}
		return "[" + strings.Join(items, ",") + "]"
	case map[string]jsonValue:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		// Permutation draws from a fixed order, so that a failure can be replayed.
		sort.Strings(names)
		members := make([]string, 0, len(names))
		for _, name := range rapid.Permutation(names).Draw(t, "order") {
			members = append(members, space()+spellText(t, name)+space()+":"+space()+spell(t, v[name])+space())
		}
		return "{" + strings.Join(members, ",") + "}"
	default:
		t.Fatalf("no spelling for %T", v)
		return ""
	}
}

func spellText(t *rapid.T, s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range s {
		switch escape := rapid.IntRange(0, 3).Draw(t, "escape"); {
		case escape == 0 && r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04X`, high, low)
		case escape == 0 && r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		case r == '/' && escape == 1:
			out.WriteString(`\/`)
		case r == '"' || r == '\\':
			out.WriteString(`\` + string(r))
		case r == '\n':
			out.WriteString(`\n`)
		case r < 0x20:
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String() + `"`
}

func TestAnySpellingOfARequestHasItsDigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := anyRequest(t)
		one, two := spell(t, members), spell(t, members)
		a, b := rapidParse(t, one, acme), rapidParse(t, two, acme)
		if a.Digest != b.Digest {
			t.Fatalf("two spellings of one value differ:\n%s\n%s", one, two)
		}
		if a.Reference != members["merchantReference"] || b.Reference != a.Reference {
			t.Fatalf("reference %q and %q, want %q", a.Reference, b.Reference, members["merchantReference"])
		}
		changed := make(map[string]jsonValue, len(members))
		for name, v := range members {
			changed[name] = v
		}
		changed["one field more"] = nil
		if rapidParse(t, spell(t, changed), acme).Digest == a.Digest {
			t.Fatalf("a field more makes no difference:\n%s", one)
		}
	})
}

func TestVendorBodyIsTheSameRequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := spell(t, anyRequest(t))
		for _, account := range []purchase.Account{acme, noChannel, {ChannelID: "a\"\\\n<é\u2028"}} {
			r := rapidParse(t, body, account)
			sent := r.VendorBody()
			if !json.Valid(sent) {
				t.Fatalf("not valid JSON: %s", sent)
			}
			again := rapidParse(t, string(sent), account)
			if again.Digest != r.Digest || again.Reference != r.Reference || again.ChannelID() != r.ChannelID() {
				t.Fatalf("the vendor reads another request:\n%s\n%s", body, sent)
			}
			if third := again.VendorBody(); !bytes.Equal(third, sent) {
				t.Fatalf("edited twice:\n%s\n%s", sent, third)
			}
			if string(r.Body()) != body {
				t.Fatal("the body itself was changed")
			}
		}
	})
}

func TestHandoffIsTheSameRequest(t *testing.T) {
	key := []byte("key")
	rapid.Check(t, func(t *rapid.T) {
		body := spell(t, anyRequest(t))
		r := rapidParse(t, body, purchase.Account{Name: "acme", ChannelID: "web", DigestKey: key})
		h := r.HandOver(purchase.Outcome{}, purchase.Submission{Attempts: 1, RequestedAt: noon, SubmittedAt: noon})
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
		// What goes to the vendor is the same by value, which the digest tells.
		a := rapidParse(t, string(r.VendorBody()), acme)
		b := rapidParse(t, string(again.VendorBody()), acme)
		if again.Digest != r.Digest || a.Digest != b.Digest || again.Reference != r.Reference {
			t.Fatalf("the poller reads another request:\n%s\n%s", body, encoded)
		}
	})
}
