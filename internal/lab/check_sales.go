package lab

import (
	"bytes"
	"encoding/json"
	"math/big"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

func decodeResult(data []byte) (*purchase.Result, error) {
	r := new(purchase.Result)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, err
	}
	return r, nil
}

// amountOf is the amount of a body, number or string; nil where there is none.
func amountOf(body []byte) *big.Rat {
	var fields struct {
		Amount json.RawMessage `json:"amount"`
	}
	if json.Unmarshal(body, &fields) != nil {
		return nil
	}
	return decimal(string(bytes.Trim(fields.Amount, `"`)))
}

func decimal(text string) *big.Rat {
	if len(text) > 40 { // a long exponent would fill the memory
		return nil
	}
	amount, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	return amount
}

// checkSales holds the results against the vendor's ledger.
func (a *audit) checkSales() {
	for _, sale := range a.e.Sales {
		key := Key{sale.Account, sale.Reference}
		a.sales[key] = sale
		if sale.Vends > 1 {
			a.breach(2, key, "was vended %d times", sale.Vends)
		}
		if sale.RepostedWhileOpen > 0 && !a.e.Killed {
			a.breach(2, key, "was posted again %d times while it was open", sale.RepostedWhileOpen)
		}
		if sale.RepostedUntold > 0 && !a.e.Killed {
			a.breach(2, key, "was posted again %d times before its end was known", sale.RepostedUntold)
		}
		if len(a.results[key]) == 0 {
			a.breach(1, key, "the vendor was called and there is no result")
		}
		if sale.Limited > 0 && !a.e.Limited[key] {
			a.breach(6, key, "went over the purchase limit %d times", sale.Limited)
		}
	}
	for key, results := range a.results {
		for _, r := range results {
			a.checkResult(key, r)
		}
	}
}

// checkResult asks that a result states what the vendor states.
func (a *audit) checkResult(key Key, r *purchase.Result) {
	sale, called := a.sales[key]
	completed := called && sale.Status == simulator.Completed
	switch r.Status {
	case purchase.StatusCompleted:
		if !completed {
			a.breach(4, key, "the result says COMPLETED and the vendor says %q", sale.Status)
		}
		if r.TransactionID != sale.TransactionID {
			a.breach(4, key, "the result names transaction %q and the vendor %q", r.TransactionID, sale.TransactionID)
		}
		if r.ResponseCode != purchase.CodeSuccess || r.Failure != nil {
			a.breach(4, key, "the result says COMPLETED with code %q or a failure", r.ResponseCode)
		}
		if !bytes.Equal(r.Receipt, sale.Receipt) {
			// Neither is shown: a receipt holds a PIN.
			a.breach(4, key, "the receipt is not the vendor's: %d bytes for %d", len(r.Receipt), len(sale.Receipt))
		}
	case purchase.StatusFailed:
		a.checkFailure(key, r, sale)
	default:
		a.breach(4, key, "the result has status %q", r.Status)
	}
	if !a.e.Killed {
		a.checkAttempts(key, r, sale)
	}
	a.checkGoods(key, r, sale)
}

func (a *audit) checkFailure(key Key, r *purchase.Result, sale Sale) {
	if sale.Vends > 0 || sale.Status.Open() {
		a.breach(4, key, "the result says FAILED and the vendor says %q", sale.Status)
	}
	if r.TransactionID != "" && r.TransactionID != sale.TransactionID {
		a.breach(4, key, "the result names transaction %q and the vendor %q", r.TransactionID, sale.TransactionID)
	}
	if r.Failure == nil || r.Failure.Class == "" {
		a.breach(4, key, "the result says FAILED without a class")
	}
	switch r.Source {
	case purchase.SourceValidation, purchase.SourceExpiry:
		// The vendor has not acted on 401 and 429: the purchase was not sent.
		if sent := sale.Calls - sale.Unauthorized - sale.Limited; sent > 0 {
			a.breach(4, key, "the result says that it was refused by %s, and the vendor had it %d times", r.Source, sent)
		}
	case purchase.SourcePurchase:
		// A vendor that stored nothing, as with 403, has no code to compare.
		if sale.Status == simulator.Failed && r.ResponseCode != sale.Code {
			a.breach(4, key, "the result says code %q and the vendor %q", r.ResponseCode, sale.Code)
		}
		if sale.Calls == 0 {
			a.breach(4, key, "the result says that the vendor refused it, and it was never asked")
		}
	}
}

// checkAttempts compares the attempts with the calls that the vendor counted. A
// call that was lost on its way is an attempt as far as the caller knows.
func (a *audit) checkAttempts(key Key, r *purchase.Result, sale Sale) {
	if r.Attempts < sale.Acted {
		a.breach(4, key, "the result says %d attempts and the vendor acted on %d calls", r.Attempts, sale.Acted)
	}
	most := int64(sale.Calls-sale.Unauthorized-sale.Limited) + a.e.Lost
	if int64(r.Attempts) > most {
		a.breach(4, key, "the result says %d attempts and the vendor had %d calls", r.Attempts, most)
	}
}

// checkGoods asks that what was sold is what was asked for.
func (a *audit) checkGoods(key Key, r *purchase.Result, sale Sale) {
	if sale.Vends == 0 {
		return
	}
	for _, one := range a.asked[key] {
		if one.digest != r.RequestDigest {
			continue
		}
		sold := decimal(sale.Amount)
		if one.product != sale.ProductCode || one.amount == nil || sold == nil || one.amount.Cmp(sold) != 0 {
			a.breach(4, key, "what the vendor sold is not what was asked for")
		}
		return
	}
}
