package catalog

import (
	"strings"

	"github.com/vendstream/vendstream/internal/vendor"
)

// CategoryCode is the part of a product code CCC-BBB-NNN that names its category.
func CategoryCode(product string) string {
	code, _, _ := strings.Cut(product, "-")
	return code
}

// categoryNames are the documented categories by their code (pagamio-api.md,
// "Catalog"), as the names in the vendor's list begin. The documentation gives no
// other link between the two. Legacy codes have none.
var categoryNames = map[string]string{
	"AIR": "airtime",
	"DAT": "data",
	"MIN": "minute",
	"ELE": "electricity",
	"ENT": "entertainment",
	"GAM": "gaming",
	"LIF": "lifestyle",
	"VCH": "voucher",
	"WLT": "wallet",
	"BIL": "bill",
	"SMS": "sms",
}

// CategoryID is the id of the category with that code, or "" where none or more
// than one of the list could be it.
func CategoryID(code string, list []vendor.Category) string {
	name, known := categoryNames[code]
	if !known {
		return ""
	}
	id := ""
	for _, category := range list {
		if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(category.Name)), name) {
			continue
		}
		if id != "" {
			return ""
		}
		id = category.ID
	}
	return id
}
