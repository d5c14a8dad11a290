package purchase

import (
	"bytes"
	"math/big"
	"strconv"
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
	exponent *big.Int
}

// parseNumber reads a literal that is known to obey the JSON number grammar.
func parseNumber(literal []byte) number {
	var n number
	if len(literal) > 0 && literal[0] == '-' {
		n.negative = true
		literal = literal[1:]
	}
	exponent := new(big.Int)
	if i := bytes.IndexAny(literal, "eE"); i >= 0 {
		exponent.SetString(string(bytes.TrimPrefix(literal[i+1:], []byte("+"))), 10)
		literal = literal[:i]
	}
	digits := literal
	if i := bytes.IndexByte(literal, '.'); i >= 0 {
		fraction := literal[i+1:]
		exponent.Sub(exponent, big.NewInt(int64(len(fraction))))
		digits = append(append(make([]byte, 0, len(literal)), literal[:i]...), fraction...)
	}
	digits = bytes.TrimLeft(digits, "0")
	trimmed := bytes.TrimRight(digits, "0")
	if len(trimmed) == 0 {
		return number{exponent: new(big.Int)}
	}
	exponent.Add(exponent, big.NewInt(int64(len(digits)-len(trimmed))))
	n.digits, n.exponent = string(trimmed), exponent
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
	return n.exponent.Append(dst, 10)
}

// payable reports whether the value can be an amount of money: above zero, and
// of a size that a decimal column can hold.
func (n number) payable() bool {
	if n.digits == "" || n.negative || !n.exponent.IsInt64() {
		return false
	}
	exponent := n.exponent.Int64()
	if exponent > maxAmountIntegerDigits || exponent < -maxAmountFractionDigits {
		return false
	}
	return int64(len(n.digits))+exponent <= maxAmountIntegerDigits
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
