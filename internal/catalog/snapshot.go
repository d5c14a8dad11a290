package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/vendstream/vendstream/internal/vendor"
)

// snapshot is a catalog as it was at one time. It does not change once it is held.
type snapshot struct {
	id       string
	products map[string]vendor.Product
	// required are the names of required fields by the code of the category. Of one
	// that is not here nothing is known.
	required map[string][]string
}

func newSnapshot(id string, products []vendor.Product) *snapshot {
	s := &snapshot{id: id, products: make(map[string]vendor.Product, len(products)), required: map[string][]string{}}
	for _, p := range products {
		if _, twice := s.products[p.Code]; twice {
			p.Min, p.Max = "", "" // which limits hold is not known
		}
		s.products[p.Code] = p
	}
	return s
}

// categories are the codes of the categories that have products, sorted.
func (s *snapshot) categories() []string {
	var codes []string
	for product := range s.products {
		codes = append(codes, CategoryCode(product))
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func (s *snapshot) require(category string, fields []vendor.Field) {
	for _, f := range fields {
		if f.Required {
			s.required[category] = append(s.required[category], f.Name)
		}
	}
}

// stored is a snapshot in Redis, without its id.
type stored struct {
	Products []vendor.Product    `json:"products"`
	Required map[string][]string `json:"required"`
}

var errNoSnapshot = errors.New("holds no products, or one without a code")

func (s *snapshot) encode() ([]byte, error) {
	out := stored{Products: make([]vendor.Product, 0, len(s.products)), Required: s.required}
	for _, p := range s.products {
		out.Products = append(out.Products, p)
	}
	return json.Marshal(out)
}

// decode reads what encode wrote, perhaps in another version of this program.
func decode(id string, body []byte) (*snapshot, error) {
	var in stored
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("read a catalog: %w", err)
	}
	if len(in.Products) == 0 || slices.ContainsFunc(in.Products, func(p vendor.Product) bool { return p.Code == "" }) {
		return nil, fmt.Errorf("read a catalog: %w", errNoSnapshot)
	}
	s := newSnapshot(id, in.Products)
	if in.Required != nil {
		s.required = in.Required
	}
	return s, nil
}
