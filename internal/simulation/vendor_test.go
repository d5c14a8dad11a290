package simulation

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// state is what the vendor makes of a purchase; the numbers are those of
// /transactions.
type state int

const (
	completed state = 0
	pending   state = 1
	failed    state = 3
)

var stateNames = map[state]string{completed: "COMPLETED", pending: "PENDING", failed: "FAILED"}

// transaction is what the vendor holds of a purchase.
type transaction struct {
	id, reference string
	value         string // of the payload
	state         state
	becomes       state // what pending turns into
	ends          time.Time
	visible       time.Time // in /transactions
	code          string    // of a failure
	receipt       string    // of a success; "" for none
	shown         bool      // /transactions shows the receipt
	calls         int
}

// vendorModel is idempotent on the reference, and may do anything else.
type vendorModel struct {
	fate *fate

	mu           sync.Mutex
	transactions map[string]*transaction
	forbidden    map[string]bool // by reference: a 403 was given
	refused      map[string]bool // by reference: a look-up was refused
	broke        map[string]bool // by reference: insufficient balance was met, and nothing stored
	moods        moods
	tokens       int // serial of the newest
}

func newVendor(f *fate) *vendorModel {
	return &vendorModel{fate: f, transactions: map[string]*transaction{}, forbidden: map[string]bool{}, refused: map[string]bool{}, broke: map[string]bool{}}
}

// act is a purchase call that reached the vendor.
func (v *vendorModel) act(reference, value string) transaction {
	v.mu.Lock()
	defer v.mu.Unlock()
	tx := v.transactions[reference]
	if tx == nil {
		broke := v.isBroke()
		// A vendor that keeps no such refusal answers two calls differently: that is
		// tried where nothing makes two workers call at once.
		if broke && v.fate.weather.sound() && newDice(v.fate.seed, "keeps", reference).percent(50) {
			v.broke[reference] = true
			return transaction{id: "T-" + reference, state: failed, code: noBalance}
		}
		tx = v.create(reference, value)
		if broke {
			tx.state, tx.code = failed, noBalance
		}
	}
	tx.settle()
	tx.calls++
	return *tx
}

const noBalance = "1103"

// create makes a transaction whose course follows from the seed alone.
func (v *vendorModel) create(reference, value string) *transaction {
	d := newDice(v.fate.seed, "transaction", reference)
	now := time.Now()
	tx := &transaction{
		id: "T-" + reference, reference: reference, value: value,
		state:   []state{completed, failed, pending}[d.intn(3)],
		becomes: []state{completed, failed}[d.intn(2)],
		ends:    now.Add(d.upTo(10 * time.Minute)),
		visible: now.Add(d.upTo(30 * time.Second)),
		code:    []string{"1203", "1103", "999", "1206"}[d.intn(4)],
		shown:   d.percent(50),
	}
	if completes(reference) {
		tx.state = completed
	}
	if d.percent(80) {
		// What a second encoding would not leave as it is.
		tx.receipt = fmt.Sprintf(`{"token":"<%d&>","pin":1234567890123456789%d,"amount":30.0000,"x":"\u0041\/"}`, d.intn(10), d.intn(10))
	}
	v.transactions[reference] = tx
	return tx
}

func (tx *transaction) settle() {
	if tx.state == pending && !time.Now().Before(tx.ends) {
		tx.state = tx.becomes
	}
}

// find looks a transaction up, as /transactions does.
func (v *vendorModel) find(id, reference string) (transaction, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for ref, tx := range v.transactions {
		if (id != "" && tx.id == id || id == "" && v.fate.weather.bears && ref == reference) && !time.Now().Before(tx.visible) {
			tx.settle()
			return *tx, true
		}
	}
	return transaction{}, false
}

// at is a copy of what the vendor holds of a reference.
func (v *vendorModel) at(reference string) (transaction, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	tx := v.transactions[reference]
	if tx == nil {
		return transaction{}, false
	}
	tx.settle()
	return *tx, true
}

// answer is the answer to a purchase call, in one of the documented shapes.
// bears says that /transactions finds a purchase by its reference: else one whose
// every answer is an empty 202 could never be found again, and stays open.
func (tx *transaction) answer(d *dice, bears bool) (status int, body string) {
	message := `"responseMessage":"m"`
	switch tx.state {
	case pending:
		shape := d.intn(4)
		if shape == 0 && !bears {
			shape = 1
		}
		switch shape {
		case 0:
			return 202, ""
		case 1:
			return 202, fmt.Sprintf(`{"transactionId":%q}`, tx.id)
		case 2:
			return 200, fmt.Sprintf(`{"transactionId":%q,"responseCode":"PENDING",%s}`, tx.id, message)
		default:
			return 200, fmt.Sprintf(`{"success":true,"data":{"transactionId":%q,"status":"PROCESSING","responseCode":0}}`, tx.id)
		}
	case failed:
		if d.percent(50) {
			return 200, fmt.Sprintf(`{"transactionId":%q,"responseCode":%q,%s,"successful":false}`, tx.id, tx.code, message)
		}
		return 400, fmt.Sprintf(`{"success":false,"error":{"code":%s,"message":"m"}}`, tx.code)
	}
	receipt := ""
	if tx.receipt != "" {
		receipt = `,"receipt":` + tx.receipt
	}
	if d.percent(50) {
		return 200, fmt.Sprintf(`{"transactionId":%q,"responseCode":"0",%s,"successful":true%s}`, tx.id, message, receipt)
	}
	return 200, fmt.Sprintf(`{"success":true,"data":{"transactionId":%q,"status":"COMPLETED","responseCode":0%s}}`, tx.id, receipt)
}

// item is the transaction as /transactions shows it.
func (tx *transaction) item(bears bool) string {
	fields := map[string]any{
		"id": 1, "status": map[string]any{"code": tx.state, "label": stateNames[tx.state]}, "transactionId": tx.id, "price": json.Number("30.0000"),
	}
	if bears {
		fields["merchantReference"] = tx.reference
	}
	if tx.state == failed {
		fields["responseCode"] = tx.code
	}
	item := string(encode(fields))
	if tx.state == completed && tx.shown && tx.receipt != "" {
		item = item[:len(item)-1] + `,"receipt":` + tx.receipt + `}`
	}
	return item
}
