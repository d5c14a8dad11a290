package purchase

import (
	"math/big"
	"strconv"
	"strings"
)

// Limits on an amount that the vendor could never take. They keep arithmetic on
// a hostile exponent bounded; the real limits are the catalog's.
const (
	maxAmountIntegerDigits  = 15
	maxAmountFractionDigits = 18
)

// number is the value of a JSON number without its spelling: sign,
// digits without zeros at either end, and a power of ten. Zero has no digits.
// Amounts are never held as floating point (contract, "Request message").
type number struct {
	negative bool
	digits   string
	exponent int64
	// huge is the exponent where an int64 cannot hold it, else nil.
	huge *big.Int
}

// maxPlainExponent is how long a spelled exponent may be, in bytes, so that it and
// the length of a body can be added in an int64.
const maxPlainExponent = 16

// parseNumber reads a literal that is known to obey the JSON number grammar.
func parseNumber(literal string) number {
	var n number
	literal, n.negative = strings.CutPrefix(literal, "-")
	var huge *big.Int
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		exponent := strings.TrimPrefix(literal[i+1:], "+")
		if len(exponent) <= maxPlainExponent {
			n.exponent, _ = strconv.ParseInt(exponent, 10, 64) // digits that fit
		} else {
			huge, _ = new(big.Int).SetString(exponent, 10) // digits
		}
		literal = literal[:i]
	}
	whole, fraction, _ := cutByte(literal, '.')
	shift := -int64(len(fraction)) // of the exponent, so that the digits are a whole number
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		fraction = strings.TrimLeft(fraction, "0")
	}
	digits := len(whole) + len(fraction)
	if fraction = strings.TrimRight(fraction, "0"); fraction == "" {
		whole = strings.TrimRight(whole, "0")
	}
	shift += int64(digits - len(whole) - len(fraction))
	if whole == "" && fraction == "" {
		return number{}
	}
	n.digits = whole + fraction
	if huge == nil {
		n.exponent += shift
		return n
	}
	if huge.Add(huge, big.NewInt(shift)); huge.IsInt64() {
		n.exponent = huge.Int64()
	} else {
		n.huge = huge
	}
	return n
}

// appendCanonical writes the one spelling that all spellings of the value share:
// "5e1" for 50, 50.0 and 5e1, "0" for every zero.
func (n number) appendCanonical(dst []byte) []byte {
	if n.digits == "" {
		return append(dst, '0')
	}
	if n.negative {
		dst = append(dst, '-')
	}
	dst = append(dst, n.digits...)
	dst = append(dst, 'e')
	if n.huge != nil {
		return n.huge.Append(dst, 10)
	}
	return strconv.AppendInt(dst, n.exponent, 10)
}

// payable reports whether the value can be an amount of money: above zero, and
// of a size that a decimal column can hold.
func (n number) payable() bool {
	if n.digits == "" || n.negative || n.huge != nil {
		return false
	}
	if n.exponent > maxAmountIntegerDigits || n.exponent < -maxAmountFractionDigits {
		return false
	}
	return int64(len(n.digits))+n.exponent <= maxAmountIntegerDigits
}

// isDecimal reports whether s is a plain decimal that is also a JSON number:
// digits with an optional fraction and sign, no exponent, no leading zeros.
func isDecimal(s string) bool {
	if len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	whole, fraction, hasFraction := cutByte(s, '.')
	if whole == "" || (len(whole) > 1 && whole[0] == '0') || !allDigits(whole) {
		return false
	}
	return !hasFraction || (fraction != "" && allDigits(fraction))
}

func cutByte(s string, sep byte) (before, after string, found bool) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// quoteASCII is strconv.Quote for details that name a key: printable ASCII only.
func quoteASCII(s string) string {
	const longest = 40
	if len(s) > longest {
		s = s[:longest] + "…"
	}
	return strconv.QuoteToASCII(s)
}
