package purchase_test

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestValidReference(t *testing.T) {
	for name, ref := range map[string]string{
		"one byte":                "a",
		"128 bytes":               strings.Repeat("a", 128),
		"128 bytes of two each":   strings.Repeat("é", 64),
		"space within":            "a b",
		"no-break space within":   "a\u00a0b",
		"punctuation":             `.*>/\"'~`,
		"four-byte rune":          "😀",
		"replacement character":   "a\ufffdb",
		"combining mark first":    "\u0301a",
		"a zero-width space only": "\u200b",
		"byte order mark":         "\ufeffa", // not white space, not a control: category Cf
	} {
		if !purchase.ValidReference(ref) {
			t.Errorf("%s: %q is refused", name, ref)
		}
	}
	for name, ref := range map[string]string{
		"empty":                 "",
		"129 bytes":             strings.Repeat("a", 129),
		"129 bytes in 65 runes": strings.Repeat("é", 64) + "a",
		"NUL":                   "a\x00b",
		"unit separator":        "a\x1fb",
		"line end within":       "a\nb",
		"delete":                "a\x7fb",
		"first C1 control":      "a\u0080b",
		"next line within":      "a\u0085b",
		"last C1 control":       "a\u009fb",
		"invalid byte":          "a\xffb",
		"cut-off rune":          "a\xc3",
		"encoded surrogate":     "a\xed\xa0\x80",
		"overlong slash":        "\xc0\xaf",
	} {
		if purchase.ValidReference(ref) {
			t.Errorf("%s: %q is accepted", name, ref)
		}
	}
}

func TestNoWhiteSpaceAtEitherEndOfAReference(t *testing.T) {
	spaces := 0
	for r := range rune(unicode.MaxRune) {
		if !unicode.Is(unicode.White_Space, r) {
			continue
		}
		spaces++
		for _, ref := range []string{string(r), string(r) + "a", "a" + string(r)} {
			if purchase.ValidReference(ref) {
				t.Errorf("%q is accepted", ref)
			}
		}
	}
	if spaces != 25 {
		t.Errorf("%d kinds of white space tried; Unicode has 25", spaces)
	}
}

func TestNoControlCharacterAnywhereInAReference(t *testing.T) {
	for r := range rune(0x100) {
		control := r < 0x20 || (r >= 0x7f && r < 0xa0)
		if got := purchase.ValidReference("a" + string(r) + "b"); got == control {
			t.Errorf("%q within a reference: accepted %v", r, got)
		}
	}
}

func TestToken(t *testing.T) {
	for ref, want := range map[string]string{
		"r-1":                    "r-1",
		"AZaz09_=-":              "AZaz09_=-",
		strings.Repeat("a", 128): strings.Repeat("a", 128),
		"a.b":                    "~YS5i",
		"a b":                    "~YSBi",
		"*":                      "~Kg",
		">":                      "~Pg",
		"~YS5i":                  "~fllTNWk",
		"~":                      "~fg",
		"é?":                     "~w6k_",
		"a~":                     "~YX4",
	} {
		if got := purchase.Token(ref); got != want {
			t.Errorf("Token(%q) = %q, want %q", ref, got, want)
		}
		if back, err := purchase.FromToken(want); err != nil || back != ref {
			t.Errorf("FromToken(%q) = %q, %v, want %q", want, back, err, ref)
		}
	}
}

func TestFromTokenRefusesWhatNoReferenceHas(t *testing.T) {
	for name, token := range map[string]string{
		"empty":                         "",
		"a tilde alone":                 "~",
		"a dot":                         "a.b",
		"a wildcard":                    "*",
		"129 plain bytes":               strings.Repeat("a", 129),
		"padding":                       "~Kg==",
		"the other alphabet":            "~w6k/",
		"set bits behind the end":       "~Kh",
		"one digit too few":             "~K",
		"a plain reference in disguise": encoded("r-1"),
		"a control character":           encoded("a\x00"),
		"white space at the end":        encoded("a "),
		"invalid UTF-8":                 encoded("\xff"),
		"129 bytes":                     encoded(strings.Repeat(".", 129)),
		"a line end behind":             "~YS5i\n",
		"a line end within":             "~YS\r\n5i",
		"a plain one and a line end":    "r-1\n",
		"a tilde behind":                "r-1~",
	} {
		if ref, err := purchase.FromToken(token); !errors.Is(err, purchase.ErrToken) || ref != "" {
			t.Errorf("%s: FromToken(%q) = %q, %v", name, token, ref, err)
		}
	}
}

// encoded is any string as "~" and base64url, also where Token would not.
func encoded(s string) string { return "~" + base64.RawURLEncoding.EncodeToString([]byte(s)) }

var subjectToken = regexp.MustCompile(`^~?[A-Za-z0-9_=-]+$`)

func TestTokensTellReferencesApart(t *testing.T) {
	reference := rapid.OneOf(
		rapid.StringMatching(`~?[A-Za-z0-9_=.-]{1,8}`),
		rapid.StringN(1, 32, purchase.MaxReference),
	).Filter(purchase.ValidReference)
	rapid.Check(t, func(t *rapid.T) {
		a, b := reference.Draw(t, "a"), reference.Draw(t, "b")
		token := purchase.Token(a)
		if !subjectToken.MatchString(token) {
			t.Fatalf("Token(%q) = %q is no token of a subject", a, token)
		}
		if back, err := purchase.FromToken(token); err != nil || back != a {
			t.Fatalf("FromToken(%q) = %q, %v, want %q", token, back, err, a)
		}
		if (a == b) != (token == purchase.Token(b)) {
			t.Fatalf("%q and %q share the token %q", a, b, token)
		}
		// A token can itself be a reference: the two must not meet.
		if other := purchase.Token(token); a != token && other == token {
			t.Fatalf("%q and %q share the token %q", a, token, token)
		}
	})
}

func TestValidAccount(t *testing.T) {
	for _, name := range []string{"a", "0", "acme", "a-b_c", "9_-", strings.Repeat("a", 32)} {
		if !purchase.ValidAccount(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", "A", "_a", "-a", "a.b", "a b", "a\n", "é", "a*", "a>", strings.Repeat("a", 33)} {
		if purchase.ValidAccount(name) {
			t.Errorf("%q is accepted", name)
		}
	}
}
