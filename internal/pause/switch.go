package pause

import (
	"context"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Switch is one account's pause as one process works with it. It is safe for
// concurrent use.
type Switch struct {
	board   *Board
	account string

	mu    sync.Mutex
	count count
	since time.Time // of the record that the count belongs to
}

// Call is what kind of call was made.
type Call struct {
	Purchase bool // it was to purchase
	Probe    bool // it was made in spite of the pause
}

// Switch makes the account's.
func (b *Board) Switch(account string) *Switch { return &Switch{board: b, account: account} }

// Record is the account's, as this process sees it.
func (s *Switch) Record() Record { return s.board.Entry(s.account).Record }

// Probe takes the right to one call in spite of the pause, for one process at a
// time; pollers have turns of their own. False: no probe is due, another process
// has the right, or it could not be found out.
func (s *Switch) Probe(ctx context.Context, poller bool) bool {
	if _, due := s.Record().probing(poller, time.Now()); !due {
		return false
	}
	_, ours, err := s.board.Change(ctx, s.account, func(r Record) (Record, bool) { return r.probing(poller, time.Now()) })
	if err != nil && ctx.Err() == nil {
		s.board.report(err)
	}
	return ours
}

// Observe is told what a call said. It pauses the account where the vendor
// refuses its credentials or one purchase after the other, and ends the pause
// where a probe has succeeded.
func (s *Switch) Observe(o purchase.Outcome, c Call) {
	if !c.Purchase && o.Kind == purchase.Forbidden {
		o.Kind = purchase.NotFound // it says nothing about the right to purchase
	}
	if c.Probe && (c.Purchase || s.Record().Cause == Unauthorized) {
		s.change(func(r Record) (Record, bool) { return r.recovered(o, time.Now()) })
	}
	if cause := s.saw(o, c); cause != None {
		s.Trip(cause)
	}
}

func (s *Switch) saw(o purchase.Outcome, c Call) Cause {
	s.mu.Lock()
	defer s.mu.Unlock()
	// What was counted before the account was paused or resumed is history.
	if since := s.Record().Since; !since.Equal(s.since) {
		s.count, s.since = count{}, since
	}
	return s.count.saw(o, c.Purchase, time.Now())
}

// Trip pauses the account for the cause, unless it is paused already.
func (s *Switch) Trip(cause Cause) {
	r, change := s.Record().tripped(cause, time.Now())
	if !change {
		return
	}
	s.board.hold(s.account, r)
	s.change(func(there Record) (Record, bool) { return there.tripped(cause, time.Now()) })
}

func (s *Switch) change(next func(Record) (Record, bool)) {
	// The call is over, and what it showed must not be lost with its context.
	if _, _, err := s.board.Change(context.Background(), s.account, next); err != nil {
		s.board.report(err)
	}
}
