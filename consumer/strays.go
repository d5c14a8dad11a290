package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// strayInterval is the time between looks for requests of unknown accounts.
const strayInterval = 2 * time.Second

// Requests reads the requests stream beside the accounts' own consumers.
type Requests interface {
	// Accounts are those that have requests on the stream, known or not.
	Accounts(ctx context.Context) ([]string, error)
	// Served reports whether a consumer of that account exists: some process,
	// not always this one, works or has worked for it.
	Served(ctx context.Context, account string) (bool, error)
	// Next is the account's first request at or after a sequence, and nil where
	// there is none.
	Next(ctx context.Context, account string, from uint64) (*worker.Delivery, error)
}

// Strays buries the requests of accounts that nobody knows: that are not in the
// configuration, and for which no process has ever made a consumer. All
// processes may do it at once, since a message has one dead letter.
type Strays struct {
	Known []string // the configured accounts
	// DigestKey is dedupe.digest_key: what an account that was removed has ended
	// bears digests made with it.
	DigestKey []byte
	Requests  Requests
	Ledger    Looker
	Dead      Undertaker
	Observer  Observer
	Report    func(error)

	next map[string]uint64 // by account; only Run's goroutine
}

// Run looks for strays until ctx ends.
func (s *Strays) Run(ctx context.Context) error {
	s.next = map[string]uint64{}
	known := make(map[string]bool, len(s.Known))
	for _, account := range s.Known {
		known[account] = true
	}
	for {
		accounts, err := s.Requests.Accounts(ctx)
		for _, account := range accounts {
			if !known[account] && ctx.Err() == nil {
				err = errors.Join(err, s.bury(ctx, account))
			}
		}
		if err != nil && ctx.Err() == nil {
			s.Report(fmt.Errorf("consumer: look for requests of unknown accounts: %w", err))
		}
		if !worker.Sleep(ctx, strayInterval) {
			return nil
		}
	}
}

// bury works through one account's requests. Whether somebody serves the account
// is asked again before each, as a process may be starting that does.
func (s *Strays) bury(ctx context.Context, account string) error {
	var known map[uint64]bool // buried before, by another process or an earlier run of this one
	for ctx.Err() == nil {
		d, err := s.Requests.Next(ctx, account, s.next[account])
		if err != nil || d == nil {
			return err
		}
		if known == nil {
			if known, err = s.Dead.DeadSequences(ctx, account); err != nil {
				return err
			}
		}
		if known[d.Sequence] {
			s.next[account] = d.Sequence + 1
			continue
		}
		served, err := s.Requests.Served(ctx, account)
		if err != nil || served {
			return err
		}
		if err := s.buryOne(ctx, account, d); err != nil {
			return err
		}
		s.next[account] = d.Sequence + 1
	}
	return nil
}

func (s *Strays) buryOne(ctx context.Context, account string, d *worker.Delivery) error {
	why := &purchase.Rejection{
		Reason: purchase.ReasonUnknownAccount,
		Detail: "no account of the subject's name is configured, and no process has ever served one: check the subject, or add the account and submit again",
	}
	request, err := purchase.Parse(d.Body, purchase.Account{Name: account})
	if err != nil && !errors.As(err, &why) {
		return err
	}
	if err == nil {
		// Left over from an account that was served once and removed.
		ended, err := s.ended(ctx, request, d)
		if err != nil || ended {
			return err
		}
	}
	err = s.Dead.PublishDead(ctx, publisher.DeadLetter{
		Account:  account,
		Sequence: d.Sequence,
		Reason:   why.Reason,
		Detail:   why.Detail,
		Header:   d.Header,
		Body:     d.Body,
	})
	if err == nil && s.Observer != nil {
		s.Observer.Observe(Event{Kind: EventBuried, Sequence: d.Sequence, Reason: why.Reason})
	}
	return err
}

// ended reports whether the request's own end is stored, or is being found out by a
// poller. The reference may be another payload's: of such a request nobody will ever
// store an end, and it is buried as every other of its account.
//
// Which payload an end is of its digest tells, though it depends on what is not
// known of an account that is not configured: on its channel, which the end names,
// and on the digest key, which is one for all accounts. What is left: the channel of
// an end may have stood in its request instead, so that a request without one is
// taken for a repeat of it where the account may have had another.
func (s *Strays) ended(ctx context.Context, r *purchase.Request, d *worker.Delivery) (bool, error) {
	account := purchase.Account{Name: r.Account, DigestKey: s.DigestKey}
	all, err := s.Ledger.Look(ctx, r.Account, []string{r.Reference})
	if err != nil {
		return false, err
	}
	handoff, result := all[0].Handoff, all[0].Result
	if handoff != nil {
		same, known := handoff.RequestDigest.Of(d.Body, account, handoff.ChannelID)
		if !known {
			same = sameRequest(r, handoff, d)
		}
		if same {
			return true, nil
		}
	}
	// Also where the hand-off is another's: this one's result may have come first.
	if result == nil {
		return false, nil
	}
	same, known := result.RequestDigest.Of(d.Body, account, result.Channel())
	return same || !known && maybeOf(r, result), nil
}

// sameRequest holds a request against a hand-off whose digest was made with a key
// that is not configured here: the hand-off has the body that it is for.
func sameRequest(r *purchase.Request, h *purchase.Handoff, d *worker.Delivery) bool {
	theirs, err := purchase.Parse(h.Request, purchase.Account{Name: r.Account, ChannelID: h.ChannelID})
	if err != nil {
		return false
	}
	same, _ := theirs.Digest.Of(d.Body, purchase.Account{Name: r.Account}, h.ChannelID)
	return same
}

// maybeOf holds a request against a result whose digest was made with a key that is
// not configured here. What the result says of its request tells most payloads
// apart. Where it tells nothing the request is taken for a repeat, and left as it
// is: a dead letter of a purchase that was made would be untrue for ever, and with
// the key configured the truth is found at the next start.
func maybeOf(r *purchase.Request, result *purchase.Result) bool {
	ours := r.Refuse(&purchase.Refusal{}, purchase.Ending{}) // what a result says of the request
	theirs := *result
	if len(ours.ChannelID) == 0 {
		theirs.ChannelID = nil // it may be the account's
	}
	return stated(&ours) == stated(&theirs)
}

// stated is the digest of what a result says of its request.
func stated(r *purchase.Result) purchase.Digest {
	body, err := json.Marshal(map[string]any{
		"merchantReference": r.MerchantReference, "productCode": r.ProductCode, "amount": r.Amount, "channelId": r.ChannelID,
	})
	if err != nil {
		return ""
	}
	request, err := purchase.Parse(body, purchase.Account{})
	if err != nil {
		return ""
	}
	return request.Digest
}
