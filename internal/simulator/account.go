package simulator

import (
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// account is the memory of one set of credentials. Everything that changes is
// under its own mutex, so that accounts do not wait for each other.
type account struct {
	name       string
	cfg        Account
	maxEntries int
	limiter    *limiter

	mu      sync.Mutex
	records map[string]*record      // by merchantReference
	byID    map[string]*transaction // by transactionId
	listed  []*transaction          // with an id, in order of creation
	open    map[*transaction]struct{}
	aging   []*record // with MaxEntries: in order of creation
	balance *big.Rat  // nil: bottomless
	vends   int64
}

func newAccount(a Account, cfg Config) *account {
	made := &account{name: a.Username, cfg: a, maxEntries: cfg.MaxEntries, limiter: newLimiter(*a.PurchaseLimit)}
	made.reset()
	return made
}

func (a *account) reset() {
	a.limiter.reset()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = make(map[string]*record)
	a.byID = make(map[string]*transaction)
	a.open = make(map[*transaction]struct{})
	a.listed, a.aging, a.balance, a.vends = nil, nil, nil, 0
	if a.cfg.Balance != "" {
		a.balance, _ = parseAmount(a.cfg.Balance) // was checked by New
	}
}

// record finds the record of a reference or makes it. a.mu must be held.
func (a *account) record(reference string, now time.Time) *record {
	rec, ok := a.records[reference]
	if ok {
		return rec
	}
	rec = &record{reference: reference, first: now}
	a.records[reference] = rec
	if a.maxEntries > 0 {
		a.aging = append(a.aging, rec)
		a.forgetOldest()
	}
	return rec
}

// forgetOldest keeps the ledger within MaxEntries. An open purchase is never
// forgotten: it goes to the end of the queue.
func (a *account) forgetOldest() {
	for tries := len(a.aging); len(a.records) > a.maxEntries && tries > 1; tries-- {
		rec := a.aging[0]
		a.aging = a.aging[1:]
		if rec.current != nil && rec.current.state.Open() {
			a.aging = append(a.aging, rec)
			continue
		}
		delete(a.records, rec.reference)
		for _, tx := range rec.transactions() {
			if tx.id != "" {
				delete(a.byID, tx.id)
				tx.record = nil
			}
		}
	}
	// Transactions without a record are dropped once they are half of the list.
	if len(a.listed) > 2*len(a.byID)+16 {
		kept := make([]*transaction, 0, len(a.byID))
		for _, tx := range a.listed {
			if tx.record != nil {
				kept = append(kept, tx)
			}
		}
		a.listed = kept
	}
}

// settleAll ends the open transactions whose time has come. a.mu must be held.
func (a *account) settleAll(now time.Time) {
	for tx := range a.open {
		a.settle(tx, now)
	}
}

// settle ends a transaction if its time has come. a.mu must be held.
func (a *account) settle(tx *transaction, now time.Time) {
	if tx.state.Open() && tx.due(now) {
		a.finish(tx, tx.then, tx.thenCode)
	}
}

// finish gives a transaction its end. a.mu must be held.
func (a *account) finish(tx *transaction, end State, code string) {
	delete(a.open, tx)
	tx.state = end
	switch end {
	case Completed:
		a.vends++
	default:
		tx.code, tx.message = code, messageOf(code)
		if a.balance != nil {
			a.balance.Add(a.balance, tx.cost) // what was reserved goes back
		}
	}
}

// Errors of End.
var (
	ErrNotOpen     = errors.New("simulator: no open transaction under this reference")
	ErrNotTerminal = errors.New("simulator: not a terminal state")
)

// SetBalance makes the account's float another one, in ZAR. What was purchased or
// refused before stays as it was.
func (s *Simulator) SetBalance(username, balance string) error {
	a, ok := s.accounts[username]
	if !ok {
		return fmt.Errorf("simulator: there is no account %q", username)
	}
	amount, ok := parseAmount(balance)
	if !ok {
		return fmt.Errorf("simulator: balance %q is not a decimal", balance)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.balance = amount
	return nil
}

// End ends an open purchase now: Completed, or Failed with a code (999 where
// none is given). The error is ErrNotOpen or ErrNotTerminal.
func (s *Simulator) End(username, reference string, end State, code string) error {
	if end != Completed && end != Failed {
		return fmt.Errorf("%w: %q", ErrNotTerminal, end)
	}
	fill(&code, codeFailed)
	ended := false
	s.withRecord(username, reference, func(a *account, rec *record) {
		if rec.current != nil && rec.current.state.Open() {
			a.finish(rec.current, end, code)
			ended = true
		}
	})
	if !ended {
		return ErrNotOpen
	}
	return nil
}
