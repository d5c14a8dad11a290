package catalog

import (
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/vendor"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	s, err := fetch(t.Context(), newShop())
	if err != nil {
		t.Fatal(err)
	}
	const meter = `,"meterNumber":"000001020001"`
	for name, c := range map[string]struct {
		request *purchase.Request
		code    string
		holds   string // part of the message
	}{
		"fine":                    {good(t), "", ""},
		"unknown product":         {doomed(t), "1009", "productCode"},
		"another case":            {request(t, "air-vod-001", "20", phone), "1009", ""},
		"no product code":         {request(t, "", "20", phone), "", ""},
		"least":                   {request(t, "AIR-VOD-001", "2", phone), "", ""},
		"least, more zeros":       {request(t, "AIR-VOD-001", "2.000000", phone), "", ""},
		"least, as a text":        {request(t, "AIR-VOD-001", `"2.00"`, phone), "", ""},
		"below it":                {request(t, "AIR-VOD-001", "1.999999999999999999", phone), "1004", "from 2.0000 to 1000.0000"},
		"most":                    {request(t, "AIR-VOD-001", "1e3", phone), "", ""},
		"above it":                {request(t, "AIR-VOD-001", "1000.000000000000001", phone), "1004", "from 2.0000 to 1000.0000"},
		"most with an exponent":   {request(t, "ELE-FLS-001", "5000.00", meter+`,"municipality":"x"`), "", ""},
		"fixed":                   {request(t, "DAT-VOD-001", "85", ""), "", ""},
		"unlike the fixed amount": {request(t, "DAT-VOD-001", "85.01", ""), "1004", "must be 85.0000 for"},
		"no amount":               {request(t, "DAT-VOD-001", "null", ""), "", ""},
		"field missing":           {request(t, "AIR-VOD-001", "20", ""), "1001", "missing: mobileNumber."},
		"field empty":             {request(t, "AIR-VOD-001", "20", `,"mobileNumber":""`), "1001", ""},
		"before the amount":       {request(t, "AIR-VOD-001", "1", ""), "1001", ""},
		"two missing":             {request(t, "ELE-FLS-001", "20", ""), "1001", "missing: meterNumber, municipality."},
		"one of two":              {request(t, "ELE-FLS-001", "20", meter), "1001", "missing: municipality."},
		"in additionalInfo":       {request(t, "ELE-FLS-001", "20", meter+`,"additionalInfo":{"municipality":"x"}`), "", ""},
		"category without fields": {request(t, "DAT-VOD-001", "85", ""), "", ""},
		"legacy code":             {request(t, "ATP-100", "5", ""), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.judge(c.request)
			expectCode(t, got, c.code)
			if got == nil {
				return
			}
			class := purchase.ClassValidation
			if c.code == "1009" {
				class = purchase.ClassAccount
			}
			if got.Class != class || got.Source != purchase.SourceValidation || !strings.Contains(got.Message, c.holds) {
				t.Errorf("%+v", got)
			}
			if strings.Contains(got.Message, "+27") || strings.Contains(got.Message, "AIR-NEW") {
				t.Errorf("the message holds a value: %s", got.Message)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		min, max string
		fixed    bool
		amount   string
		want     string
	}{
		{"", "", false, "1e15", ""},
		{"", "", true, "1", ""},
		{"20", "", false, "19.99", "at least 20"},
		{"20", "", false, "1e9", ""},
		{"20", "0", false, "1e9", ""},
		{"0", "20", false, "0.01", ""},
		{"0.0000", "20", false, "20.01", "at most 20"},
		{"-5", "20", false, "1", ""},
		{"20", "20.0000", false, "2e1", ""},
		{"20", "20.0000", false, "21", "20"},
		{"20.0000", "", true, "20", ""},
		{"20.0000", "", true, "21", "20.0000"},
		{"", "20", true, "19", "20"},
		{"0", "20", true, "19", "20"},
		{"20", "0.00", true, "19", "20"},
		{"20", "30", true, "25", ""}, // which of them is the amount is not known
		{"20", "30", true, "31", "from 20 to 30"},
		{"30", "20", false, "1", ""}, // nothing could obey
		{"x", "20", false, "21", "at most 20"},
	} {
		amount, ok := purchase.ParseDecimal(c.amount)
		if !ok {
			t.Fatal(c.amount)
		}
		if got := limitsOf(vendor.Product{Min: c.min, Max: c.max, Fixed: c.fixed}).fault(amount); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestProductTwice(t *testing.T) {
	t.Parallel()
	dearer := airtime
	dearer.Min = "50"
	s := newSnapshot("s", []vendor.Product{airtime, dearer})
	expectCode(t, s.judge(request(t, "AIR-VOD-001", "1", phone)), "")
	expectCode(t, s.judge(doomed(t)), "1009")
}

func TestCategoryID(t *testing.T) {
	t.Parallel()
	list := []vendor.Category{
		{ID: "1", Name: " airtime "}, {ID: "2", Name: "Data"}, {ID: "3", Name: "Data bundles"}, {ID: "4", Name: "Bill payment"},
		{ID: "5", Name: "Prepaid electricity"}, {ID: "6"}, {ID: "7", Name: "Vouchers"}, {ID: "8", Name: "Wallet top-up"}, {ID: "9", Name: "SMS"},
	}
	for code, want := range map[string]string{
		"AIR": "1", "DAT": "", "BIL": "4", "ELE": "", "VCH": "7", "WLT": "8", "SMS": "9", "ATP": "", "": "", "air": "",
	} {
		if got := CategoryID(code, list); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
	for code, want := range map[string]string{"AIR-VOD-001": "AIR", "ATP-100": "ATP", "X": "X", "": ""} {
		if got := CategoryCode(code); got != want {
			t.Errorf("%s: %q", code, got)
		}
	}
}

func TestFetchInPart(t *testing.T) {
	t.Parallel()
	v := newShop()
	v.errs["1"] = errVendor
	s, err := fetch(t.Context(), v)
	if err == nil || s == nil || !strings.Contains(err.Error(), "category AIR") {
		t.Fatalf("%v, %v", s, err)
	}
	expectCode(t, s.judge(request(t, "AIR-VOD-001", "20", "")), "") // not known
	expectCode(t, s.judge(request(t, "ELE-FLS-001", "20", "")), "1001")
	expectCode(t, s.judge(doomed(t)), "1009")
	v.errs["categories"] = errVendor
	if s, err = fetch(t.Context(), v); err == nil || s == nil || len(s.required) != 0 {
		t.Errorf("%v, %v", s, err)
	}
	v.products = nil
	if s, err = fetch(t.Context(), v); err == nil || s != nil {
		t.Errorf("an empty list is believed: %v, %v", s, err)
	}
}

func FuzzDecode(f *testing.F) {
	s, err := fetch(f.Context(), newShop())
	if err != nil {
		f.Fatal(err)
	}
	body, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	for _, seed := range []string{
		`{"products":[{"code":"AIR-VOD-001","min":"x","max":"1e9999999999"}],"required":{"AIR":["",null]}}`,
		`{"products":[{"code":""}]}`, `{"products":[]}`, `null`, ``, `[]`, `{"products":[{"code":"A"},{"code":"A"}],"required":null}`,
	} {
		f.Add([]byte(seed))
	}
	r := good(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := decode("id", body)
		if err != nil {
			if s != nil {
				t.Fatal("a catalog beside an error")
			}
			return
		}
		before := s.judge(r)
		again, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode("id", again)
		if err != nil {
			t.Fatalf("what it writes it cannot read: %v", err)
		}
		if after := back.judge(r); (before == nil) != (after == nil) || before != nil && *before != *after {
			t.Fatalf("%+v, then %+v", before, after)
		}
	})
}
