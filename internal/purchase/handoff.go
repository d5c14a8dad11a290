package purchase

import (
	"encoding/json"
	"time"
)

// OpenState says what is known of a purchase that was handed to the poller.
type OpenState string

const (
	// OpenInFlight: the vendor gave a non-terminal answer. Never posted again
	// while it is open (contract, promise 2).
	OpenInFlight OpenState = "in_flight"
	// OpenUnknown: nothing is proven. Looked up by its reference, else posted
	// again under it.
	OpenUnknown OpenState = "unknown"
)

// Handoff is the body of a message on PURCHASES_PENDING: a purchase that was
// submitted and has no terminal answer yet. Request is the body as it was
// published, RequestSequence its place in PURCHASES_REQUESTS, and ChannelID the
// account's at that time, so that the poller reads the very request that the
// consumer read.
type Handoff struct {
	Account           string          `json:"account"`
	MerchantReference string          `json:"merchantReference"`
	State             OpenState       `json:"state"`
	TransactionID     string          `json:"transactionId,omitempty"`
	LastCode          string          `json:"lastCode,omitempty"`
	RequestDigest     Digest          `json:"requestDigest"`
	Request           json.RawMessage `json:"request"`
	ChannelID         string          `json:"channelId,omitempty"`
	Lookup            json.RawMessage `json:"lookup,omitempty"`
	Attempts          int             `json:"attempts"`
	RequestSequence   uint64          `json:"requestSequence"`
	RequestedAt       time.Time       `json:"requestedAt"`
	SubmittedAt       time.Time       `json:"submittedAt"`
}

// Submission is what a hand-off needs beside the request and the last outcome.
type Submission struct {
	Attempts        int
	RequestSequence uint64
	RequestedAt     time.Time
	SubmittedAt     time.Time
}

// HandOver makes the hand-off of a purchase whose end is not known. An in-flight
// outcome is in_flight for good; every other is unknown.
func (r *Request) HandOver(o Outcome, s Submission) Handoff {
	state := OpenUnknown
	if o.Kind == InFlight {
		state = OpenInFlight
	}
	return Handoff{
		Account:           r.Account,
		MerchantReference: r.Reference,
		State:             state,
		TransactionID:     o.TransactionID,
		LastCode:          o.Code,
		RequestDigest:     r.Digest,
		Request:           r.Body(),
		ChannelID:         r.channelID,
		Attempts:          s.Attempts,
		RequestSequence:   s.RequestSequence,
		RequestedAt:       s.RequestedAt.UTC(),
		SubmittedAt:       s.SubmittedAt.UTC(),
	}
}

// Purchase reads the request out of a hand-off again. Its digest is the one the
// consumer gave it, whatever key is configured today.
func (h *Handoff) Purchase() (*Request, error) {
	r, err := Parse(h.Request, Account{Name: h.Account, ChannelID: h.ChannelID})
	if err != nil {
		return nil, err
	}
	r.Digest = h.RequestDigest
	return r, nil
}

// Encode writes the body of a hand-off message.
func (h *Handoff) Encode() ([]byte, error) { return encode(h) }
