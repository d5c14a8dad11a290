package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

func decodeHandoff(body []byte) *purchase.Handoff {
	h := new(purchase.Handoff)
	if err := json.Unmarshal(body, h); err != nil {
		panic(err)
	}
	return h
}

// handoff is the newest hand-off of a purchase.
func (s *streams) handoff(reference string) (*purchase.Handoff, uint64) {
	s.pending.mu.Lock()
	defer s.pending.mu.Unlock()
	if m := s.pending.last(reference); m != nil {
		return decodeHandoff(m.body), m.sequence
	}
	return nil, 0
}

// transaction is what the vendor holds of a purchase.
type transaction struct {
	id       string
	digest   purchase.Digest
	state    purchase.OutcomeKind // Completed, Failed or InFlight
	becomes  purchase.OutcomeKind // what InFlight turns into
	ends     time.Time
	visible  time.Time // in /transactions
	vends    int
	receipts bool // /transactions shows the receipt
	calls    int
}

// vendorModel is idempotent on the reference, and may do anything else.
type vendorModel struct {
	fate    *fate
	streams *streams
	// bearsReference: items of /transactions can be found by reference.
	bearsReference bool

	mu           sync.Mutex
	transactions map[string]*transaction
}

func (v *vendorModel) settle(tx *transaction) {
	if tx.state == purchase.InFlight && !time.Now().Before(tx.ends) {
		tx.state = tx.becomes
		if tx.state == purchase.Completed {
			tx.vends++
		}
	}
}

// client is a process's view of the vendor.
type client struct {
	process *process
	vendor  *vendorModel
	account purchase.Account
}

func (c *client) Purchase(_ context.Context, reference string, body []byte) purchase.Outcome {
	v := c.vendor
	var outcome purchase.Outcome
	// The promise: no call while a stored hand-off says that the vendor answered,
	// unless it has completed since and the receipt is fetched. A call that was
	// begun before the hand-off was stored cannot be called back.
	handoff, _ := v.streams.handoff(reference)
	answered := handoff != nil && handoff.State == purchase.OpenInFlight
	watch := func(tx *transaction) {
		if answered && tx.state == purchase.InFlight {
			v.streams.broke("%s: posted by %s while it is open and its hand-off says so", reference, c.process.name)
		}
	}
	err := c.process.effect("purchase", func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		switch v.fate.intn(12) {
		case 0:
			outcome = purchase.Outcome{Kind: purchase.Limited}
			return nil
		case 1:
			outcome = purchase.Outcome{Kind: purchase.Unreachable}
			return nil
		case 2:
			outcome = purchase.Outcome{Kind: purchase.Unknown}
			return nil
		}
		request, err := purchase.Parse(body, c.account)
		if err != nil {
			panic(err)
		}
		tx := v.transactions[reference]
		if tx == nil {
			tx = v.create(reference, request)
		} else {
			v.settle(tx)
			watch(tx)
		}
		tx.calls++
		switch v.fate.intn(10) {
		case 0:
			outcome = purchase.Outcome{Kind: purchase.Unknown}
		case 1:
			outcome = purchase.Outcome{Kind: purchase.LookUp}
		default:
			outcome = tx.outcome(true)
		}
		return nil
	})
	if err != nil {
		// Lost on the way there or back: nobody can tell.
		return purchase.Outcome{Kind: purchase.Unknown, Cause: err}
	}
	return outcome
}

// Lookup is asked for by no request of a history.
func (c *client) Lookup(context.Context, purchase.LookupKind, []byte) (purchase.Outcome, json.RawMessage) {
	return purchase.Outcome{Kind: purchase.Completed}, nil
}

func (v *vendorModel) create(reference string, r *purchase.Request) *transaction {
	now := time.Now()
	tx := &transaction{
		id:       fmt.Sprintf("tx-%d", len(v.transactions)+1),
		digest:   r.Digest,
		state:    []purchase.OutcomeKind{purchase.Completed, purchase.Failed, purchase.InFlight}[v.fate.intn(3)],
		becomes:  []purchase.OutcomeKind{purchase.Completed, purchase.Failed}[v.fate.intn(2)],
		ends:     now.Add(time.Duration(v.fate.intn(600)) * time.Second),
		visible:  now.Add(time.Duration(v.fate.intn(30)) * time.Second),
		receipts: v.fate.intn(2) == 0,
	}
	if tx.state == purchase.Completed {
		tx.vends++
	}
	v.transactions[reference] = tx
	return tx
}

func (tx *transaction) outcome(receipt bool) purchase.Outcome {
	o := purchase.Outcome{Kind: tx.state, TransactionID: tx.id}
	switch tx.state {
	case purchase.Completed:
		o.Code = purchase.CodeSuccess
		if receipt {
			o.Receipt = json.RawMessage(`{"token":12341234123412341234}`)
		}
	case purchase.Failed:
		o.Code, o.Class = "1203", purchase.ClassProvider
	}
	return o
}

func (c *client) Transaction(_ context.Context, id, reference string) purchase.Outcome {
	v := c.vendor
	outcome := purchase.Outcome{Kind: purchase.NotFound}
	err := c.process.effect("transactions", func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.fate.intn(12) == 0 {
			outcome = purchase.Outcome{Kind: purchase.Unknown}
			return nil
		}
		for ref, tx := range v.transactions {
			if (id != "" && tx.id == id || id == "" && v.bearsReference && ref == reference) && !time.Now().Before(tx.visible) {
				v.settle(tx)
				outcome = tx.outcome(tx.receipts)
			}
		}
		return nil
	})
	if err != nil {
		return purchase.Outcome{Kind: purchase.Unknown, Cause: err}
	}
	return outcome
}
