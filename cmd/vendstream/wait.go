package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

const (
	askFirst   = 50 * time.Millisecond
	askLongest = time.Second
)

// errWaited is the cause of a context whose --timeout ended.
var errWaited = errors.New("the time given with --timeout is over")

// wait waits until a request has its result or is a dead letter. Both are asked
// of the streams' leaders. A result with another digest is another purchase's
// under the same reference: then ours ends as a dead letter.
func (s *session) wait(ctx context.Context, limit time.Duration, sent publisher.Submitted, digest purchase.Digest,
	found func(body []byte, r *purchase.Result) error,
) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errWaited)
	defer cancel()
	account, reference := sent.Request.Account, sent.Reference
	another := false  // a result of another payload is there
	var lastErr error // of the last look, where it failed
	timer := time.NewTimer(0)
	defer timer.Stop()
	for interval := askFirst; ; interval = min(interval*3/2, askLongest) {
		select {
		case <-timer.C:
			timer.Reset(interval)
		case <-ctx.Done():
			return unknownOutcome(ctx, sent, another, lastErr)
		}
		var body json.RawMessage
		if body, lastErr = s.store.ResultBody(ctx, account, reference); lastErr != nil {
			continue // NATS may come back
		}
		if body != nil {
			r := &purchase.Result{}
			if err := json.Unmarshal(body, r); err != nil {
				return fmt.Errorf("the result of merchantReference %s cannot be read: %w", reference, err)
			}
			if r.RequestDigest == digest {
				if err := found(body, r); err != nil {
					return err
				}
				if r.Status == purchase.StatusFailed {
					return &lifecycle.Exit{Code: lifecycle.FailedPurchases} // the result is printed
				}
				return nil
			}
			if !another {
				s.log.Warn().Uint64("request", sent.Sequence).Msg("there is a result under this reference, and it is of another payload, " +
					"or the channel_id or dedupe.digest_key configured here is not the daemons': waiting for what becomes of the request")
			}
			another = true
		}
		var dead *publisher.DeadLetter
		if dead, lastErr = s.store.Dead(ctx, account, sent.Sequence); lastErr != nil || dead == nil {
			continue
		}
		return fmt.Errorf("request %d became a dead letter, %s: %s", dead.Sequence, dead.Reason, dead.Detail)
	}
}

// unknownOutcome is the end of a wait without an answer.
func unknownOutcome(ctx context.Context, sent publisher.Submitted, another bool, last error) error {
	code, cause := lifecycle.OutcomeUnknown, context.Cause(ctx)
	if !errors.Is(cause, errWaited) {
		code = lifecycle.Interrupted
	}
	err := fmt.Errorf("stopped waiting for request %d, merchantReference %s: %w: %s", sent.Sequence, sent.Reference, cause, neverAnother)
	if another {
		err = fmt.Errorf("%w\nthe ledger holds a result under this reference with another digest: of another payload, or made with another channel_id or dedupe.digest_key than is configured here", err)
	}
	if last != nil && !errors.Is(last, context.Cause(ctx)) && !errors.Is(last, ctx.Err()) {
		err = fmt.Errorf("%w\nthe last look at the ledger failed: %w", err, last)
	}
	return &lifecycle.Exit{Code: code, Err: err}
}
