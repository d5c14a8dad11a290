package purchase_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vendstream/vendstream/internal/purchase"
)

func numberDigest(t testing.TB, literal string) purchase.Digest {
	t.Helper()
	return mustParse(t, with(`"x":`+literal), acme).Digest
}

func TestSpellingsOfOneNumber(t *testing.T) {
	zeros := strings.Repeat("0", 5000)
	for _, literals := range [][]string{
		{"50", "50.0", "50.000", "5e1", "5E1", "5E+1", "5e+01", "5.0e1", "0.5e2", "500e-1", "500E-01", "0.0050e4", "50e0", "50e-0"},
		{"0.5", "0.50", "5e-1", "50e-2", "0.05e1"},
		{"0", "-0", "0.0", "-0.00", "0e0", "0e99", "-0E-99", "0e" + strings.Repeat("9", 5000), "0." + zeros},
		{"-12.5", "-12.50", "-125e-1", "-1.25e1"},
		{"1e400", "10e399", "0.1e401", "1E+0400"},
		{"1e" + strings.Repeat("9", 5000), "10e" + strings.Repeat("9", 4999) + "8"},
		{"1e-1" + zeros, "0.1e-" + strings.Repeat("9", 5000)},
		{"1", "1." + zeros, "1" + zeros + "e-5000", "0." + strings.Repeat("0", 4999) + "1e5000", "1e" + zeros},
		{"9007199254740993", "9007199254740993.0"},
	} {
		want := numberDigest(t, literals[0])
		for _, literal := range literals[1:] {
			if numberDigest(t, literal) != want {
				t.Errorf("%s and %s are one number and have different digests", abbreviate(literals[0]), abbreviate(literal))
			}
		}
	}
}

func TestNumbersThatFloatsWouldMixUp(t *testing.T) {
	seen := map[purchase.Digest]string{}
	for _, literal := range []string{
		"0", "1", "-1", "5", "50", "500", "5e-1", "55", "505",
		"9007199254740992", "9007199254740993", "12341234123412341234", "12341234123412341235",
		"0.1", "0.1000000000000000055511151231257827", "1e400", "1e401", "-1e400", "1e-400", "1e-401",
		"1e9223372036854775807", "1e9223372036854775808", "1e-9223372036854775808", "1e-9223372036854775809",
		"1e18446744073709551616", "1e18446744073709551617",
		"1e" + strings.Repeat("9", 5000), "1e" + strings.Repeat("9", 4999) + "8",
	} {
		d := numberDigest(t, literal)
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s are not one number and have one digest", abbreviate(literal), abbreviate(other))
		}
		seen[d] = literal
	}
}

// Two literals have one digest exactly where exact arithmetic finds them equal.
func TestNumbersAgreeWithExactArithmetic(t *testing.T) {
	literal := rapid.StringMatching(`-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?([eE][+-]?0?[0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := literal.Draw(t, "a"), literal.Draw(t, "b")
		x, okX := new(big.Rat).SetString(a)
		y, okY := new(big.Rat).SetString(b)
		if !okX || !okY {
			t.Fatalf("%q or %q is no number", a, b)
		}
		da := rapidParse(t, with(`"x":`+a), acme).Digest
		db := rapidParse(t, with(`"x":`+b), acme).Digest
		if (x.Cmp(y) == 0) != (da == db) {
			t.Fatalf("%s and %s: equal numbers %v, equal digests %v", a, b, x.Cmp(y) == 0, da == db)
		}
	})
}

// A number moved through random spellings of itself keeps its digest.
func TestNumbersRespelt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`[1-9][0-9]{0,30}`).Draw(t, "digits")
		exponent := rapid.IntRange(-40, 40).Draw(t, "exponent")
		want := rapidParse(t, with(`"x":`+digits+"e"+big.NewInt(int64(exponent)).String()), acme).Digest
		got := rapidParse(t, with(`"x":`+spellNumber(t, digits, exponent)), acme).Digest
		if got != want {
			t.Fatalf("%se%d has another digest", digits, exponent)
		}
	})
}

// spellNumber writes digits times ten to the exponent in one of many ways.
func spellNumber(t *rapid.T, digits string, exponent int) string {
	zeros := rapid.IntRange(0, 3).Draw(t, "zeros")
	digits += strings.Repeat("0", zeros)
	exponent -= zeros
	point := rapid.IntRange(-2, len(digits)).Draw(t, "point") // digits before it
	exponent += len(digits) - point
	whole, fraction := "0", digits
	if point > 0 {
		whole, fraction = digits[:point], digits[point:]
	} else {
		fraction = strings.Repeat("0", -point) + digits
	}
	out := whole
	if fraction != "" {
		out += "." + fraction
	}
	if exponent == 0 && rapid.Bool().Draw(t, "plain") {
		return out
	}
	out += rapid.SampledFrom([]string{"e", "E"}).Draw(t, "e")
	switch {
	case exponent < 0:
		return out + "-" + strings.Repeat("0", zeros) + big.NewInt(int64(-exponent)).String()
	case rapid.Bool().Draw(t, "plus"):
		return out + "+" + big.NewInt(int64(exponent)).String()
	default:
		return out + big.NewInt(int64(exponent)).String()
	}
}
