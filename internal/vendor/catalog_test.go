package vendor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vendstream/vendstream/internal/simulator"
)

const (
	productsBody = `[{"id":101,"name":"Vodacom Airtime","code":"AIR-VOD-001","brandId":11,"brandName":"Vodacom",` +
		`"minAmount":2.0000,"maxAmount":1000.0000,"fixedAmount":false,"pinLess":true},` +
		`{"code":"DAT-VOD-001","minAmount":"85.00","maxAmount":null,"fixedAmount":true,"name":7,"brandName":{}}]`
	categoriesBody = `[{"id":1,"name":"Airtime","state":"ACTIVE","parentId":null,"meta":"{}"},{"id":"x/2","name":null}]`
	fieldsBody     = `{"fields":[{"name":"mobileNumber","type":"phone","required":true},{"name":"note","required":"yes"}],"receiptFields":["pin"]}`
)

// shop answers the catalog's calls, with a token for every login.
func shop(answer func(seen) (int, string, error)) func(seen) (int, string, error) {
	return func(s seen) (int, string, error) {
		if s.path == tokenPath || s.path == refreshPath {
			return 200, grantBody("a", "r"), nil
		}
		return answer(s)
	}
}

func TestProducts(t *testing.T) {
	want := []Product{
		{Code: "AIR-VOD-001", Name: "Vodacom Airtime", Brand: "Vodacom", Min: "2.0000", Max: "1000.0000", PinLess: true},
		{Code: "DAT-VOD-001", Name: "7", Min: "85.00", Fixed: true},
	}
	for userType, path := range map[string]string{
		"": "/merchants/m 7/products", UserTypeMerchant: "/merchants/m 7/products", UserTypeSubMerchant: "/sub-merchants/m 7/products",
	} {
		f := &fake{answer: shop(func(seen) (int, string, error) { return 200, productsBody, nil })}
		c := newClient(t, Config{BaseURL: "http://vendor.test", Transport: f, UserType: userType, MerchantID: "m 7"})
		got, err := c.Products(t.Context())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
		if last := f.last(); last.path != path || last.method != http.MethodGet || last.token != "a" || last.header.Get("Content-Type") != "" {
			t.Errorf("%+v", last)
		}
	}
	c, f := newFake(t, shop(func(seen) (int, string, error) { return 200, productsBody, nil }))
	if _, err := c.Products(t.Context()); !errors.Is(err, errNoMerchant) || len(f.calls) != 0 {
		t.Errorf("%v, %d calls", err, len(f.calls))
	}
}

func TestCategories(t *testing.T) {
	want := []Category{{"1", "Airtime"}, {"x/2", ""}}
	for status, methods := range map[int][]string{
		200: {"GET"},
		404: {"GET", "POST"},
		405: {"GET", "POST"},
	} {
		var asked []string
		c, _ := newFake(t, shop(func(s seen) (int, string, error) {
			asked = append(asked, s.method)
			if s.path != "/products/categories" {
				t.Errorf("%+v", s)
			}
			if s.method == "GET" && status != 200 {
				return status, `{}`, nil
			}
			return 200, categoriesBody, nil
		}))
		got, err := c.Categories(t.Context())
		if err != nil || !slices.Equal(got, want) || !slices.Equal(asked, methods) {
			t.Errorf("%d: %+v, %v after %v", status, got, err, asked)
		}
	}
	// Where POST is not there either, that is told; another status is not asked about again.
	for status, calls := range map[int]int{404: 2, 500: 1, 403: 1, 429: 1} {
		n := 0
		c, _ := newFake(t, shop(func(seen) (int, string, error) { n++; return status, ``, nil }))
		if got, err := c.Categories(t.Context()); err == nil || got != nil || n != calls || errors.Is(err, ErrAway) {
			t.Errorf("%d: %v, %v after %d calls", status, got, err, n)
		}
	}
}

func TestCategoryFields(t *testing.T) {
	c, f := newFake(t, shop(func(seen) (int, string, error) { return 200, fieldsBody, nil }))
	got, err := c.CategoryFields(t.Context(), "x/2")
	if err != nil || !slices.Equal(got, []Field{{"mobileNumber", "phone", true}, {"note", "", false}}) {
		t.Errorf("%+v, %v", got, err)
	}
	if last := f.last(); last.path != "/products/categories/x/2/fields" || last.escaped != "/products/categories/x%2F2/fields" || last.method != "GET" {
		t.Errorf("%+v", last)
	}
}

func TestCatalogErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		err    error
		away   bool
		want   string
	}{
		"no connection":   {0, "", errDial, true, "no connection"},
		"reset":           {0, "", syscall.ECONNRESET, true, "connection reset"},
		"end of file":     {0, "", io.EOF, true, "no whole answer"},
		"forbidden":       {403, `{}`, nil, false, "not this account's own"},
		"limited":         {429, ``, nil, false, "HTTP status 429"},
		"server error":    {502, `<html>`, nil, false, "HTTP status 502"},
		"redirect":        {302, productsBody, nil, false, "HTTP status 302"},
		"accepted":        {202, productsBody, nil, false, "HTTP status 202"},
		"bad request":     {400, productsBody, nil, false, "HTTP status 400"},
		"not JSON":        {200, `[`, nil, false, "not one JSON value"},
		"nothing":         {200, ``, nil, false, "empty"},
		"an object":       {200, `{"content":[]}`, nil, false, "not a list"},
		"null":            {200, `null`, nil, false, "not a list"},
		"no object in it": {200, `[7]`, nil, false, "another type"},
		"no code":         {200, `[{"code":"A"},{"name":"b"}]`, nil, false, "code is empty"},
		"null code":       {200, `[{"code":null}]`, nil, false, "code is empty"},
		"odd code":        {200, `[{"code":["A"]}]`, nil, false, "another type"},
		"code twice":      {200, `[{"code":"A","Code":"B"}]`, nil, false, "stands twice"},
		"too large":       {200, `[{"code":"` + strings.Repeat("A", maxProductsAnswer) + `"}]`, nil, false, "larger than allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{answer: shop(func(seen) (int, string, error) { return c.status, c.body, c.err })}
			client := newClient(t, Config{BaseURL: "http://vendor.test", Transport: f, MerchantID: "m"})
			got, err := client.Products(t.Context())
			if got != nil || err == nil || errors.Is(err, ErrAway) != c.away || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v", got, err)
			}
			if n := f.count("/merchants/m/products"); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	for name, body := range map[string]string{
		"no fields": `{}`, "null": `{"fields":null}`, "an array": `[]`, "no name": `{"fields":[{"type":"t"}]}`,
		"odd name": `{"fields":[{"name":{}}]}`, "not JSON": `{`,
	} {
		c, _ := newFake(t, shop(func(seen) (int, string, error) { return 200, body, nil }))
		if got, err := c.CategoryFields(t.Context(), "1"); err == nil || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// The catalog's calls keep the rule for 401, and no token is no answer.
func TestCatalogTokens(t *testing.T) {
	v := &issuer{revoked: 2, purchase: func(seen) (int, string, error) { return 200, productsBody, nil }}
	f := &fake{answer: v.answer}
	c := newClient(t, Config{BaseURL: "http://vendor.test", Transport: f, MerchantID: "m"})
	if got, err := c.Products(t.Context()); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	v.expect(t, 2, 1)

	c, _ = newFake(t, func(seen) (int, string, error) { return 401, `{}`, nil })
	c.merchantID = "m"
	if _, err := c.Products(t.Context()); err == nil || errors.Is(err, ErrAway) {
		t.Errorf("wrong credentials: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, _ = newFake(t, shop(func(seen) (int, string, error) { return 200, productsBody, nil }))
	c.merchantID = "m"
	if _, err := c.Products(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// TestCatalogOverSockets reads the simulated vendor's catalog, for both kinds of user.
func TestCatalogOverSockets(t *testing.T) {
	sim, err := simulator.New(simulator.Config{Accounts: []simulator.Account{
		{Username: "one", Password: "p", MerchantID: "m-1"},
		{Username: "sub", Password: "p", MerchantID: "m-2", UserType: UserTypeSubMerchant},
	}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(sim)
	defer sim.Close()
	defer web.Close()
	for _, c := range []struct{ user, userType, merchant string }{{"one", UserTypeMerchant, "m-1"}, {"sub", UserTypeSubMerchant, "m-2"}} {
		client := newClient(t, Config{
			BaseURL: web.URL + "/api/v1", Username: c.user, Password: "p", UserType: c.userType, MerchantID: c.merchant,
		})
		products, err := client.Products(t.Context())
		if err != nil || len(products) != len(simulator.DefaultProducts()) {
			t.Fatalf("%d products, %v", len(products), err)
		}
		at := slices.IndexFunc(products, func(p Product) bool { return p.Code == "DAT-VOD-001" })
		if want := (Product{"DAT-VOD-001", "Vodacom 1GB", "Vodacom", "85.0000", "85.0000", true, true}); products[at] != want {
			t.Errorf("%+v", products[at])
		}
		categories, err := client.Categories(t.Context())
		if err != nil || len(categories) == 0 || categories[3] != (Category{"4", "Electricity"}) {
			t.Fatalf("%+v, %v", categories, err)
		}
		fields, err := client.CategoryFields(t.Context(), "4")
		if err != nil || !slices.Equal(fields, []Field{{"meterNumber", "text", true}}) {
			t.Errorf("%+v, %v", fields, err)
		}
		if _, err := client.CategoryFields(t.Context(), "99"); err == nil || errors.Is(err, ErrAway) {
			t.Errorf("an unknown category: %v", err)
		}
		client.merchantID = "m-3"
		if _, err := client.Products(t.Context()); !errors.Is(err, errNotOwn) {
			t.Errorf("another's products: %v", err)
		}
	}
	gone := newClient(t, Config{BaseURL: "http://127.0.0.1:1", MerchantID: "m"})
	if _, err := gone.Products(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("nobody there: %v", err)
	}
}

func FuzzCatalogAnswers(f *testing.F) {
	for _, body := range []string{
		productsBody, categoriesBody, fieldsBody, `[]`, `{"fields":[]}`, `null`, ``, `[{"code":"A","minAmount":1e400}]`,
		`[{"code":"A","minAmount":"0x1"},{"code":"A"}]`, `[{"id":0,"name":"n"}]`, `[{"code":"A","code":"B"}]`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		products, err := readProducts(body)
		if err != nil && products != nil {
			t.Fatal("products beside an error")
		}
		for _, p := range products {
			if p.Code == "" {
				t.Fatal("a product without a code")
			}
			for _, amount := range []string{p.Min, p.Max} {
				if amount != "" && !strings.ContainsAny(amount[:1], "-0123456789") {
					t.Fatalf("the amount %q", amount)
				}
			}
		}
		categories, err := readCategories(body)
		if err != nil && categories != nil || slices.ContainsFunc(categories, func(c Category) bool { return c.ID == "" }) {
			t.Fatalf("%+v, %v", categories, err)
		}
		fields, err := readFields(body)
		if err != nil && fields != nil || slices.ContainsFunc(fields, func(f Field) bool { return f.Name == "" }) {
			t.Fatalf("%+v, %v", fields, err)
		}
	})
}
