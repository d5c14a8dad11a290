package dedupe

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/combine"
	"github.com/vendstream/vendstream/internal/purchase"
)

// Key names a purchase: at most one vend for each.
type Key struct{ Account, Reference string }

// Claim is the wish to work on a purchase.
type Claim struct {
	Key
	Digest purchase.Digest
	// Owner is unique for each handling of a message: two deliveries of one
	// message are two owners. At most 64 bytes, to keep records small.
	Owner string
	// Sends: a purchase call may follow the claim without MarkSent. The record
	// then says from the claim on that one may have been made. Renewing and
	// releasing a claim do not look at it.
	Sends bool
	// Unanswered: the vendor has named no transaction, as far as the owner knows.
	// HoldPost alone looks at it.
	Unanswered bool
}

// Answer is what a claim found. Attempts, Sent and TransactionID are all that
// is known of the reference, whoever learned it.
type Answer struct {
	Verdict purchase.Verdict
	// Wait is what is left of the other owner's lease; with ClaimInFlight only.
	Wait time.Duration
	// Attempts is the number of purchase calls that the vendor may have acted
	// on, as far as known.
	Attempts int
	// Sent tells whether a purchase call may have been made before this claim. Decide by it and
	// not by the verdict: a claim whose answer was lost is ClaimAgain the next
	// time, whatever the first answer was.
	Sent bool
	// TransactionID is the vendor's, or "" where it is not known.
	TransactionID string
	// State is the record's before the claim.
	State purchase.ClaimState
	// Digest is the record's. With ClaimConflict it differs from the claim's;
	// where even the algorithm differs (dedupe.digest_key was set or taken
	// away), the payloads may still be the same.
	Digest purchase.Digest
}

// Defaults of a Config, as the configuration documents them.
const (
	DefaultPrefix = "purchases"
	DefaultLease  = 60 * time.Second
	DefaultTTL    = 168 * time.Hour
)

// Config says where records lie and how long they hold. What is zero or less
// takes its default.
type Config struct {
	// Prefix begins every key: subjects.prefix.
	Prefix string
	// Lease is how long a claim holds without being extended: dedupe.lease.
	// Below a millisecond it counts as one.
	Lease time.Duration
	// TTL is how long a settled record is kept: dedupe.ttl. Others never expire.
	TTL time.Duration
}

// Store is the records in one Redis. It is safe for concurrent use, runs nothing
// while nobody asks, and does not own its client. Calls for single records that
// come at the same time share a round trip.
type Store struct {
	client   redis.UniversalClient
	cfg      Config
	combined combine.Combiner[call, reply]
	// Whether one server holds all records; see together.
	spread atomic.Int32
	probed atomic.Int64 // when that was last tried, in Unix nanoseconds; 0: it is to be
}

// New makes a store. It sends nothing: a Redis that is away shows at the first
// call.
func New(client redis.UniversalClient, cfg Config) *Store {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if cfg.Lease <= 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.TTL <= 0 {
		cfg.TTL = DefaultTTL
	}
	return &Store{client: client, cfg: cfg}
}

// Claim claims many purchases in one round trip; the answers are in the order
// of the claims. Two claims for one purchase in one batch are answered one after
// the other. With an error nothing is known of any claim, and any may be held:
// call again with the same owners, and those that are held answer ClaimAgain.
func (s *Store) Claim(ctx context.Context, claims []Claim) ([]Answer, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	calls := make([]call, len(claims))
	for i, c := range claims {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("dedupe: claim: %w", err)
		}
		calls[i] = call{claimScript, s.key(c.Key), claimArgs(c, s.cfg.Lease, purchase.Absent)}
	}
	raw, err := s.all(ctx, calls)
	if err != nil {
		return nil, fmt.Errorf("dedupe: claim: %w", err)
	}
	answers := make([]Answer, len(claims))
	for i := range raw {
		if answers[i], err = readAnswer(raw[i], claims[i]); err != nil {
			return nil, fmt.Errorf("dedupe: claim: %w", err)
		}
	}
	return answers, nil
}

// Extend renews the leases of many claims in one round trip. False says that
// the claim is no longer the owner's: taken over, released, recorded as pending
// or settled, or lost by Redis. The claim can be tried again with the same
// owner to learn which.
func (s *Store) Extend(ctx context.Context, claims []Claim) ([]bool, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	calls := make([]call, len(claims))
	for i, c := range claims {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("dedupe: extend: %w", err)
		}
		calls[i] = call{renewScript, s.key(c.Key), []any{c.Owner, milliseconds(s.cfg.Lease), flag(false)}}
	}
	raw, err := s.all(ctx, calls)
	if err != nil {
		return nil, fmt.Errorf("dedupe: extend: %w", err)
	}
	held := make([]bool, len(claims))
	for i := range raw {
		if held[i], err = yes(raw[i]); err != nil {
			return nil, fmt.Errorf("dedupe: extend: %w", err)
		}
	}
	return held, nil
}

// MarkSent records, right before a purchase call, that one may have been made,
// and renews the lease. False says that the claim is no longer the owner's: the
// call must not be made.
func (s *Store) MarkSent(ctx context.Context, c Claim) (bool, error) {
	held, err := s.owned(ctx, c, renewScript, c.Owner, milliseconds(s.cfg.Lease), flag(true))
	if err != nil {
		return false, fmt.Errorf("dedupe: mark sent: %w", err)
	}
	return held, nil
}

// Release gives a claim back without an end, so that the next one finds it at
// once. The record keeps the digest and the larger number of attempts. sent is
// what the owner knows: one that marked a call and could not make it, as the
// vendor was away, takes the mark back. False says that the claim was no longer the owner's, and
// nothing was changed; a release that is repeated is true again.
func (s *Store) Release(ctx context.Context, c Claim, attempts int, sent bool) (bool, error) {
	released, err := s.owned(ctx, c, releaseScript, c.Owner, max(attempts, 0), flag(sent))
	if err != nil {
		return false, fmt.Errorf("dedupe: release: %w", err)
	}
	return released, nil
}

// owned runs a script that compares the owner and answers yes or no.
func (s *Store) owned(ctx context.Context, c Claim, script *redis.Script, args ...any) (bool, error) {
	if err := c.check(); err != nil {
		return false, err
	}
	answer, err := s.one(ctx, script, s.key(c.Key), args...)
	if err != nil {
		return false, err
	}
	return yes(answer)
}

// Ping asks whether Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("dedupe: ping: %w", err)
	}
	return nil
}
