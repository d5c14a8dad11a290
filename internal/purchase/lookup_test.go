package purchase_test

import (
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestLookup(t *testing.T) {
	for product, want := range map[string]purchase.LookupKind{
		"ELE-FLS-001": purchase.LookupElectricity, "BIL-DST-001": purchase.LookupBillPayment,
		"AIR-VOD-001": "", "ATP-100": "", "ELE": purchase.LookupElectricity, "": "",
	} {
		r, err := purchase.Parse([]byte(`{"merchantReference":"r","productCode":"`+product+`"}`), purchase.Account{Name: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Lookup(); got != want {
			t.Errorf("%s: %q, want %q", product, got, want)
		}
	}
	refusal := purchase.RefusedByLookup(purchase.Outcome{Code: "1104", Message: "m"})
	if *refusal != (purchase.Refusal{Code: "1104", Message: "m", Class: purchase.ClassLookup, Source: purchase.SourceLookup}) {
		t.Errorf("%+v", refusal)
	}
}
