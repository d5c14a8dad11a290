package vendor

import (
	"context"
	"errors"
	"fmt"

	"github.com/vendstream/vendstream/internal/purchase"
)

// authorized makes a call with the account's token, by the rule for 401
// (pagamio-api.md, "Authentication" and "Retry rules"): a new token and the call
// again; after another 401 a login from scratch and the call once more; a third
// 401 is Unauthorized. decide is told every answer, and the body is nil where it
// could not be read whole.
//
// The time limit is for all of it together, so that a caller's lease and ack
// wait have one bound to reckon with.
func (c *Client) authorized(ctx context.Context, call call, decide func(status int, body []byte) purchase.Outcome) purchase.Outcome {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	held, err := c.session.token(ctx)
	for refused := 0; ; refused++ {
		if err != nil {
			return tokenOutcome(err)
		}
		outcome := c.attempt(ctx, call, held.value, decide)
		if outcome.Kind != purchase.Unauthorized {
			return outcome
		}
		switch refused {
		case 0:
			held, err = c.session.renew(ctx, held)
		case 1:
			held, err = c.session.relogin(ctx, held)
		default:
			return outcome
		}
	}
}

// attempt makes one exchange and decides on it.
func (c *Client) attempt(ctx context.Context, call call, token string, decide func(int, []byte) purchase.Outcome) purchase.Outcome {
	start := c.now()
	got := c.do(ctx, call, token)
	var outcome purchase.Outcome
	switch {
	case got.status != 0:
		outcome = decide(got.status, got.body)
		if got.err != nil && outcome.Kind == purchase.Unknown {
			// Says more than that there is no body.
			outcome.Cause = fmt.Errorf("%w: %w", statusError(got.status), got.err)
		}
	case errors.Is(got.err, errNotConnected):
		outcome = purchase.Outcome{Kind: purchase.Unreachable, Cause: got.err}
	default:
		outcome = unknown(got.err)
	}
	if outcome.Cause != nil {
		outcome.Cause = fmt.Errorf("vendor: %s: %w", call.endpoint, outcome.Cause)
	}
	c.observe(Call{Endpoint: call.endpoint, Kind: outcome.Kind.String(), Status: got.status, Duration: c.now().Sub(start)})
	return outcome
}

// tokenOutcome is the outcome of a call that was not made for want of a token,
// or that was refused by a 401 and had no other token to go on with. Either way
// nothing happened.
func tokenOutcome(err error) purchase.Outcome {
	kind := purchase.Unreachable
	var failed *tokenError
	if errors.As(err, &failed) {
		kind = failed.kind
	}
	return purchase.Outcome{Kind: kind, Cause: fmt.Errorf("vendor: no token: %w", err)}
}
