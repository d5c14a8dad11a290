package purchase

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Status of a result; there are no others.
type Status string

// A purchase ends in one of these.
const (
	StatusCompleted Status = "COMPLETED"
	StatusFailed    Status = "FAILED"
)

// Failure is there with FAILED only.
type Failure struct {
	Class Class `json:"class"`
}

// Result is the terminal result of a purchase (contract, "Result message").
// Receipt, productCode, amount and channelId are JSON as it was received; of the
// last three an object or array, which is a mistyped field, is left out.
type Result struct {
	MerchantReference string          `json:"merchantReference"`
	Account           string          `json:"account"`
	Status            Status          `json:"status"`
	TransactionID     string          `json:"transactionId,omitempty"`
	ResponseCode      string          `json:"responseCode"`
	ResponseMessage   string          `json:"responseMessage"`
	Failure           *Failure        `json:"failure,omitempty"`
	Receipt           json.RawMessage `json:"receipt,omitempty"`
	Lookup            json.RawMessage `json:"lookup,omitempty"` // what the customer's look-up said, where one was asked for
	RequestDigest     Digest          `json:"requestDigest"`
	ProductCode       json.RawMessage `json:"productCode,omitempty"`
	Amount            json.RawMessage `json:"amount,omitempty"`
	ChannelID         json.RawMessage `json:"channelId,omitempty"`
	Source            Source          `json:"source"`
	Attempts          int             `json:"attempts"`
	RequestedAt       time.Time       `json:"requestedAt"`
	ResolvedAt        time.Time       `json:"resolvedAt"`
}

// Ending is what a result needs beside the request and what was said about it.
type Ending struct {
	Source      Source
	Attempts    int
	RequestedAt time.Time
	ResolvedAt  time.Time
}

// ErrNotTerminal is returned where a result is asked of an outcome that is none.
var ErrNotTerminal = errors.New("purchase: the outcome is not terminal")

// Settle makes the result of a terminal outcome. Any other outcome is
// ErrNotTerminal: what is not known is never published.
func (r *Request) Settle(o Outcome, end Ending) (Result, error) {
	result := r.result(end)
	result.TransactionID = o.TransactionID
	result.ResponseMessage = o.Message
	switch o.Kind {
	case Completed:
		result.Status = StatusCompleted
		result.ResponseCode = CodeSuccess
		result.Receipt = o.Receipt
	case Failed:
		result.Status = StatusFailed
		result.ResponseCode = o.Code
		result.Failure = &Failure{Class: o.Class}
		result.Receipt = o.Receipt
	default:
		return Result{}, fmt.Errorf("%w: %s", ErrNotTerminal, o.Kind)
	}
	return result, nil
}

// Refuse makes the result of a purchase that was refused here.
func (r *Request) Refuse(refusal *Refusal, end Ending) Result {
	end.Source = refusal.Source
	result := r.result(end)
	result.Status = StatusFailed
	result.ResponseCode = refusal.Code
	result.ResponseMessage = refusal.Message
	result.Failure = &Failure{Class: refusal.Class}
	return result
}

func (r *Request) result(end Ending) Result {
	channel := r.scalar(fieldChannelID)
	if r.channelID != "" {
		channel = appendString(nil, r.channelID)
	}
	return Result{
		MerchantReference: r.Reference,
		Account:           r.Account,
		RequestDigest:     r.Digest,
		ProductCode:       r.scalar(fieldProductCode),
		Amount:            r.scalar(fieldAmount),
		ChannelID:         channel,
		Source:            end.Source,
		Attempts:          end.Attempts,
		RequestedAt:       end.RequestedAt.UTC(),
		ResolvedAt:        end.ResolvedAt.UTC(),
	}
}

// Agreement is how two results of one reference stand to each other.
type Agreement uint8

const (
	// Agree: the same purchase with the same end, however it was learned.
	Agree Agreement = iota
	// OtherPurchase: the reference was used for another payload.
	OtherPurchase
	// Contradict: the same purchase with another end. An incident.
	Contradict
)

// Compare tells how r stands to the result that is stored. Codes and messages
// may differ, as /transactions gives none; status and transaction may not.
func (r *Result) Compare(stored *Result) Agreement {
	switch {
	case r.RequestDigest != stored.RequestDigest:
		return OtherPurchase
	case r.Status != stored.Status:
		return Contradict
	case r.TransactionID != "" && stored.TransactionID != "" && r.TransactionID != stored.TransactionID:
		return Contradict
	default:
		return Agree
	}
}

// Channel is the channel that the purchase was made through, its own or its
// account's, and "" where it had none or one that is no string.
func (r *Result) Channel() string {
	var channel string
	_ = json.Unmarshal(r.ChannelID, &channel) // a number is no channel of an account's
	return channel
}

// Encode writes the body of a result message. Foreign JSON keeps its spelling,
// apart from white space.
func (r *Result) Encode() ([]byte, error) { return encode(r) }

func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("purchase: encode %T: %w", v, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
