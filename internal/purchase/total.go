package purchase

import (
	"math/big"
	"strings"
)

// Total is an exact sum of amounts. The zero Total is 0. It holds no floating
// point, and is not safe for concurrent use.
type Total struct{ units big.Int } // of 10^-maxAmountFractionDigits

// Add adds an amount that can be money: above zero, at most 15 digits before the
// point and 18 after it. Any other is left out and reported as false.
func (t *Total) Add(amount Decimal) bool {
	if !amount.n.payable() {
		return false
	}
	units, _ := new(big.Int).SetString(amount.n.digits, 10) // digits are nothing else
	places := amount.n.exponent + maxAmountFractionDigits
	if places < 0 {
		return false // payable lets none through
	}
	units.Mul(units, new(big.Int).Exp(big.NewInt(10), big.NewInt(places), nil))
	t.units.Add(&t.units, units)
	return true
}

// String is the sum as a plain decimal with at least two digits after the point.
func (t *Total) String() string {
	digits := t.units.String() // never negative
	if short := maxAmountFractionDigits + 1 - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	whole, fraction := digits[:len(digits)-maxAmountFractionDigits], digits[len(digits)-maxAmountFractionDigits:]
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) < 2 {
		fraction += strings.Repeat("0", 2-len(fraction))
	}
	return whole + "." + fraction
}
