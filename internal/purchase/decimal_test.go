package purchase_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vendstream/vendstream/internal/purchase"
)

func decimal(t *testing.T, literal string) purchase.Decimal {
	t.Helper()
	d, ok := purchase.ParseDecimal(literal)
	if !ok {
		t.Fatalf("%q is not read", literal)
	}
	return d
}

func TestDecimalsInOrder(t *testing.T) {
	t.Parallel()
	// Each line is one value, and the lines are in order.
	lines := [][]string{
		{"-1e400", "-10e399"},
		{"-20.5", "-205e-1"},
		{"-20", "-2e1"},
		{"-0.1"},
		{"0", "-0", "0.000", "0e9"},
		{"1e-999999999999999999999"},
		{"0.1", "1e-1"},
		{"9007199254740992"},
		{"9007199254740993", "9007199254740993.0000"},
		{"20000000000000000000"},
		{"20000000000000000000.01"},
		{"1e999999999999999999999"},
	}
	for i, line := range lines {
		for _, a := range line {
			for j, other := range lines {
				for _, b := range other {
					want := min(max(i-j, -1), 1)
					if got := decimal(t, a).Compare(decimal(t, b)); got != want {
						t.Errorf("%s against %s: %d, want %d", a, b, got, want)
					}
				}
			}
			if got, want := decimal(t, a).Sign(), min(max(i-4, -1), 1); got != want {
				t.Errorf("the sign of %s is %d, want %d", a, got, want)
			}
		}
	}
	var zero purchase.Decimal
	if zero.Compare(decimal(t, "0.0")) != 0 || zero.Compare(decimal(t, "20")) != -1 {
		t.Error("the zero Decimal is not 0")
	}
}

func TestDecimalsAgreeWithExactArithmetic(t *testing.T) {
	t.Parallel()
	literal := rapid.StringMatching(`-?(0|[1-9][0-9]{0,6})(\.[0-9]{1,6})?([eE][+-]?[0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := literal.Draw(t, "a"), literal.Draw(t, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		da, okA := purchase.ParseDecimal(a)
		db, okB := purchase.ParseDecimal(b)
		if !okA || !okB || da.Compare(db) != x.Cmp(y) || da.Sign() != x.Sign() {
			t.Fatalf("%s and %s: %v, %v, %d, want %d", a, b, okA, okB, da.Compare(db), x.Cmp(y))
		}
	})
}

func TestNoDecimals(t *testing.T) {
	t.Parallel()
	for _, literal := range []string{
		"", " ", "1 ", " 1", "+1", "01", ".5", "5.", "1e", "0x1", "NaN", "1,5", `"1"`, "true", "null", "[1]", "1 2",
		strings.Repeat("1", 65),
	} {
		if _, ok := purchase.ParseDecimal(literal); ok {
			t.Errorf("%q is taken for a number", literal)
		}
	}
	decimal(t, strings.Repeat("1", 64))
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]string{
		`"amount":20`: "20.0000", `"amount":"20.00"`: "2e1", `"amount":2e1`: "20",
		`"amount":"2e1"`: "", `"amount":""`: "", `"amount":null`: "", `"x":1`: "",
	} {
		got, ok := mustParse(t, with(members), acme).Amount()
		if ok != (want != "") {
			t.Errorf("%s: %v", members, ok)
		}
		if ok && got.Compare(decimal(t, want)) != 0 {
			t.Errorf("%s is not %s", members, want)
		}
	}
}

func TestHas(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]bool{
		`"f":"x"`: true, `"f":0`: true, `"f":false`: true, `"f":{}`: true,
		`"f":""`: false, `"f":null`: false, `"F":"x"`: false, `"x":1`: false,
		`"additionalInfo":{"f":"x"}`: true, `"additionalInfo":{"f":1,"F":null}`: true,
		`"additionalInfo":{"f":""}`: false, `"additionalInfo":{"f":null}`: false, `"additionalInfo":{"F":"x"}`: false,
		`"additionalInfo":{"x":{"f":1}}`: false, `"additionalInfo":"f"`: false, `"additionalInfo":["f"]`: false,
		`"f":null,"additionalInfo":{"f":"x"}`: true,
	} {
		if got := mustParse(t, with(members), acme).Has("f"); got != want {
			t.Errorf("%s: %v", members, got)
		}
	}
	if !mustParse(t, with(`"x":1`), acme).Has("channelId") || mustParse(t, with(`"x":1`), noChannel).Has("channelId") {
		t.Error("the account's channelId does not count, or another does")
	}
}
