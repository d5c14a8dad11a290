package consumer

import (
	"context"
	"encoding/json"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/publisher"
)

// Catalog refuses what the vendor would refuse, on fresh knowledge only.
type Catalog interface {
	// Check is nil where nothing is known against the purchase.
	Check(ctx context.Context, r *purchase.Request) *purchase.Refusal
	// Stale says that the vendor has refused a product which the catalog has.
	Stale()
}

// Vendor makes one call.
type Vendor interface {
	Purchase(ctx context.Context, reference string, body []byte) purchase.Outcome
	// Transaction says what /transactions knows of a purchase.
	Transaction(ctx context.Context, transactionID, reference string) purchase.Outcome
	// Lookup validates the customer, and returns what the vendor said of them.
	Lookup(ctx context.Context, kind purchase.LookupKind, body []byte) (purchase.Outcome, json.RawMessage)
}

// Claimer takes claims and gives them back.
type Claimer interface {
	Claim(ctx context.Context, claims []dedupe.Claim) ([]dedupe.Answer, error)
	Release(ctx context.Context, c dedupe.Claim, attempts int, sent bool) (bool, error)
	Reopen(ctx context.Context, c dedupe.Claim, from purchase.ClaimState) (dedupe.Answer, error)
}

// Leaser keeps a claim held.
type Leaser interface {
	Extend(ctx context.Context, claims []dedupe.Claim) ([]bool, error)
	MarkSent(ctx context.Context, c dedupe.Claim) (bool, error)
}

// Recorder notes in the dedupe store what the streams hold.
type Recorder interface {
	MarkPending(ctx context.Context, k dedupe.Key, d purchase.Digest, transactionID string, attempts int) (purchase.ClaimState, error)
	MarkSettled(ctx context.Context, k dedupe.Key, d purchase.Digest) (purchase.ClaimState, error)
	Ping(ctx context.Context) error
}

// Looker reads the streams: what is known for certain of purchases, in the order
// of their references. Hand-offs are read first.
type Looker interface {
	Look(ctx context.Context, account string, references []string) ([]publisher.Known, error)
}

// Ledger reads the streams, and a hand-off with its place in them.
type Ledger interface {
	Looker
	Handoff(ctx context.Context, account, reference string) (*purchase.Handoff, uint64, error)
}

// Writer stores the ends of a purchase. Each call returns what was there before
// it, or nil where it stored its own.
type Writer interface {
	PublishResult(ctx context.Context, r *purchase.Result, traceParent string) (*purchase.Result, error)
	PublishHandoff(ctx context.Context, h *purchase.Handoff, traceParent string) (*purchase.Handoff, error)
	ReplaceHandoff(ctx context.Context, h *purchase.Handoff, traceParent string, sequence uint64) (*purchase.Handoff, error)
}

// Undertaker stores and reads dead letters.
type Undertaker interface {
	PublishDead(ctx context.Context, d publisher.DeadLetter) error
	DeadSequences(ctx context.Context, account string) (map[uint64]bool, error)
}

// Limiter is the purchase limit of the account over all processes.
type Limiter interface {
	Take(ctx context.Context, most int) (quota.Permits, time.Duration, error)
	GiveBack(ctx context.Context, p quota.Permits) error
	Penalize(ctx context.Context, d time.Duration) error
}
