package simulator

import (
	"math/big"
	"strconv"
)

// appendReceipt writes the receipt of a transaction: free-form by category, and
// the same bytes every time (pagamio-api.md, "Purchase": receipts). Numbers are
// spelled so that a client which reads them as floating point is found out:
// decimals with trailing zeros, tokens and serial numbers of 20 digits, and
// amounts that are now rand and now cents.
func (tx *transaction) appendReceipt(b []byte) []byte {
	switch tx.product.category().Code {
	case "ELE":
		if tx.product.Code == "ELE-FLS-001" && tx.customer != meterFreeOnly {
			return tx.appendOldElectricity(b)
		}
		return tx.appendElectricity(b)
	case "ENT", "VCH":
		b = append(b, `{"pin":"`...)
		b = tx.appendDigits(b, 1, 16)
		b = append(b, `","serialNumber":`...)
		b = tx.appendDigits(b, 2, 20)
		return append(b, `,"expiryDate":"2029-12-31"}`...)
	case "GAM":
		b = append(b, `{"details":[{"tokens":[{"token":"`...)
		b = tx.appendDigits(b, 1, 12)
		return append(b, `"}]}],"expiryDate":"2029-12-31"}`...)
	case "LIF":
		b = append(b, `{"voucher":{"pin":"`...)
		b = tx.appendDigits(b, 1, 14)
		b = append(b, `","serialNumber":"`...)
		b = tx.appendDigits(b, 2, 16)
		return append(b, `"}}`...)
	case "WLT":
		b = append(b, `{"walletReference":`...)
		b = tx.appendDigits(b, 1, 18)
		b = append(b, `,"balance":`...)
		b = append(b, tx.decimal(big.NewRat(7, 2))...)
		return append(b, '}')
	case "BIL":
		b = append(b, `{"accountHolder":"S Customer","amountDue":0.00,"accountNumber":`...)
		b = appendText(b, tx.customer)
		b = append(b, `,"vendorName":`...)
		b = appendText(b, tx.product.BrandName)
		b = append(b, `,"amount":`...)
		b = append(b, tx.decimal(big.NewRat(1, 1))...)
		return append(b, '}')
	default: // AIR, DAT, MIN, SMS and legacy codes
		return tx.appendPin(b)
	}
}

// appendPin writes a PIN receipt. Its amount is in cents: R200.00 is 20000.
func (tx *transaction) appendPin(b []byte) []byte {
	b = append(b, '{')
	if !tx.product.PinLess {
		b = append(b, `"pin":"`...)
		b = tx.appendDigits(b, 1, 12)
		b = append(b, `",`...)
	}
	b = append(b, `"serialNumber":"`...)
	b = tx.appendDigits(b, 2, 15)
	b = append(b, `","amount":`...)
	b = append(b, tx.cents()...)
	return append(b, '}')
}

// appendOldElectricity writes the older form, its token as a number.
func (tx *transaction) appendOldElectricity(b []byte) []byte {
	b = append(b, `{"token":`...)
	b = tx.appendToken(b)
	b = append(b, `,"units":`...)
	b = append(b, tx.decimal(big.NewRat(2, 5))...)
	b = append(b, `,"unitType":`...)
	b = appendText(b, unitOf(tx.customer))
	b = append(b, `,"meterNumber":`...)
	b = appendText(b, tx.customer)
	b = append(b, `,"taxAmount":`...)
	b = append(b, tx.decimal(big.NewRat(3, 23))...)
	b = append(b, `,"aggregator":`...)
	b = appendText(b, tx.product.BrandName)
	b = append(b, `,"amount":`...)
	b = append(b, tx.cents()...)
	return append(b, '}')
}

// appendElectricity writes the newer form. A meter for free basic electricity
// gets nothing but its free units.
func (tx *transaction) appendElectricity(b []byte) []byte {
	b = append(b, `{"tokens":[`...)
	if tx.customer != meterFreeOnly {
		b = append(b, `{"token":"`...)
		b = tx.appendToken(b)
		b = append(b, `","tokenDescription":"Normal sale","quantity":`...)
		b = append(b, tx.decimal(big.NewRat(2, 5))...)
		b = append(b, `,"unit":`...)
		b = appendText(b, unitOf(tx.customer))
		b = append(b, `,"free":false},`...)
	}
	b = append(b, `{"token":"`...)
	b = tx.appendDigits(b, 4, 20)
	b = append(b, `","tokenDescription":"Free basic electricity","quantity":50.0000,"unit":`...)
	b = appendText(b, unitOf(tx.customer))
	b = append(b, `,"free":true}],"fixedCosts":[{"description":"Service charge","amount":0.0000}],"utility":`...)
	b = appendText(b, tx.product.BrandName)
	b = append(b, `,"name":"S Customer","meterNumber":`...)
	b = appendText(b, tx.customer)
	b = append(b, `,"receiptNumber":`...)
	b = tx.appendDigits(b, 5, 20)
	return append(b, '}')
}

// decimal is the amount times a factor with four decimals, such as 30.0000.
func (tx *transaction) decimal(factor *big.Rat) string {
	return new(big.Rat).Mul(tx.cost, factor).FloatString(4)
}

// cents is the amount in cents; takes has let no fraction of one pass.
func (tx *transaction) cents() string {
	return new(big.Rat).Mul(tx.cost, big.NewRat(centsPerRand, 1)).Num().String()
}

// appendToken writes an electricity token of 20 digits. The first transaction
// has the documented example.
func (tx *transaction) appendToken(b []byte) []byte {
	if tx.number == 1 {
		return append(b, "12341234123412341234"...)
	}
	return tx.appendDigits(b, 3, 20)
}

// appendDigits writes digits that follow from the transaction's number and the
// salt alone. The first is never 0, so that they can stand as a JSON number.
func (tx *transaction) appendDigits(b []byte, salt uint64, count int) []byte {
	// A splitmix64 step spreads consecutive numbers over all digits.
	next := func(seed uint64) uint64 {
		seed += 0x9e3779b97f4a7c15
		seed = (seed ^ seed>>30) * 0xbf58476d1ce4e5b9
		seed = (seed ^ seed>>27) * 0x94d049bb133111eb
		return seed ^ seed>>31
	}
	value := next(uint64(tx.number)<<3 | salt)
	b = append(b, byte('1'+value%9))
	for range count - 1 {
		value = next(value)
		b = strconv.AppendUint(b, value%10, 10)
	}
	return b
}
