package purchase

import (
	"encoding/json"
	"math/big"
	"strings"
)

// maxDecimal is the longest literal that ParseDecimal reads, in bytes: more than
// an amount can have (see payable).
const maxDecimal = 64

// Decimal is a number by its value, whatever its spelling: 20, 20.0000 and 2e1
// are one. It holds no floating point. The zero Decimal is the number 0.
type Decimal struct{ n number }

// ParseDecimal reads a JSON number. ok is false for anything else, and for a
// literal of more than 64 bytes.
func ParseDecimal(literal string) (d Decimal, ok bool) {
	if literal == "" || len(literal) > maxDecimal || kindOf(literal[0]) != kindNumber ||
		strings.TrimSpace(literal) != literal || !json.Valid([]byte(literal)) {
		return Decimal{}, false
	}
	return Decimal{parseNumber(literal)}, true
}

// Sign is -1, 0 or 1.
func (d Decimal) Sign() int {
	switch {
	case d.n.digits == "":
		return 0
	case d.n.negative:
		return -1
	default:
		return 1
	}
}

// Compare is -1 where d is less than other, 0 where both have one value, else 1.
func (d Decimal) Compare(other Decimal) int {
	if a, b := d.Sign(), other.Sign(); a != b {
		if a < b {
			return -1
		}
		return 1
	}
	if d.Sign() == 0 {
		return 0
	}
	return d.Sign() * d.n.compareSize(other.n)
}

// compareSize compares two numbers that are not zero without their signs.
func (n number) compareSize(other number) int {
	if by := n.magnitude().Cmp(other.magnitude()); by != 0 {
		return by
	}
	// Both begin at the same place, and neither ends with a zero: the shorter of
	// two that begin alike is the smaller.
	return strings.Compare(n.digits, other.digits)
}

// magnitude is how many places the first digit stands before the point.
func (n number) magnitude() *big.Int {
	exponent := n.huge
	if exponent == nil {
		exponent = big.NewInt(n.exponent)
	}
	return new(big.Int).Add(exponent, big.NewInt(int64(len(n.digits))))
}

// Amount is the amount of the request; ok is false where it has none that is a
// decimal, which Validate refuses.
func (r *Request) Amount() (amount Decimal, ok bool) {
	literal := r.amount()
	if literal == "" {
		return Decimal{}, false
	}
	return Decimal{parseNumber(literal)}, true
}

// AmountText is the amount as a JSON number with the digits that were written, or
// "" where Amount has none.
func (r *Request) AmountText() string { return r.amount() }

// Has reports whether the request gives a field: neither left out, null nor "".
// A channelId of the account counts, and so does a member of additionalInfo.
func (r *Request) Has(name string) bool {
	if name == fieldChannelID && r.channelID != "" || !r.absent(name) {
		return true
	}
	at := r.doc.find(fieldAdditional)
	if at < 0 || r.doc.members[at].kind != kindObject {
		return false
	}
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(r.doc.raw(at), &inner); err != nil {
		return false
	}
	value := string(inner[name])
	return value != "" && value != "null" && value != `""`
}
