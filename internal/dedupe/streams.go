package dedupe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// MarkPending records that the stream holds a hand-off, whoever owns the claim,
// and returns the state before. The hand-off's digest replaces the record's. The
// larger number of attempts stays, and so does a known transaction where the
// new one is empty. The record counts as sent. A poller's hold (HoldPost)
// stays. A settled record is never changed: Settled is returned.
func (s *Store) MarkPending(ctx context.Context, k Key, d purchase.Digest, transactionID string, attempts int) (purchase.ClaimState, error) {
	if err := checkRecord(k, d); err != nil {
		return "", fmt.Errorf("dedupe: mark pending: %w", err)
	}
	answer, err := s.one(ctx, pendingScript, s.key(k), fingerprint(d), transactionID, max(attempts, 0))
	if err != nil {
		return "", fmt.Errorf("dedupe: mark pending: %w", err)
	}
	return readState("mark pending", answer)
}

// MarkSettled records that the stream holds the result, whoever owns the claim,
// and returns the state before. The result's digest replaces the record's. The
// record expires Config.TTL from now; marking it again starts that time anew.
func (s *Store) MarkSettled(ctx context.Context, k Key, d purchase.Digest) (purchase.ClaimState, error) {
	if err := checkRecord(k, d); err != nil {
		return "", fmt.Errorf("dedupe: mark settled: %w", err)
	}
	answer, err := s.one(ctx, settledScript, s.key(k), fingerprint(d), milliseconds(s.cfg.TTL))
	if err != nil {
		return "", fmt.Errorf("dedupe: mark settled: %w", err)
	}
	return readState("mark settled", answer)
}

// errFrom is returned by Reopen for a state that cannot be reopened.
var errFrom = errors.New("only a pending or settled record can be reopened")

// Reopen claims a record that the streams were seen to contradict: one that is
// pending without a hand-off, or settled without a result. It is a Claim that
// may also take a record in the state from: ClaimTakenOver then. While a poller
// holds the purchase the answer is ClaimInFlight; a record that is in another
// state by now, or has another digest, is answered as by Claim. The reopened
// record does not expire, and keeps attempts, sent and the transaction.
func (s *Store) Reopen(ctx context.Context, c Claim, from purchase.ClaimState) (Answer, error) {
	if from != purchase.Pending && from != purchase.Settled {
		return Answer{}, fmt.Errorf("dedupe: reopen: %w", errFrom)
	}
	if err := c.check(); err != nil {
		return Answer{}, fmt.Errorf("dedupe: reopen: %w", err)
	}
	raw, err := s.one(ctx, claimScript, s.key(c.Key), claimArgs(c, s.cfg.Lease, from)...)
	if err != nil {
		return Answer{}, fmt.Errorf("dedupe: reopen: %w", err)
	}
	answer, err := readAnswer(raw, c)
	if err != nil {
		return Answer{}, fmt.Errorf("dedupe: reopen: %w", err)
	}
	return answer, nil
}

// Hold is what HoldPost says.
type Hold struct {
	// Ours: the right was given.
	Ours bool
	// TransactionID is the one that the record names, where it was not given for that.
	TransactionID string
}

// HoldPost gives one poller the right to post a pending purchase again, for
// lease from now (Config.Lease where it is zero or less). The same owner renews
// it. The poller holds the hand-off, so a record that is absent or released, or
// whose claim has ended, becomes pending with the hand-off's digest. It is not given
// where another owner's hold or claim still runs, the purchase is settled, or the
// record names a transaction and the claim is Unanswered.
//
// The hold ends by itself, when the purchase is settled, or when its record is
// lost; MarkPending leaves it.
func (s *Store) HoldPost(ctx context.Context, c Claim, lease time.Duration) (Hold, error) {
	if lease <= 0 {
		lease = s.cfg.Lease
	}
	if err := c.check(); err != nil {
		return Hold{}, fmt.Errorf("dedupe: hold post: %w", err)
	}
	raw, err := s.one(ctx, holdScript, s.key(c.Key), c.Owner, fingerprint(c.Digest), milliseconds(lease), flag(c.Unanswered))
	if err != nil {
		return Hold{}, fmt.Errorf("dedupe: hold post: %w", err)
	}
	hold, err := readHold(raw)
	if err != nil {
		return Hold{}, fmt.Errorf("dedupe: hold post: %w", err)
	}
	return hold, nil
}
