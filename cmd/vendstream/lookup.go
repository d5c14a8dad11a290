package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
)

func (p *program) lookup() *cobra.Command {
	g := group("lookup", "Ask the vendor about a customer's account; nothing is bought",
		p.lookupOf(purchase.LookupElectricity, "Look up an electricity or water meter", "meter-number"),
		p.lookupOf(purchase.LookupBillPayment, "Look up an account to pay a bill of", "account-number"),
		p.lookupOf(purchase.LookupMoneyTransfer, "Look up the receiver of a money transfer", ""))
	// What stands in the wrong place may be a customer's number: the errors here
	// quote nothing that was typed but names of flags.
	g.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command for %q", cmd.CommandPath())
		}
		return nil
	}
	g.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		missing := (*pflag.NotExistError)(nil)
		if errors.As(err, &missing) && missing.GetSpecifiedShortnames() != "" {
			return errors.New("unknown shorthand flag")
		}
		return err
	})
	return g
}

var lookupColumns = []string{"account", "lookup", "outcome", "responseCode", "responseMessage", "data"}

// lookupRow is what the vendor said of a customer.
type lookupRow struct {
	Account string              `json:"account"`
	Lookup  purchase.LookupKind `json:"lookup"`
	Outcome string              `json:"outcome"`
	Code    string              `json:"responseCode"`
	Message string              `json:"responseMessage"`
	Data    json.RawMessage     `json:"data"` // as the vendor sent it, null where it sent none
}

// lookupFlags are the ways to give a look-up's body.
type lookupFlags struct {
	number, amount, product, text, file string
}

func (p *program) lookupOf(kind purchase.LookupKind, short, number string) *cobra.Command {
	fields := ""
	if number != "" {
		fields = "--" + number + ", "
	}
	cmd := &cobra.Command{
		Use:   string(kind),
		Short: short,
		Long: short + `. Asks the vendor, with the account's credentials and a login
of its own (the vendor allows five a minute); needs neither NATS nor Redis, and
buys nothing. The body comes from ` + fields + `--body or --file.

Prints what the vendor said: columns account, lookup, outcome, responseCode,
responseMessage, data (as it was sent).

Exit 0 where the customer's account is accepted, 3 where it is refused, 5 if the
vendor cannot be reached, 1 for any other answer: then nothing is known of it.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%s takes no arguments: numbers are given with flags", cmd.CommandPath())
			}
			return nil
		},
	}
	name := cmd.Flags().String("account", "", "account (default: the only configured one)")
	var f lookupFlags
	if number != "" {
		cmd.Flags().StringVar(&f.number, number, "", "the customer's number")
		cmd.Flags().StringVar(&f.amount, "amount", "", "amount in rand, a decimal such as 50.00; the vendor gets these digits")
		cmd.Flags().StringVar(&f.product, "product-code", "", "productCode")
	}
	cmd.Flags().StringVar(&f.text, "body", "", "the whole body as JSON")
	cmd.Flags().StringVar(&f.file, "file", "", "file that holds the body; - is standard input")
	format := outputFlag(cmd, output.JSON)
	cmd.RunE = p.action(func(cmd *cobra.Command, _ []string) error {
		var body []byte
		client, one, err := p.vendor(*name, func(a config.Account) (err error) {
			body, err = f.body(p, cmd.Flags(), kind, number, a.ChannelID)
			return err
		})
		if err != nil {
			return err
		}
		defer client.Close()
		outcome, data := client.Lookup(cmd.Context(), kind, body)
		row := lookupRow{Account: one.Name, Lookup: kind, Outcome: outcome.Kind.String(), Code: outcome.Code, Message: outcome.Message, Data: data}
		switch outcome.Kind {
		case purchase.Completed:
			row.Outcome = "accepted"
		case purchase.Failed:
			row.Outcome = "refused"
		}
		if row.said() || outcome.Kind.Terminal() {
			if err := output.One(p.Stdout, format.Format, lookupColumns, row, row.cells()); err != nil {
				return err
			}
		}
		return lookupEnd(outcome)
	})
	return cmd
}

// said reports whether the vendor sent anything to print.
func (r lookupRow) said() bool { return r.Code != "" || r.Message != "" || len(r.Data) > 0 }

func (r lookupRow) cells() []string {
	return []string{r.Account, string(r.Lookup), r.Outcome, r.Code, r.Message, string(r.Data)}
}

// lookupEnd is how the command ends. Its errors leave the vendor's message out,
// which may quote the customer's number; it is printed with the rest.
func lookupEnd(o purchase.Outcome) error {
	switch o.Kind {
	case purchase.Completed:
		return nil
	case purchase.Failed:
		return &lifecycle.Exit{Code: lifecycle.FailedPurchases} // the answer is printed
	case purchase.Unreachable:
		return &lifecycle.Exit{Code: lifecycle.NotConnected, Err: fmt.Errorf("the vendor could not be reached: %w", o.Cause)}
	}
	if o.Cause != nil {
		return fmt.Errorf("the look-up has no answer (%s): %w", o.Kind, o.Cause)
	}
	return fmt.Errorf("the look-up has no answer (%s)", o.Kind)
}

// body makes the body of the look-up: that of a purchase, as far as it is known.
// No error quotes a part of it.
func (f *lookupFlags) body(p *program, flags *pflag.FlagSet, kind purchase.LookupKind, number, channelID string) ([]byte, error) {
	text, file := flags.Changed("body"), flags.Changed("file")
	fields := number != "" && (flags.Changed(number) || flags.Changed("amount") || flags.Changed("product-code"))
	switch {
	case text && file, (text || file) && fields:
		return nil, usage("the body comes from --body, from --file or from the flags of its fields: give one of them")
	case text || file:
		body := json.RawMessage(f.text)
		if file {
			var err error
			if body, err = readBody(f.file, p.Stdin); err != nil {
				return nil, err
			}
		}
		if object := (map[string]json.RawMessage)(nil); !utf8.Valid(body) || json.Unmarshal(body, &object) != nil || object == nil {
			return nil, usage("the body is not a JSON object")
		}
		if len(body) > purchase.MaxBody {
			return nil, usage("the body is larger than %d bytes", purchase.MaxBody)
		}
		return body, nil
	case number == "":
		return nil, usage("--body or --file is needed")
	case f.number == "":
		return nil, usage("--%s is needed, unless --body or --file gives the whole body", number)
	case !utf8.ValidString(f.number), !utf8.ValidString(f.product):
		return nil, usage("--%s and --product-code must be valid UTF-8", number)
	case f.amount != "" && !plainDecimal.MatchString(f.amount):
		return nil, usage("--amount: not a decimal such as 50.00")
	}
	body := struct {
		ProductCode   string      `json:"productCode,omitempty"`
		Amount        json.Number `json:"amount,omitempty"`
		ChannelID     string      `json:"channelId,omitempty"`
		MeterNumber   string      `json:"meterNumber,omitempty"`
		AccountNumber string      `json:"accountNumber,omitempty"`
	}{ProductCode: f.product, Amount: json.Number(f.amount), ChannelID: channelID}
	if kind == purchase.LookupElectricity {
		body.MeterNumber = f.number
	} else {
		body.AccountNumber = f.number
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("make the body: %w", err)
	}
	return encoded, nil
}
