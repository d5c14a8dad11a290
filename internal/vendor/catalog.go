package vendor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/vendstream/vendstream/internal/purchase"
)

// ErrAway is wrapped by the errors of Products, Categories and CategoryFields
// where the vendor could not be reached or gave no whole answer.
var ErrAway = errors.New("the vendor could not be reached")

var (
	errNoMerchant = errors.New("vendor: products: the account has no merchant id")
	errNotOwn     = errors.New("the merchant id is not this account's own, or its role may not read the catalog")
)

// Products lists what is for sale to the account (pagamio-api.md, "Catalog"). It
// fails as a whole: an item without a code could be any product, and a list
// without it would say that the product is not there.
func (c *Client) Products(ctx context.Context) ([]Product, error) {
	if c.merchantID == "" {
		return nil, errNoMerchant
	}
	kind := "merchants"
	if c.userType == UserTypeSubMerchant {
		kind = "sub-merchants"
	}
	return get(ctx, c, call{
		endpoint: "products",
		method:   http.MethodGet,
		path:     "/" + kind + "/" + url.PathEscape(c.merchantID) + "/products",
		limit:    maxProductsAnswer,
	}, readProducts)
}

// Categories lists the categories of products. An older page of the
// documentation says POST, which is tried where GET is not there.
func (c *Client) Categories(ctx context.Context) ([]Category, error) {
	list := call{
		endpoint: "categories",
		method:   http.MethodGet,
		path:     "/products/categories",
		limit:    maxCategoriesAnswer,
	}
	categories, err := get(ctx, c, list, readCategories)
	var status statusError
	if errors.As(err, &status) && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
		list.method = http.MethodPost
		return get(ctx, c, list, readCategories)
	}
	return categories, err
}

// CategoryFields lists the fields of a purchase in the category with that id.
func (c *Client) CategoryFields(ctx context.Context, id string) ([]Field, error) {
	return get(ctx, c, call{
		endpoint: "category_fields",
		method:   http.MethodGet,
		path:     "/products/categories/" + url.PathEscape(id) + "/fields",
		limit:    maxCategoriesAnswer,
	}, readFields)
}

// get makes a call of the catalog, with the account's token and its rule for
// 401, and reads the answer.
func get[T any](ctx context.Context, c *Client, call call, read func([]byte) (T, error)) (T, error) {
	var got T
	outcome := c.authorized(ctx, call, func(status int, body []byte) purchase.Outcome {
		rule := statusRuleOf(status)
		switch {
		case rule.kind == purchase.Forbidden:
			return purchase.Outcome{Kind: purchase.Forbidden, Cause: fmt.Errorf("%w: %w", statusError(status), errNotOwn)}
		case rule.kind == purchase.Unauthorized, rule.kind == purchase.Limited:
			return purchase.Outcome{Kind: rule.kind, Cause: statusError(status)}
		case rule.ruling != byBody:
			return unknown(statusError(status))
		}
		value, err := read(body)
		if err != nil {
			return unknown(err)
		}
		got = value
		return purchase.Outcome{Kind: purchase.Completed}
	})
	switch {
	case outcome.Kind == purchase.Completed:
		return got, nil
	case outcome.Kind == purchase.Unreachable, errors.Is(outcome.Cause, errNoAnswer):
		return got, fmt.Errorf("%w: %w", ErrAway, outcome.Cause)
	default:
		return got, outcome.Cause
	}
}
