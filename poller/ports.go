package poller

import (
	"context"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/publisher"
)

// Vendor asks after a purchase, and posts one again.
type Vendor interface {
	Transaction(ctx context.Context, transactionID, reference string) purchase.Outcome
	Purchase(ctx context.Context, reference string, body []byte) purchase.Outcome
}

// Records keeps the dedupe store in step with the streams.
type Records interface {
	MarkPending(ctx context.Context, k dedupe.Key, d purchase.Digest, transactionID string, attempts int) (purchase.ClaimState, error)
	MarkSettled(ctx context.Context, k dedupe.Key, d purchase.Digest) (purchase.ClaimState, error)
	// HoldPost is the right to post a pending purchase again, for one poller at
	// a time.
	HoldPost(ctx context.Context, c dedupe.Claim, lease time.Duration) (dedupe.Hold, error)
}

// Ledger reads the streams: what is known for certain of a purchase.
type Ledger interface {
	Result(ctx context.Context, account, reference string) (*purchase.Result, error)
	Handoff(ctx context.Context, account, reference string) (*purchase.Handoff, uint64, error)
}

// Writer stores results, and hand-offs about which more is known. Each call
// returns what was there before it, or nil where it stored its own.
type Writer interface {
	PublishResult(ctx context.Context, r *purchase.Result, traceParent string) (*purchase.Result, error)
	ReplaceHandoff(ctx context.Context, h *purchase.Handoff, traceParent string, sequence uint64) (*purchase.Handoff, error)
}

// Undertaker buries a purchase whose reference turned out to be another's.
type Undertaker interface {
	Original(ctx context.Context, account string, sequence uint64) (publisher.DeadLetter, error)
	PublishDead(ctx context.Context, d publisher.DeadLetter) error
}

// Limiter is the purchase limit of the account over all processes.
type Limiter interface {
	Take(ctx context.Context, most int) (quota.Permits, time.Duration, error)
	Penalize(ctx context.Context, d time.Duration) error
}
