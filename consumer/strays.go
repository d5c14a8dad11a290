package consumer

import (
	"context"
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
	Known    []string // the configured accounts
	Requests Requests
	Ledger   Looker
	Dead     Undertaker
	Observer Observer
	Report   func(error)

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
		ended, err := s.ended(ctx, account, request.Reference)
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

func (s *Strays) ended(ctx context.Context, account, reference string) (bool, error) {
	known, err := s.Ledger.Look(ctx, account, []string{reference})
	if err != nil {
		return false, err
	}
	return known[0].Handoff != nil || known[0].Result != nil, nil
}
