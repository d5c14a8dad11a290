package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Entry is what the vendor knows of one (account, merchantReference). It holds
// no customer data: neither number nor PIN.
type Entry struct {
	Account   string `json:"account"`
	Reference string `json:"reference"`
	// TransactionID and Status are empty where no transaction was made. A refusal
	// that is stored under its reference has status FAILED and no transaction.
	TransactionID string `json:"transaction_id,omitempty"`
	Status        State  `json:"status,omitempty"`
	Code          string `json:"code,omitempty"` // of a failure
	ProductCode   string `json:"product_code,omitempty"`
	Amount        string `json:"amount,omitempty"` // the literal of the first call

	// Calls are all calls of /purchase; the next four say how each ended.
	Calls int `json:"calls"`
	// Acted made the transaction or found it; the answer may have been lost.
	Acted int `json:"acted"`
	// Refused left no transaction: a refusal, or a fault that came before.
	Refused      int `json:"refused"`
	Unauthorized int `json:"unauthorized"`
	Limited      int `json:"limited"`

	// Vends are the transactions that were completed: at most 1, unless the fault
	// forget was ordered.
	Vends int `json:"vends"`
	// RepostedWhileOpen counts purchase calls that came while the transaction was
	// open and after a non-terminal answer had been sent (contract, promise 2).
	// A caller that died between reading the answer and storing it is counted too.
	RepostedWhileOpen int `json:"reposted_while_open"`
	// RepostedUntold counts the same, but up to the moment at which the caller was
	// told the end, even if the transaction had ended before.
	RepostedUntold int `json:"reposted_untold"`
	// Polls are the calls of /transactions that asked for this purchase.
	Polls int `json:"polls"`

	FirstCall time.Time `json:"first_call"`
	// Digests are the SHA-256 of the distinct bodies, eight at most.
	Digests []string `json:"digests"`
}

const maxDigests = 8

// record is the memory of one reference. Its account's mutex guards it.
type record struct {
	reference   string
	current     *transaction // nil until one is stored
	forgotten   []*transaction
	productCode string
	amount      string

	calls, acted, refused, unauthorized, limited int
	repostedOpen, repostedUntold, polls          int
	conventionCalls, conventionPolls             int // struck by the reference's own fault

	first   time.Time
	digests [][sha256.Size]byte
	bodies  [][]byte // with KeepBodies

	openTold int64 // sequence of the first non-terminal answer, 0 for none
	endTold  bool  // a terminal answer was sent
}

// note adds a body to the distinct ones.
func (rec *record) note(body []byte, keep bool) {
	sum := sha256.Sum256(body)
	if len(rec.digests) >= maxDigests || slices.Contains(rec.digests, sum) {
		return
	}
	rec.digests = append(rec.digests, sum)
	if keep {
		rec.bodies = append(rec.bodies, body)
	}
}

// told remembers that an answer was sent with the state that it gave.
func (rec *record) told(state State, sequence int64) {
	if !state.Open() {
		rec.endTold = true
	} else if rec.openTold == 0 {
		rec.openTold = sequence
	}
}

// audit counts a purchase call against promise 2. Only calls that came after
// the answer was sent are at fault, so arrivals and answers have one order.
func (rec *record) audit(arrived int64) {
	if rec.openTold == 0 || arrived < rec.openTold {
		return
	}
	if rec.current != nil && rec.current.state.Open() {
		rec.repostedOpen++
	}
	if !rec.endTold {
		rec.repostedUntold++
	}
}

// entry is the record as it is shown.
func (rec *record) entry(username string) Entry {
	e := Entry{
		Account: username, Reference: rec.reference,
		ProductCode: rec.productCode, Amount: rec.amount,
		Calls: rec.calls, Acted: rec.acted, Refused: rec.refused,
		Unauthorized: rec.unauthorized, Limited: rec.limited,
		RepostedWhileOpen: rec.repostedOpen, RepostedUntold: rec.repostedUntold, Polls: rec.polls,
		FirstCall: rec.first.UTC(),
		Digests:   make([]string, 0, len(rec.digests)),
	}
	for _, sum := range rec.digests {
		e.Digests = append(e.Digests, hex.EncodeToString(sum[:]))
	}
	if tx := rec.current; tx != nil {
		e.TransactionID, e.Status, e.Code = tx.id, tx.state, tx.code
	}
	e.Vends = rec.vends()
	return e
}

// transactions are the current one and those that were forgotten.
func (rec *record) transactions() []*transaction {
	all := slices.Clone(rec.forgotten)
	if rec.current != nil {
		all = append(all, rec.current)
	}
	return all
}

// vends counts the completed transactions of the reference.
func (rec *record) vends() int {
	n := 0
	for _, tx := range rec.transactions() {
		if tx.state == Completed {
			n++
		}
	}
	return n
}

// Ledger lists what the vendor knows of an account's references, in order of
// their first call. An unknown account has none.
func (s *Simulator) Ledger(username string) []Entry {
	a, ok := s.accounts[username]
	if !ok {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settleAll(s.cfg.Now())
	entries := make([]Entry, 0, len(a.records))
	for _, rec := range a.records {
		entries = append(entries, rec.entry(username))
	}
	slices.SortFunc(entries, func(x, y Entry) int {
		if order := x.FirstCall.Compare(y.FirstCall); order != 0 {
			return order
		}
		return strings.Compare(x.Reference, y.Reference)
	})
	return entries
}

// Entry is the ledger's entry of one reference.
func (s *Simulator) Entry(username, reference string) (Entry, bool) {
	var e Entry
	found := s.withRecord(username, reference, func(_ *account, rec *record) { e = rec.entry(username) })
	return e, found
}

// Body is the first body that came under a reference; KeepBodies must be on.
func (s *Simulator) Body(username, reference string) ([]byte, bool) {
	bodies := s.Bodies(username, reference)
	if len(bodies) == 0 {
		return nil, false
	}
	return bodies[0], true
}

// Bodies are the distinct bodies that came under a reference, in order; eight
// at most, and none unless KeepBodies is on.
func (s *Simulator) Bodies(username, reference string) [][]byte {
	var bodies [][]byte
	s.withRecord(username, reference, func(_ *account, rec *record) { bodies = slices.Clone(rec.bodies) })
	return bodies
}

// Receipt is the receipt of a completed purchase as the vendor writes it in the
// answer to a purchase call; nil where it has none to give.
func (s *Simulator) Receipt(username, reference string) []byte {
	var receipt []byte
	s.withRecord(username, reference, func(_ *account, rec *record) {
		if tx := rec.current; tx != nil && tx.state == Completed && tx.receipt != ReceiptNone {
			receipt = tx.appendReceipt(nil)
		}
	})
	return receipt
}

// withRecord runs fn on a record as it stands now, under its account's lock.
func (s *Simulator) withRecord(username, reference string, fn func(*account, *record)) bool {
	a, ok := s.accounts[username]
	if !ok {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	rec, ok := a.records[reference]
	if !ok {
		return false
	}
	now := s.cfg.Now()
	for _, tx := range rec.transactions() {
		a.settle(tx, now)
	}
	fn(a, rec)
	return true
}
