package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// expiryMargin covers clocks that differ: an end is taken for expired a little
// before the server removes it.
const expiryMargin = 10 * time.Minute

// Ground is what a judgement stands on. It is read before any end is looked for.
type Ground struct {
	// Floors are the ack floors by account; an account without one has no consumer.
	Floors map[string]uint64
	// Kept is how long ends are kept; 0: for ever.
	Kept time.Duration
	// Now is when it was read.
	Now time.Time
}

// Ground reads the ground.
func (c Config) Ground(ctx context.Context) (Ground, error) {
	c = c.filled()
	g := Ground{Now: c.Now()}
	var err error
	if g.Floors, err = c.Streams.Floors(ctx); err != nil {
		return g, err
	}
	for _, name := range []string{c.Subjects.ResultsStream(), c.Subjects.DeadStream()} {
		s, err := c.Streams.Stream(ctx, name)
		if err != nil {
			return g, err
		}
		if s.MaxAge > 0 && (g.Kept == 0 || s.MaxAge < g.Kept) {
			g.Kept = s.MaxAge
		}
	}
	return g, nil
}

// acknowledged reports whether all consumers of the request have ended it.
func (g Ground) acknowledged(r Request) bool {
	floor, served := g.Floors[r.Account]
	return served && r.Sequence <= floor
}

// endsExpired reports whether the request's end may be no longer kept.
func (g Ground) endsExpired(r Request) bool {
	return g.Kept > 0 && g.Now.Sub(r.Time) > g.Kept-expiryMargin
}

// Judge finds out what became of one request.
func (c Config) Judge(ctx context.Context, g Ground, r Request) (State, string, error) {
	j := judgement{Config: c, ctx: ctx, r: r}
	state, detail, err := j.judge(g)
	if errors.Is(err, publisher.ErrUnreadable) {
		return Unreadable, err.Error(), nil
	}
	if err != nil {
		return "", "", fmt.Errorf("audit: request %d of account %s: %w", r.Sequence, r.Account, err)
	}
	return state, detail, nil
}

// judgement is the judging of one request.
type judgement struct {
	Config
	ctx context.Context
	r   Request

	other        bool // another payload's result or hand-off is there
	unverifiable bool
}

func (j *judgement) judge(g Ground) (State, string, error) {
	r := j.r
	if r.Reason == "" {
		if state, err := j.ends(); state != "" || err != nil {
			return state, "", err
		}
	}
	dead, err := retried(j.ctx, func() (*publisher.DeadLetter, error) { return j.Ends.Dead(j.ctx, r.Account, r.Sequence) })
	switch {
	case err != nil:
		return "", "", err
	case dead != nil:
		return Dead, "", nil
	case !g.acknowledged(r):
		if _, served := g.Floors[r.Account]; !served {
			return Waiting, "the account has no consumer", nil
		}
		return Waiting, "", nil
	case j.unverifiable:
		return Unverifiable, "its end bears a digest made with a key: set dedupe.digest_key as the daemons have it", nil
	case g.endsExpired(r):
		return Expired, "", nil
	case j.other:
		return Conflict, "the merchantReference is another payload's, and there is no dead letter of this one", nil
	case r.Reason != "":
		return Unaccounted, "it can have no result (" + string(r.Reason) + ") and has no dead letter", nil
	default:
		return Unaccounted, "it has no result, no hand-off and no dead letter", nil
	}
}

// ends looks for a result or a hand-off of the request.
func (j *judgement) ends() (State, error) {
	if ours, err := j.settled(); ours || err != nil {
		return Settled, err
	}
	h, err := retried(j.ctx, func() (*purchase.Handoff, error) {
		h, _, err := j.Ends.Handoff(j.ctx, j.r.Account, j.r.Reference)
		return h, err
	})
	if err != nil {
		return "", err
	}
	if h != nil {
		ours, err := j.same(h.RequestDigest, h.ChannelID)
		if ours || err != nil {
			return Pending, err
		}
	}
	if ours, err := j.settled(); ours || err != nil {
		return Settled, err
	}
	return "", nil
}

func (j *judgement) settled() (bool, error) {
	result, err := retried(j.ctx, func() (*purchase.Result, error) { return j.Ends.Result(j.ctx, j.r.Account, j.r.Reference) })
	if err != nil || result == nil {
		return false, err
	}
	return j.same(result.RequestDigest, result.Channel())
}

// same reports whether an end is that of the request, and notes where it is not.
func (j *judgement) same(digest purchase.Digest, channel string) (bool, error) {
	if digest == j.r.Digest {
		return true, nil
	}
	ours, known, err := j.sameByValue(j.ctx, j.r, digest, channel)
	switch {
	case err != nil || ours:
		return ours, err
	case known:
		j.other = true
	default:
		j.unverifiable = true
	}
	return false, nil
}

// sameByValue reads the request once more and holds it against a digest that was
// made while the account had another channel, or no digest key yet. known is false
// where the digest was made with a key and none is configured.
func (c Config) sameByValue(ctx context.Context, r Request, digest purchase.Digest, channel string) (ours, known bool, err error) {
	account := c.Account(r.Account)
	if _, known := digest.Of(nil, account); !known {
		return false, false, nil
	}
	d, err := c.request(ctx, r)
	if err != nil || d == nil {
		return false, true, err
	}
	ours, known = digest.Of(d.Body, account, channel)
	return ours, known, nil
}

// retried asks again where a server did not answer.
func retried[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	policy := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxElapsedTime(20*time.Second))
	return backoff.RetryWithData(func() (T, error) {
		v, err := ask()
		if errors.Is(err, publisher.ErrUnreadable) {
			return v, backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithContext(policy, ctx))
}

// request reads the message of a request again, and nil where it is gone.
func (c Config) request(ctx context.Context, r Request) (*worker.Delivery, error) {
	d, err := retried(ctx, func() (*worker.Delivery, error) {
		return c.Seeker.Next(ctx, c.Subjects.RequestsStream(), c.Subjects.Requests(r.Account), r.Sequence)
	})
	if err != nil || d == nil || d.Sequence != r.Sequence {
		return nil, err
	}
	return d, nil
}
