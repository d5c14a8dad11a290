package pause

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Entry is a record and the revision it has in the bucket; 0 where there is none.
type Entry struct {
	Record
	Revision uint64
}

// ErrChanged is returned by a Store where the record is not the one seen any more.
var ErrChanged = errors.New("pause: the record was changed meanwhile")

// Store keeps the records.
type Store interface {
	// Load returns the account's entry, and the zero Entry where there is none.
	Load(ctx context.Context, account string) (Entry, error)
	// Save replaces the record of that revision and returns the new entry, or
	// ErrChanged.
	Save(ctx context.Context, account string, r Record, revision uint64) (Entry, error)
	// Watch tells of all records and then of every change, until ctx ends (nil) or
	// the watch breaks. seen is called once, after all that were there.
	Watch(ctx context.Context, each func(account string, e Entry), seen func()) error
}

const (
	// callTimeout is for each call to the store: a purchase may wait for it.
	callTimeout = 2 * time.Second
	// watchRetry is the time before a watch that broke is begun again.
	watchRetry = time.Second
)

// Board is one process's view of the records. It is safe for concurrent use.
type Board struct {
	// Changed is told when an account is paused, for whatever cause, or resumed.
	// Nil: nobody. It must not block. To be set before the board is used.
	Changed func(account string, r Record)

	store  Store
	report func(error)

	mu      sync.Mutex
	entries map[string]Entry
}

// NewBoard makes a board that holds every account for not paused, until Load or
// Run says otherwise. report is told of errors that stop nothing.
func NewBoard(s Store, report func(error)) *Board {
	return &Board{store: s, report: report, entries: map[string]Entry{}}
}

// Load reads the records of the accounts, so that none that is paused begins.
func (b *Board) Load(ctx context.Context, accounts []string) error {
	for _, account := range accounts {
		e, err := b.store.Load(ctx, account)
		if err != nil {
			return fmt.Errorf("pause: read whether account %s is paused: %w", account, err)
		}
		b.put(account, e)
	}
	return nil
}

// Run keeps the view up to date until ctx ends.
func (b *Board) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		watching, cancel := context.WithTimeout(ctx, watchAgain)
		err := b.watch(watching)
		cancel()
		if err != nil && ctx.Err() == nil {
			b.report(fmt.Errorf("pause: watch the accounts' pauses: %w", err))
			select {
			case <-time.After(watchRetry):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// watch takes over all records at once, which also forgets those of a bucket that
// was made anew, and then every change.
func (b *Board) watch(ctx context.Context) error {
	all := map[string]Entry{}
	return b.store.Watch(ctx, func(account string, e Entry) {
		if all != nil {
			all[account] = e
			return
		}
		b.put(account, e)
	}, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for account, e := range all {
			b.tell(account, e)
		}
		b.entries, all = all, nil
	})
}

// tell tells of a change. b.mu is held.
func (b *Board) tell(account string, e Entry) {
	if was := b.entries[account]; b.Changed != nil && e.Cause != was.Cause {
		b.Changed(account, e.Record)
	}
}

// Entry is the account's, as this process sees it.
func (b *Board) Entry(account string) Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[account]
}

// put takes over what the store says, unless that is known: a pause that this
// process has found and not stored yet is not ended by what was there before.
func (b *Board) put(account string, e Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Revision > b.entries[account].Revision {
		b.tell(account, e)
		b.entries[account] = e
	}
}

// hold takes a pause for true before the store has it: the process that found
// the cause stops at once, also where NATS is away.
func (b *Board) hold(account string, r Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := Entry{Record: r, Revision: b.entries[account].Revision}
	b.tell(account, e)
	b.entries[account] = e
}

// Change replaces the account's record by what next makes of it, which may say
// that nothing is to be done. It returns the entry afterwards, and whether it was
// this call that changed it.
func (b *Board) Change(ctx context.Context, account string, next func(Record) (Record, bool)) (Entry, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		e, err := b.store.Load(ctx, account)
		if err != nil {
			return Entry{}, false, fmt.Errorf("pause: read whether account %s is paused: %w", account, err)
		}
		b.put(account, e)
		r, change := next(e.Record)
		if !change {
			return e, false, nil
		}
		saved, err := b.store.Save(ctx, account, r, e.Revision)
		if errors.Is(err, ErrChanged) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return Entry{}, false, fmt.Errorf("pause: store whether account %s is paused: %w", account, err)
		}
		b.put(account, saved)
		return saved, true, nil
	}
}

// Pause pauses an account in an operator's name.
func (b *Board) Pause(ctx context.Context, account, who, reason string) error {
	_, _, err := b.Change(ctx, account, func(Record) (Record, bool) { return pausedBy(who, reason, time.Now()), true })
	return err
}

// Resume ends whatever pause the account has. False: it had none.
func (b *Board) Resume(ctx context.Context, account, who, reason string) (bool, error) {
	_, changed, err := b.Change(ctx, account, func(r Record) (Record, bool) {
		return resumedBy(who, reason, time.Now()), r.Paused()
	})
	return changed, err
}
