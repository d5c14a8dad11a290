package catalog

import (
	"strings"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/vendor"
)

// judge returns the refusal that the vendor would give by this catalog, nil where
// it would give none or where that is not known. The product comes first, then
// its fields, then its amount.
func (s *snapshot) judge(r *purchase.Request) *purchase.Refusal {
	code := r.ProductCode()
	if code == "" {
		return nil // Validate's
	}
	product, listed := s.products[code]
	if !listed {
		return refuse(purchase.CodeNotAvailable, purchase.ClassAccount,
			"Product not available for this account: productCode is not in its catalog.")
	}
	var missing []string
	for _, name := range s.required[CategoryCode(code)] {
		if !r.Has(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return refuse(purchase.CodeFieldsMissing, purchase.ClassValidation,
			"Required fields missing: "+strings.Join(missing, ", ")+".")
	}
	amount, there := r.Amount()
	if !there {
		return nil // Validate's
	}
	if wrong := limitsOf(product).fault(amount); wrong != "" {
		return refuse(purchase.CodeInvalidAmount, purchase.ClassValidation, "Invalid amount: it must be "+wrong+" for this product.")
	}
	return nil
}

func refuse(code string, class purchase.Class, message string) *purchase.Refusal {
	return &purchase.Refusal{Code: code, Message: message, Class: class, Source: purchase.SourceValidation}
}

// limit is a bound on an amount; spelled "" is none.
type limit struct {
	value   purchase.Decimal
	spelled string
}

// limitOf reads a bound. Zero and less is what systems put where there is none.
func limitOf(spelled string) limit {
	value, ok := purchase.ParseDecimal(spelled)
	if !ok || value.Sign() <= 0 {
		return limit{}
	}
	return limit{value, spelled}
}

// limits are the bounds on a product's amount.
type limits struct{ least, most limit }

// limitsOf reads the bounds of a product. Those of a fixed amount are one value,
// of which one may be left out; where they differ, which of them it is, is not
// known, and they are taken for bounds. Bounds that no amount obeys are none.
func limitsOf(p vendor.Product) limits {
	l := limits{limitOf(p.Min), limitOf(p.Max)}
	if p.Fixed && l.least.spelled == "" {
		l.least = l.most
	}
	if p.Fixed && l.most.spelled == "" {
		l.most = l.least
	}
	if l.least.spelled != "" && l.most.spelled != "" && l.least.value.Compare(l.most.value) > 0 {
		return limits{}
	}
	return l
}

// fault says what the amount must be, or "" where it is.
func (l limits) fault(amount purchase.Decimal) string {
	under := l.least.spelled != "" && amount.Compare(l.least.value) < 0
	over := l.most.spelled != "" && amount.Compare(l.most.value) > 0
	switch {
	case !under && !over:
		return ""
	case l.most.spelled == "":
		return "at least " + l.least.spelled
	case l.least.spelled == "":
		return "at most " + l.most.spelled
	case l.least.value.Compare(l.most.value) == 0:
		return l.least.spelled
	default:
		return "from " + l.least.spelled + " to " + l.most.spelled
	}
}
