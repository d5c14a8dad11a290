package simulator

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// catalog is what is for sale. It does not change after it was made.
type catalog struct {
	products []*Product
	byCode   map[string]*Product
}

// newCatalog takes products that were checked.
func newCatalog(products []Product) *catalog {
	c := &catalog{byCode: make(map[string]*Product, len(products))}
	for i := range products {
		p := products[i]
		p.min, _ = parseAmount(p.MinAmount)
		p.max = p.min
		if !p.FixedAmount {
			p.max, _ = parseAmount(p.MaxAmount)
		}
		p.of = categoryOf(p.Code)
		c.products = append(c.products, &p)
		c.byCode[p.Code] = &p
	}
	return c
}

func (c *catalog) product(code string) *Product { return c.byCode[code] }

// products is GET /merchants/{merchantId}/products and the same for sub-merchants
// (pagamio-api.md, "Catalog": one's own account only, else 403).
func (s *Simulator) products(c *call) reply {
	return s.authenticated(c, target{}, func(c *call) reply {
		parts := strings.Split(c.path, "/") // "", merchants, id, products
		a := c.session.account
		own := "merchants"
		if a.cfg.UserType == userTypeSubMerchant {
			own = "sub-merchants"
		}
		if len(parts) != 4 || parts[1] != own || parts[2] != a.cfg.MerchantID {
			return statusReply(http.StatusForbidden, c.path)
		}
		b := []byte{'['}
		for _, p := range s.catalog.products {
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = p.append(b)
		}
		return jsonReply(http.StatusOK, append(b, ']'))
	})
}

func (p *Product) append(b []byte) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendInt(b, int64(p.ID), 10)
	b = append(b, `,"name":`...)
	b = appendText(b, p.Name)
	b = append(b, `,"code":`...)
	b = appendText(b, p.Code)
	b = append(b, `,"brandId":`...)
	b = strconv.AppendInt(b, int64(p.BrandID), 10)
	b = append(b, `,"brandName":`...)
	b = appendText(b, p.BrandName)
	b = append(b, `,"minAmount":`...)
	b = append(b, p.MinAmount...)
	b = append(b, `,"maxAmount":`...)
	if p.FixedAmount {
		b = append(b, p.MinAmount...)
	} else {
		b = append(b, p.MaxAmount...)
	}
	b = append(b, `,"fixedAmount":`...)
	b = strconv.AppendBool(b, p.FixedAmount)
	b = append(b, `,"pinLess":`...)
	b = strconv.AppendBool(b, p.PinLess)
	return append(b, '}')
}

// categoryFieldsBody is the answer of …/fields, and the meta of a category.
type categoryFieldsBody struct {
	Fields        []field  `json:"fields"`
	ReceiptFields []string `json:"receiptFields"`
}

// categories is GET /products/categories (pagamio-api.md, "Catalog"): meta is
// JSON inside a string.
func (s *Simulator) categories(c *call) reply {
	type item struct {
		ID       int    `json:"id"`
		Name     string `json:"name"`
		State    string `json:"state"`
		ParentID *int   `json:"parentId"`
		Meta     string `json:"meta"`
	}
	return s.authenticated(c, target{}, func(*call) reply {
		items := make([]item, 0, len(categories))
		for _, of := range categories {
			meta := marshal(categoryFieldsBody{of.Fields, of.ReceiptFields})
			items = append(items, item{ID: of.ID, Name: of.Name, State: "ACTIVE", Meta: string(meta)})
		}
		return jsonReply(http.StatusOK, marshal(items))
	})
}

// categoryFields is GET /products/categories/{id}/fields (pagamio-api.md, "Catalog").
func (s *Simulator) categoryFields(c *call) reply {
	return s.authenticated(c, target{}, func(c *call) reply {
		id := strings.TrimSuffix(strings.TrimPrefix(c.path, "/products/categories/"), "/fields")
		for _, of := range categories {
			if strconv.Itoa(of.ID) == id {
				return jsonReply(http.StatusOK, marshal(categoryFieldsBody{of.Fields, of.ReceiptFields}))
			}
		}
		return plainError(http.StatusNotFound, "Not Found", "No such category")
	})
}

// marshal writes values of this package's own types, which always have a JSON form.
func marshal(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}
