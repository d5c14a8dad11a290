package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/catalog"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/vendor"
)

func (p *program) products() *cobra.Command {
	return group("products", "The catalog: what is for sale to an account", p.productsList(), p.productsShow())
}

var productColumns = []string{"code", "name", "category", "brand", "min", "max", "fixed", "pinless"}

// productRow is one product of a list. Min and Max are numbers as the vendor
// spells them, null where it gives none.
type productRow struct {
	Code     string          `json:"code"`
	Name     string          `json:"name"`
	Category string          `json:"category"`
	Brand    string          `json:"brand"`
	Min      json.RawMessage `json:"min"`
	Max      json.RawMessage `json:"max"`
	Fixed    bool            `json:"fixed"`
	PinLess  bool            `json:"pinless"`
}

func rowOf(p vendor.Product) productRow {
	row := productRow{
		Code: p.Code, Name: p.Name, Category: catalog.CategoryCode(p.Code), Brand: p.Brand,
		Fixed: p.Fixed, PinLess: p.PinLess,
	}
	if p.Min != "" {
		row.Min = json.RawMessage(p.Min)
	}
	if p.Max != "" {
		row.Max = json.RawMessage(p.Max)
	}
	return row
}

func (r productRow) cells() []string {
	return []string{
		r.Code, r.Name, r.Category, r.Brand, string(r.Min), string(r.Max),
		strconv.FormatBool(r.Fixed), strconv.FormatBool(r.PinLess),
	}
}

const productsHelp = `Asks the vendor, with the account's credentials and its merchant_id; needs neither
NATS nor Redis. Exit 5 if the vendor cannot be reached.`

func (p *program) productsList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the products of an account",
		Long: `List the products that the vendor sells to an account, by code: columns code, name,
category (the first part of the code), brand, min, max, fixed (one amount only),
pinless.

` + productsHelp,
		Args: cobra.NoArgs,
	}
	name := cmd.Flags().String("account", "", "account (default: the only configured one)")
	category := cmd.Flags().String("category", "", "only this category, such as AIR")
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(cmd *cobra.Command, _ []string) error {
		client, err := p.shop(*name)
		if err != nil {
			return err
		}
		defer client.Close()
		products, err := productsOf(cmd.Context(), client)
		if err != nil {
			return err
		}
		out := output.NewWriter(p.Stdout, format.Format, productColumns...)
		for _, product := range products {
			row := rowOf(product)
			if *category != "" && !strings.EqualFold(row.Category, *category) {
				continue
			}
			if err := out.Record(row, row.cells()); err != nil {
				return err
			}
		}
		return out.Close()
	})
	return cmd
}

func (p *program) productsShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show CODE",
		Short: "Print a product with the fields of its category",
		Long: `Print a product: the columns of list, and fields, which a purchase in its category
has. They are null where the vendor's list of categories does not tell which is
the product's.

` + productsHelp,
		Args: exactly("CODE"),
	}
	name := cmd.Flags().String("account", "", "account (default: the only configured one)")
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(cmd *cobra.Command, args []string) error {
		client, err := p.shop(*name)
		if err != nil {
			return err
		}
		defer client.Close()
		products, err := productsOf(cmd.Context(), client)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(products, func(p vendor.Product) bool { return p.Code == args[0] })
		if at < 0 {
			return fmt.Errorf("product %q is not in the account's catalog; `vendstream products list` shows those there are", args[0])
		}
		shown := productShown{productRow: rowOf(products[at])}
		if shown.Fields, err = fieldsOf(cmd.Context(), client, shown.Category); err != nil {
			return err
		}
		return output.One(p.Stdout, format.Format, append(slices.Clone(productColumns), "fields"), shown, append(shown.cells(), shown.fields()))
	})
	return cmd
}

// productShown is one product in full.
type productShown struct {
	productRow
	Fields []vendor.Field `json:"fields"` // null where they are not known
}

// fields is a cell such as "meterNumber (text, required)".
func (s productShown) fields() string {
	texts := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		need := "optional"
		if f.Required {
			need = "required"
		}
		if f.Type != "" {
			need = f.Type + ", " + need
		}
		texts[i] = f.Name + " (" + need + ")"
	}
	return strings.Join(texts, "; ")
}

// shop is a client of the vendor for an account that has a catalog. The caller
// closes it.
func (p *program) shop(name string) (*vendor.Client, error) {
	client, _, err := p.vendor(name, func(a config.Account) error {
		if a.MerchantID == "" {
			return usage("account %s has no merchant_id: set it to its id in the vendor's catalog", a.Name)
		}
		return nil
	})
	return client, err
}

// productsOf are the products by their codes.
func productsOf(ctx context.Context, client *vendor.Client) ([]vendor.Product, error) {
	products, err := client.Products(ctx)
	if err != nil {
		return nil, away(fmt.Errorf("list the products: %w", err))
	}
	slices.SortStableFunc(products, func(a, b vendor.Product) int { return strings.Compare(a.Code, b.Code) })
	return products, nil
}

// fieldsOf are the fields of a category; nil where it is not known which of the
// vendor's categories it is.
func fieldsOf(ctx context.Context, client *vendor.Client, category string) ([]vendor.Field, error) {
	categories, err := client.Categories(ctx)
	if err != nil {
		return nil, away(fmt.Errorf("list the categories: %w", err))
	}
	id := catalog.CategoryID(category, categories)
	if id == "" {
		return nil, nil
	}
	fields, err := client.CategoryFields(ctx, id)
	if err != nil {
		return nil, away(fmt.Errorf("list the fields of category %s: %w", category, err))
	}
	return fields, nil
}
