package simulator

import (
	"math/big"
	"net/http"
	"strconv"
	"time"
)

// transaction is one purchase as the vendor stored it. One without an id is a
// refusal that was stored under its reference. Its account's mutex guards it.
type transaction struct {
	id      string
	number  int64
	record  *record // nil once the reference was dropped for MaxEntries
	product *Product
	cost    *big.Rat
	// customer is the number that a receipt repeats: meter or account.
	customer string
	channel  string
	created  time.Time

	state         State
	code, message string // of a failure

	then     State // what an open one becomes
	thenCode string
	ends     time.Time // when; zero: not by time
	byPolls  bool      // or after this many polls
	polls    int

	visible     time.Time // when /transactions begins to show it
	hiddenPolls int       // and for how many polls it does not
	receipt     ReceiptMode
}

// newTransaction makes a transaction as the step orders it; without one it is
// completed at once.
func (s *Simulator) newTransaction(req *purchaseRequest, product *Product, cost *big.Rat, step *Step, now time.Time) *transaction {
	number := s.transactionNumber.Add(1)
	tx := &transaction{
		id:       transactionID(number),
		number:   number,
		product:  product,
		cost:     cost,
		customer: req.customer(product),
		channel:  req.channelID,
		created:  now,
		state:    Completed,
		then:     Completed,
		thenCode: codeFailed,
		visible:  now,
	}
	if step == nil {
		return tx
	}
	tx.receipt = step.Receipt
	tx.visible = now.Add(time.Duration(step.HiddenFor))
	tx.hiddenPolls = step.HiddenPolls
	switch step.stored() {
	case StoredFailed:
		tx.state = Failed
		tx.code, tx.message = step.Code, step.Message
		fill(&tx.code, codeFailed)
		fill(&tx.message, messageOf(tx.code))
	case StoredPending, StoredProcessing:
		tx.state = Pending
		if step.stored() == StoredProcessing {
			tx.state = Processing
		}
		if step.For > 0 {
			tx.ends = now.Add(time.Duration(step.For))
		}
		tx.byPolls, tx.polls = step.Polls > 0, step.Polls
		if step.Then != "" {
			tx.then = step.Then
		}
		if step.ThenCode != "" {
			tx.thenCode = step.ThenCode
		}
	default:
	}
	return tx
}

func transactionID(number int64) string {
	const width = 12
	digits := strconv.FormatInt(number, 10)
	b := append(make([]byte, 0, 4+width), "VAS-"...)
	for range width - len(digits) {
		b = append(b, '0')
	}
	return string(append(b, digits...))
}

// due reports whether an open transaction's time has come.
func (tx *transaction) due(now time.Time) bool {
	if tx.byPolls {
		return tx.polls == 0
	}
	return !tx.ends.IsZero() && !now.Before(tx.ends)
}

// shown reports whether /transactions lists it.
func (tx *transaction) shown(now time.Time) bool {
	return tx.id != "" && tx.hiddenPolls == 0 && !now.Before(tx.visible)
}

// polled counts a call of /transactions that asked for this transaction.
func (tx *transaction) polled() {
	switch {
	case tx.hiddenPolls > 0:
		tx.hiddenPolls--
	case tx.state.Open() && tx.polls > 0:
		tx.polls--
	}
}

// vendorTime is how the vendor writes times: no zone, up to nine decimals
// (pagamio-api.md, "Purchase": success, flat).
const vendorTime = "2006-01-02T15:04:05.999999999"

// reply is the transaction as /purchase answers it (pagamio-api.md, "Purchase":
// success, failure and in flight).
func (tx *transaction) reply(shape Shape) reply {
	if tx.state == Failed {
		return failure(shape, http.StatusOK, tx.code, tx.message)
	}
	b := make([]byte, 0, 512)
	if shape == Enveloped {
		b = append(b, `{"success":true,"data":{"transactionId":"`...)
		b = append(b, tx.id...)
		b = append(b, `","status":"`...)
		b = append(b, tx.state...)
		if tx.state == Completed {
			b = append(b, `","responseCode":0,"responseMessage":"Transaction successful"`...)
		} else {
			b = append(b, `","responseCode":"`...)
			b = append(b, tx.state...)
			b = append(b, `","responseMessage":"Transaction in progress"`...)
		}
	} else {
		b = append(b, `{"transactionId":"`...)
		b = append(b, tx.id...)
		if tx.state == Completed {
			b = append(b, `","responseCode":"0","responseMessage":"Transaction successful"`...)
		} else {
			b = append(b, `","responseCode":"`...)
			b = append(b, tx.state...)
			b = append(b, `","responseMessage":"Transaction in progress"`...)
		}
		b = append(b, `,"responseDateTime":"`...)
		b = tx.created.UTC().AppendFormat(b, vendorTime)
		b = append(b, '"')
		if tx.state == Completed {
			b = append(b, `,"successful":true`...)
		}
	}
	if tx.state == Completed && tx.receipt != ReceiptNone {
		b = append(b, `,"receipt":`...)
		b = tx.appendReceipt(b)
	}
	if shape == Enveloped {
		b = append(b, '}')
	}
	return jsonReply(http.StatusOK, append(b, '}'))
}
