package publisher

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Request is one purchase to submit.
type Request struct {
	// Account is the vendor account to buy with.
	Account string
	// Body is the vendor's purchase body: one JSON object of at most 64 KiB with
	// a merchantReference. See Purchase for a way to make it.
	Body json.RawMessage
	// ExpiresAt, where set, is when an unsent purchase is no longer to be sent.
	ExpiresAt time.Time
	// Lookup asks for the customer's account to be validated first.
	Lookup bool
	// Priority is PriorityLow to put the purchase behind others of its account, or
	// "". It is sent as Vendstream-Priority.
	Priority string
	// TraceParent is the W3C trace context of the caller; may be empty.
	TraceParent string
}

// Purchase is the documented part of the vendor's purchase body. Amount is a
// decimal such as "50.00", in rand, and reaches the vendor with these digits.
type Purchase struct {
	ProductCode       string          `json:"productCode"`
	Amount            json.Number     `json:"amount"`
	PaymentMethod     string          `json:"paymentMethod"`
	ChannelID         string          `json:"channelId,omitempty"`
	MerchantReference string          `json:"merchantReference"`
	MobileNumber      string          `json:"mobileNumber,omitempty"`
	MeterNumber       string          `json:"meterNumber,omitempty"`
	AccountNumber     string          `json:"accountNumber,omitempty"`
	AdditionalInfo    json.RawMessage `json:"additionalInfo,omitempty"`
}

// Request makes the request of a purchase for an account.
func (p Purchase) Request(account string) (Request, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return Request{}, fmt.Errorf("publisher: encode the purchase: %w", err)
	}
	return Request{Account: account, Body: body}, nil
}

// InvalidError is returned for a request that could only become a dead letter.
// It was not published.
type InvalidError struct {
	// Reason is one of the contract's reasons for a dead letter.
	Reason string
	// Detail says what is wrong, without a value of the body.
	Detail string
}

func (e *InvalidError) Error() string {
	return "publisher: the request is not valid (" + e.Reason + "): " + e.Detail
}

// message checks a request and makes its message. Faults of single fields are
// not looked at: they get a FAILED result.
func (r Request) message(subjects Subjects) (*nats.Msg, string, error) {
	if !purchase.ValidAccount(r.Account) {
		return nil, "", &InvalidError{
			string(purchase.ReasonUnknownAccount),
			"an account's name is a lower-case letter or digit and up to 31 more of a-z, 0-9, _ and -",
		}
	}
	parsed, err := purchase.Parse(r.Body, purchase.Account{Name: r.Account})
	if err != nil {
		var rejection *purchase.Rejection
		if !errors.As(err, &rejection) {
			return nil, "", fmt.Errorf("publisher: %w", err)
		}
		return nil, "", &InvalidError{string(rejection.Reason), rejection.Detail}
	}
	h := nats.Header{
		HeaderMessageID:   {MessageID(r.Account, parsed.Reference)},
		HeaderTraceParent: {ChildTrace(r.TraceParent)},
	}
	if !r.ExpiresAt.IsZero() {
		h[HeaderExpiresAt] = []string{r.ExpiresAt.UTC().Format(time.RFC3339Nano)}
	}
	if r.Lookup {
		h[HeaderLookup] = []string{"true"}
	}
	if r.Priority != "" {
		h[HeaderPriority] = []string{r.Priority}
	}
	return &nats.Msg{Subject: subjects.Requests(r.Account), Header: h, Data: r.Body}, parsed.Reference, nil
}
