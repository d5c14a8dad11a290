package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// purchaseFlags are the ways to give a purchase's body.
type purchaseFlags struct {
	text, file string
	purchase   publisher.Purchase
	amount     string
	additional string
}

// fieldFlags are those that give one field each.
var fieldFlags = []string{
	"product-code", "amount", "mobile-number", "meter-number", "account-number",
	"payment-method", "channel-id", "reference", "additional-info",
}

func (f *purchaseFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.text, "body", "", "the whole body as JSON")
	flags.StringVar(&f.file, "file", "", "file that holds the body; - is standard input")
	flags.StringVar(&f.purchase.ProductCode, "product-code", "", "productCode")
	flags.StringVar(&f.amount, "amount", "", "amount in rand, a decimal such as 50.00; the vendor gets these digits")
	flags.StringVar(&f.purchase.MobileNumber, "mobile-number", "", "mobileNumber, +27 and nine digits")
	flags.StringVar(&f.purchase.MeterNumber, "meter-number", "", "meterNumber")
	flags.StringVar(&f.purchase.AccountNumber, "account-number", "", "accountNumber")
	flags.StringVar(&f.purchase.PaymentMethod, "payment-method", "cash", "paymentMethod")
	flags.StringVar(&f.purchase.ChannelID, "channel-id", "", "channelId (default: the account's)")
	flags.StringVar(&f.purchase.MerchantReference, "reference", "", "merchantReference (default: a new UUID)")
	flags.StringVar(&f.additional, "additional-info", "", "additionalInfo as JSON")
}

// body makes the body of the purchase. A reference that is made here is told at
// once, so that it is known even if the connection breaks.
func (f *purchaseFlags) body(flags *pflag.FlagSet, stdin io.Reader, stderr io.Writer) (json.RawMessage, error) {
	var given []string
	for _, name := range append([]string{"body", "file"}, fieldFlags...) {
		if flags.Changed(name) {
			given = append(given, "--"+name)
		}
	}
	whole := flags.Changed("body") || flags.Changed("file")
	switch {
	case len(given) == 0:
		return nil, usage("no purchase is given: use --body, --file, or --product-code and --amount with the other fields")
	case whole && len(given) > 1:
		return nil, usage("%s cannot be given together: the body comes from --body, from --file or from the fields", strings.Join(given, ", "))
	case flags.Changed("body"):
		return json.RawMessage(f.text), nil
	case whole:
		return readBody(f.file, stdin)
	default:
		return f.fields(flags, stderr)
	}
}

// readBody reads a little more than the largest body, so that a larger one is
// told from one that fits.
func readBody(name string, stdin io.Reader) (json.RawMessage, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, usage("--file: %w", err)
		}
		defer file.Close()
		stdin = file
	}
	body, err := io.ReadAll(io.LimitReader(stdin, purchase.MaxBody+1))
	if err != nil {
		return nil, usage("--file: cannot read %s: %w", name, err)
	}
	return body, nil
}

// plainDecimal is a JSON number without an exponent.
var plainDecimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

func (f *purchaseFlags) fields(flags *pflag.FlagSet, stderr io.Writer) (json.RawMessage, error) {
	for _, name := range fieldFlags {
		// JSON would put another character in its place.
		if !utf8.ValidString(flags.Lookup(name).Value.String()) {
			return nil, usage("--%s: is not valid UTF-8", name)
		}
	}
	// A script whose variable is empty would buy again at every try.
	if flags.Changed("reference") && f.purchase.MerchantReference == "" {
		return nil, usage("--reference: is empty; leave it out for a new one")
	}
	if f.purchase.ProductCode == "" || f.amount == "" {
		return nil, usage("--product-code and --amount are needed, unless --body or --file gives the whole body")
	}
	if !plainDecimal.MatchString(f.amount) {
		return nil, usage("--amount: %q is not a decimal such as 50.00", f.amount)
	}
	f.purchase.Amount = json.Number(f.amount)
	if f.additional != "" {
		if !json.Valid([]byte(f.additional)) {
			return nil, usage("--additional-info: is not valid JSON")
		}
		f.purchase.AdditionalInfo = json.RawMessage(f.additional)
	}
	made := f.purchase.MerchantReference == ""
	if made {
		f.purchase.MerchantReference = uuid.NewString()
	}
	request, err := f.purchase.Request("")
	if err == nil && made {
		fmt.Fprintln(stderr, "merchantReference "+f.purchase.MerchantReference)
	}
	return request.Body, err
}

// headerFlags are what a request says beside its body.
type headerFlags struct {
	in     time.Duration
	at     string
	lookup bool
	low    bool
	trace  string
	flags  *pflag.FlagSet
}

func (h *headerFlags) register(flags *pflag.FlagSet) {
	h.flags = flags
	flags.DurationVar(&h.in, "expires-in", 0, "time after which it is no longer sent to the vendor, from now")
	flags.StringVar(&h.at, "expires-at", "", "the same as a time, RFC 3339")
	flags.BoolVar(&h.lookup, "lookup", false, "have the customer's account validated first")
	flags.BoolVar(&h.low, "low-priority", false, "put it behind other purchases of the account")
	flags.StringVar(&h.trace, "traceparent", "", "W3C trace context of the caller")
}

func (h *headerFlags) request(now time.Time) (publisher.Request, error) {
	r := publisher.Request{Lookup: h.lookup, TraceParent: h.trace}
	if h.low {
		r.Priority = publisher.PriorityLow
	}
	in, at := h.flags.Changed("expires-in"), h.flags.Changed("expires-at")
	switch {
	case in && at:
		return r, usage("--expires-in and --expires-at cannot be given together")
	case in && h.in <= 0:
		return r, usage("--expires-in: must be above zero")
	case in:
		r.ExpiresAt = now.Add(h.in)
	case at:
		expiry, refusal := purchase.Expiry([]string{h.at})
		if refusal != nil || expiry.IsZero() {
			return r, usage("--expires-at: %q is not an RFC 3339 time such as 2026-01-31T12:00:00Z", h.at)
		}
		r.ExpiresAt = expiry
	}
	// The publisher starts a trace of its own where it cannot read this one.
	if h.flags.Changed("traceparent") && !publisher.ValidTrace(h.trace) {
		return r, usage("--traceparent: %q is not a W3C traceparent", h.trace)
	}
	return r, nil
}
