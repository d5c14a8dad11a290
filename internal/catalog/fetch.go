package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/vendstream/vendstream/internal/vendor"
)

// Vendor is the part of the vendor's API that a catalog is fetched by;
// *vendor.Client has it.
type Vendor interface {
	Products(ctx context.Context) ([]vendor.Product, error)
	Categories(ctx context.Context) ([]vendor.Category, error)
	CategoryFields(ctx context.Context, id string) ([]vendor.Field, error)
}

// atOnce is how many categories' fields are fetched side by side.
const atOnce = 4

// errNothing: an account that may buy nothing does not send purchases, so an
// empty list is taken for a fault of the vendor's.
var errNothing = errors.New("the vendor lists no products: not believed")

// fetch asks the vendor for everything. The snapshot is nil where the products
// could not be had. Where only a category's fields could not, it is there beside
// the error, and nothing is known to be required in that category.
func fetch(ctx context.Context, v Vendor) (*snapshot, error) {
	products, err := v.Products(ctx)
	if err == nil && len(products) == 0 {
		err = errNothing
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the products: %w", err)
	}
	s := newSnapshot(rand.Text(), products)
	categories, err := v.Categories(ctx)
	if err != nil {
		return s, fmt.Errorf("fetch the categories: %w", err)
	}
	codes := s.categories()
	fields := make([][]vendor.Field, len(codes))
	errs := make([]error, len(codes))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, code := range codes {
		id := CategoryID(code, categories)
		if id == "" {
			continue
		}
		group.Go(func() error {
			if fields[i], errs[i] = v.CategoryFields(ctx, id); errs[i] != nil {
				errs[i] = fmt.Errorf("fetch the fields of category %s: %w", code, errs[i])
			}
			return nil // the others go on
		})
	}
	_ = group.Wait() // always nil
	for i, code := range codes {
		if errs[i] == nil {
			s.require(code, fields[i])
		}
	}
	return s, errors.Join(errs...)
}
