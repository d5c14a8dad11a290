package vendor

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Product is an item of the catalog, as far as it is read (pagamio-api.md, "Catalog").
type Product struct {
	Code  string `json:"code"` // never empty
	Name  string `json:"name"`
	Brand string `json:"brand"`
	// Min and Max are JSON numbers as the vendor spells them; "" where it gives
	// none that can be read.
	Min string `json:"min"`
	Max string `json:"max"`
	// Fixed: only one amount is taken. Which, the documentation does not name; it
	// stands in Min, and in Max too.
	Fixed   bool `json:"fixed"`
	PinLess bool `json:"pinless"`
}

// Category is one of the categories that products are in.
type Category struct {
	ID   string // never empty
	Name string
}

// Field is a field of a purchase in a category.
type Field struct {
	Name     string `json:"name"` // never empty
	Type     string `json:"type"`
	Required bool   `json:"required"`
}

var errNotArray = errors.New("the answer is not a list")

// Fields of the catalog's answers that are read.
var (
	productFields  = []string{"name", "code", "brandName", "minAmount", "maxAmount", "fixedAmount", "pinLess"}
	categoryFields = []string{"id", "name"}
	fieldsFields   = []string{"fields"}
	fieldFields    = []string{"name", "type", "required"}
)

// readProducts reads the answer of …/products. What decides nothing may be of
// any type, and an oddity in it is as good as nothing there; a product whose code
// cannot be read makes the list unreadable.
func readProducts(body []byte) ([]Product, error) {
	return readList(body, productFields, func(o object) (Product, error) {
		code, err := required(o, "code")
		if err != nil {
			return Product{}, err
		}
		return Product{
			Code: code, Name: o.message("name"), Brand: o.message("brandName"),
			Min: o.number("minAmount"), Max: o.number("maxAmount"),
			Fixed: o.isTrue("fixedAmount"), PinLess: o.isTrue("pinLess"),
		}, nil
	})
}

// readCategories reads the answer of /products/categories.
func readCategories(body []byte) ([]Category, error) {
	return readList(body, categoryFields, func(o object) (Category, error) {
		id, err := required(o, "id")
		return Category{ID: id, Name: o.message("name")}, err
	})
}

// readFields reads the answer of …/fields, which is an object.
func readFields(body []byte) ([]Field, error) {
	if err := wholeJSON(body); err != nil {
		return nil, err
	}
	whole, err := readObject(body, fieldsFields)
	if err != nil {
		return nil, err
	}
	return readList(whole.get("fields"), fieldFields, func(o object) (Field, error) {
		name, err := required(o, "name")
		return Field{Name: name, Type: o.message("type"), Required: o.isTrue("required")}, err
	})
}

// readList reads an array of objects, all or nothing.
func readList[T any](body []byte, names []string, read func(object) (T, error)) ([]T, error) {
	if err := wholeJSON(body); err != nil {
		return nil, err
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil || items == nil {
		return nil, errNotArray
	}
	list := make([]T, 0, len(items))
	for _, raw := range items {
		o, err := readObject(raw, names)
		if err != nil {
			return nil, err
		}
		item, err := read(o)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

// required is a text that must be there.
func required(o object, name string) (string, error) {
	text, err := o.text(name)
	if err == nil && text == "" {
		err = fmt.Errorf("%w: %s is empty", errWrongType, name)
	}
	return text, err
}

// number is a number, or a string that holds one, as it is spelled; "" for
// anything else.
func (o object) number(name string) string {
	text := o.message(name)
	if _, ok := purchase.ParseDecimal(text); !ok {
		return ""
	}
	return text
}

// isTrue is a flag that is there, is a flag, and is set.
func (o object) isTrue(name string) bool {
	value, there, err := o.flag(name)
	return err == nil && there && value
}
