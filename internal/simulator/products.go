package simulator

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Product is one item of the catalog (pagamio-api.md, "Catalog"). Amounts are
// decimals in ZAR and are shown with the digits that they have here.
type Product struct {
	ID        int    `json:"id" yaml:"id"`
	Name      string `json:"name" yaml:"name"`
	Code      string `json:"code" yaml:"code"`
	BrandID   int    `json:"brand_id" yaml:"brand_id"`
	BrandName string `json:"brand_name" yaml:"brand_name"`
	MinAmount string `json:"min_amount" yaml:"min_amount"`
	// MaxAmount is not looked at where FixedAmount is set: MinAmount is the price.
	MaxAmount   string `json:"max_amount" yaml:"max_amount"`
	FixedAmount bool   `json:"fixed_amount" yaml:"fixed_amount"`
	PinLess     bool   `json:"pin_less" yaml:"pin_less"`
	// Inactive (1002) and Unsupported (1000) products are listed and refused.
	Inactive    bool `json:"inactive" yaml:"inactive"`
	Unsupported bool `json:"unsupported" yaml:"unsupported"`
	// Accounts that may buy it; empty is all (else 1009).
	Accounts []string `json:"accounts" yaml:"accounts"`

	min, max *big.Rat // set by newCatalog
	of       *category
}

func (p *Product) check() error {
	var errs []error
	if p.Code == "" {
		errs = append(errs, errors.New("code: is required"))
	}
	low, ok := parseAmount(p.MinAmount)
	if !ok || low.Sign() <= 0 {
		errs = append(errs, fmt.Errorf("min_amount: %q is not a decimal above zero", p.MinAmount))
	}
	if !p.FixedAmount {
		if high, fine := parseAmount(p.MaxAmount); !fine || (ok && high.Cmp(low) < 0) {
			errs = append(errs, fmt.Errorf("max_amount: %q is not a decimal of at least min_amount", p.MaxAmount))
		}
	}
	return errors.Join(errs...)
}

func (p *Product) category() *category { return p.of }

const centsPerRand = 100

// takes reports whether an amount can be paid for the product ("amount": within
// the product's limits, or equal to the fixed amount). Fractions of a cent are
// no ZAR.
func (p *Product) takes(amount *big.Rat) bool {
	if parts := amount.Denom(); !parts.IsInt64() || centsPerRand%parts.Int64() != 0 {
		return false
	}
	return amount.Cmp(p.min) >= 0 && amount.Cmp(p.max) <= 0
}

// field is one entry of a category's fields.
type field struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
}

// category is one of the documented categories (pagamio-api.md, "Catalog").
type category struct {
	ID            int
	Code          string
	Name          string
	Fields        []field
	ReceiptFields []string
}

var (
	mobileField  = []field{{"mobileNumber", "phone", true}}
	optionalCell = []field{{"mobileNumber", "phone", false}}
	pinReceipt   = []string{"pin", "serialNumber"}
)

// categories are the documented ones; the last holds the legacy codes ATP-XXX.
var categories = []*category{
	{1, "AIR", "Airtime", mobileField, pinReceipt},
	{2, "DAT", "Data", mobileField, pinReceipt},
	{3, "MIN", "Minutes", mobileField, pinReceipt},
	{4, "ELE", "Electricity", []field{{"meterNumber", "text", true}},
		[]string{"token", "units", "unitType", "meterNumber", "taxAmount", "tokens[0].token", "tokens[0].unit"}},
	{5, "ENT", "Entertainment", optionalCell, []string{"pin", "serialNumber", "expiryDate"}},
	{6, "GAM", "Gaming", optionalCell, []string{"details[0].tokens[0].token", "expiryDate"}},
	{7, "LIF", "Lifestyle", optionalCell, []string{"voucher.pin", "voucher.serialNumber"}},
	{8, "VCH", "Voucher", optionalCell, []string{"pin", "serialNumber", "expiryDate"}},
	{9, "WLT", "Wallet top-up", mobileField, []string{"walletReference", "balance"}},
	{10, "BIL", "Bill payment", []field{{"accountNumber", "text", true}},
		[]string{"accountHolder", "amountDue", "accountNumber", "vendorName"}},
	{11, "SMS", "SMS bundles", mobileField, pinReceipt},
	{12, "ATP", "Legacy", optionalCell, pinReceipt},
}

// categoryOf finds the category in a code CCC-BBB-NNN; what is not known counts
// as legacy, which requires nothing.
func categoryOf(code string) *category {
	prefix, _, _ := strings.Cut(code, "-")
	for _, c := range categories {
		if c.Code == prefix {
			return c
		}
	}
	return categories[len(categories)-1]
}

// DefaultProducts is a catalog with every category, fixed and open amounts, a
// legacy code and products that are refused.
func DefaultProducts() []Product {
	return []Product{
		{ID: 101, Name: "Vodacom Airtime", Code: "AIR-VOD-001", BrandID: 11, BrandName: "Vodacom", MinAmount: "2.0000", MaxAmount: "1000.0000", PinLess: true},
		{ID: 102, Name: "MTN Airtime", Code: "AIR-MTN-001", BrandID: 12, BrandName: "MTN", MinAmount: "2.0000", MaxAmount: "1000.0000"},
		{ID: 103, Name: "Cell C Airtime", Code: "AIR-CEL-001", BrandID: 13, BrandName: "Cell C", MinAmount: "5.0000", MaxAmount: "500.0000", PinLess: true},
		{ID: 104, Name: "Telkom Airtime", Code: "AIR-TEL-001", BrandID: 14, BrandName: "Telkom", MinAmount: "5.0000", MaxAmount: "500.0000", PinLess: true},
		{ID: 201, Name: "Vodacom 1GB", Code: "DAT-VOD-001", BrandID: 11, BrandName: "Vodacom", MinAmount: "85.0000", FixedAmount: true, PinLess: true},
		{ID: 202, Name: "MTN Data", Code: "DAT-MTN-001", BrandID: 12, BrandName: "MTN", MinAmount: "5.0000", MaxAmount: "999.0000", PinLess: true},
		{ID: 301, Name: "Vodacom Minutes", Code: "MIN-VOD-001", BrandID: 11, BrandName: "Vodacom", MinAmount: "10.0000", MaxAmount: "500.0000", PinLess: true},
		{ID: 401, Name: "Prepaid Electricity", Code: "ELE-FLS-001", BrandID: 41, BrandName: "Flash", MinAmount: "10.0000", MaxAmount: "5000.0000"},
		{ID: 402, Name: "City Power Electricity", Code: "ELE-CTP-001", BrandID: 42, BrandName: "City Power", MinAmount: "10.0000", MaxAmount: "5000.0000"},
		{ID: 501, Name: "Netflix Gift Card", Code: "ENT-NFX-001", BrandID: 51, BrandName: "Netflix", MinAmount: "99.0000", MaxAmount: "1000.0000"},
		{ID: 502, Name: "Showmax Mobile", Code: "ENT-SMX-001", BrandID: 52, BrandName: "Showmax", MinAmount: "45.0000", FixedAmount: true},
		{ID: 601, Name: "PlayStation Store", Code: "GAM-PSN-001", BrandID: 61, BrandName: "PlayStation", MinAmount: "50.0000", MaxAmount: "2000.0000"},
		{ID: 602, Name: "Retired Game Card", Code: "GAM-OLD-001", BrandID: 62, BrandName: "Old Games", MinAmount: "50.0000", MaxAmount: "100.0000", Inactive: true},
		{ID: 701, Name: "Uber Voucher", Code: "LIF-UBR-001", BrandID: 71, BrandName: "Uber", MinAmount: "25.0000", MaxAmount: "1000.0000"},
		{ID: 801, Name: "OTT Voucher", Code: "VCH-OTT-001", BrandID: 81, BrandName: "OTT", MinAmount: "10.0000", MaxAmount: "3000.0000"},
		{ID: 802, Name: "Unsupported Voucher", Code: "VCH-UNS-001", BrandID: 82, BrandName: "None", MinAmount: "10.0000", MaxAmount: "100.0000", Unsupported: true},
		{ID: 901, Name: "MoMo Wallet", Code: "WLT-MTN-001", BrandID: 12, BrandName: "MTN", MinAmount: "10.0000", MaxAmount: "5000.0000", PinLess: true},
		{ID: 1001, Name: "DStv", Code: "BIL-DST-001", BrandID: 101, BrandName: "DStv", MinAmount: "20.0000", MaxAmount: "10000.0000", PinLess: true},
		{ID: 1101, Name: "SMS Bundle", Code: "SMS-VOD-001", BrandID: 11, BrandName: "Vodacom", MinAmount: "1.0000", MaxAmount: "100.0000", PinLess: true},
		{ID: 1201, Name: "Legacy Airtime PIN", Code: "ATP-100", BrandID: 12, BrandName: "MTN", MinAmount: "5.0000", MaxAmount: "500.0000"},
	}
}
