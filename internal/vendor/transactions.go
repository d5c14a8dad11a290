package vendor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vendstream/vendstream/internal/purchase"
)

var (
	errNotListed    = errors.New("the transactions shown do not hold this one")
	errNoList       = errors.New("the answer is neither a page nor a list of transactions")
	errItemsDiffer  = errors.New("two transactions match and do not say the same")
	errItemMismatch = errors.New("the transaction with this id bears another merchantReference")
)

// query names the transaction that is asked for: by transactionID where that is
// known, else by reference (pagamio-api.md, "Transactions" and ASSUMED).
type query struct{ transactionID, reference string }

// Fields of an item that are read. Its identity is read of every item, the rest
// of a matching one only: another purchase's oddities are not ours.
var (
	pageFields     = []string{"content"}
	identityFields = []string{"transactionId", "merchantReference"}
	itemFields     = []string{
		"status", "responseCode", "responseMessage", "rejectionCode", "rejectionReason", "error",
		"success", "successful", "transactionId", "merchantReference", "receipt",
	}
	itemStatusFields = []string{"code", "label"}
)

// classifyTransactions says what an answer of /transactions proves of one
// purchase. NotFound only says that the items shown do not hold it.
func classifyTransactions(status int, body []byte, q query) purchase.Outcome {
	switch rule := statusRuleOf(status); {
	case rule.ruling == byBody:
		items, err := readItems(body)
		switch {
		case err == nil:
			return q.find(items)
		case refusedQuery(status):
			return purchase.Outcome{Kind: purchase.NotFound, Cause: statusError(status)}
		default:
			return unknown(err)
		}
	case rule.kind == purchase.Unauthorized, rule.kind == purchase.Forbidden, rule.kind == purchase.Limited:
		a, _ := readAnswer(body, signalFields) // for the message; empty where unreadable
		return settledByStatus(status, rule.kind, answer{message: a.message})
	case refusedQuery(status):
		return purchase.Outcome{Kind: purchase.NotFound, Cause: statusError(status)}
	default:
		return unknown(statusError(status))
	}
}

// refusedQuery reports whether the vendor answered and would not look: it may not
// know the parameter (ASSUMED: whether it filters by merchantReference is open).
// That is no more than not having found the purchase.
func refusedQuery(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusRequestTimeout
}

// readItems takes a page or a bare array apart.
func readItems(body []byte) ([]json.RawMessage, error) {
	if err := wholeJSON(body); err != nil {
		return nil, err
	}
	list := json.RawMessage(bytes.TrimSpace(body))
	if list[0] == '{' {
		page, err := readObject(list, pageFields)
		if err != nil {
			return nil, err
		}
		list = page.get("content")
	}
	if len(list) == 0 || list[0] != '[' {
		return nil, errNoList
	}
	var items []json.RawMessage
	if err := json.Unmarshal(list, &items); err != nil {
		return nil, errNoList
	}
	return items, nil
}

// find looks for the purchase among the items. An item whose identity cannot be
// read could be the one asked for, so then nothing is proven.
func (q query) find(items []json.RawMessage) purchase.Outcome {
	var found *purchase.Outcome
	for _, raw := range items {
		identity, err := readObject(raw, identityFields)
		if err != nil {
			return unknown(err)
		}
		matches, err := q.matches(identity)
		switch {
		case err != nil:
			return unknown(err)
		case !matches:
			continue
		}
		outcome := classifyItem(raw)
		if found == nil {
			found = &outcome
			continue
		}
		if !sameEnd(*found, outcome) {
			return unknown(errItemsDiffer)
		}
		if found.Receipt == nil {
			found.Receipt = outcome.Receipt
		}
	}
	if found == nil {
		return purchase.Outcome{Kind: purchase.NotFound, Cause: errNotListed}
	}
	return *found
}

// matches reports whether an item is the one asked for. Asked by reference, only
// an item that bears the reference is, as the filter is not documented.
func (q query) matches(identity object) (bool, error) {
	id, err := identity.text("transactionId")
	if err != nil {
		return false, err
	}
	reference, err := identity.text("merchantReference")
	if err != nil {
		return false, err
	}
	if q.transactionID == "" {
		return reference == q.reference && reference != "", nil
	}
	if id != q.transactionID {
		return false, nil
	}
	if reference != "" && q.reference != "" && reference != q.reference {
		return false, errItemMismatch
	}
	return true, nil
}

// sameEnd reports whether two matching items say the same. Two transactions
// under one reference do not, whatever their states.
func sameEnd(a, b purchase.Outcome) bool {
	return a.Kind == b.Kind && a.TransactionID == b.TransactionID && a.Code == b.Code && a.Class == b.Class &&
		(a.Receipt == nil || b.Receipt == nil || bytes.Equal(a.Receipt, b.Receipt))
}

// classifyItem says what a matching item proves. Its status decides: only
// COMPLETED and FAILED are terminal ("Life cycle").
func classifyItem(raw json.RawMessage) purchase.Outcome {
	fields, err := readObject(raw, itemFields)
	if err != nil {
		return unknown(err)
	}
	word, err := itemStatus(fields.get("status"))
	if err != nil {
		return unknown(err)
	}
	fields = fields.without("status") // an object here, where a purchase answer has a word
	var a answer
	if err := a.add(fields); err != nil {
		return unknown(err)
	}
	if len(a.receipt) > maxReceipt {
		return unknown(errTooLarge)
	}
	a.statuses = []string{word}
	switch statusWords[word] {
	case purchase.Failed:
		return a.failedItem()
	case purchase.Completed:
		if len(a.codes) == 0 {
			a.codes = []string{purchase.CodeSuccess} // items of the documentation bear none
		}
	}
	return a.outcome()
}

// itemStatus is the word that status.code stands for. A label that is a word of
// the life cycle too must be the same one.
func itemStatus(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return "", fmt.Errorf("%w: status", errWrongType)
	}
	status, err := readObject(raw, itemStatusFields)
	if err != nil {
		return "", err
	}
	code, err := status.text("code")
	if err != nil {
		return "", err
	}
	word, listed := itemStatusCodes[code]
	if !listed {
		return "", errUnlistedStatus
	}
	label := strings.ToUpper(status.message("label"))
	if _, isWord := statusWords[label]; isWord && label != word {
		return "", errContradiction
	}
	return word, nil
}

// failedItem is the outcome of an item that is FAILED. The status is terminal, so
// its code is the failure's, whatever it is; one that the table does not call
// terminal is of class other. Without a code the failure is proven and its reason
// is not: 999, "purchase failed". Codes that speak against a failure (0, in
// flight, and 1006 and 1205, of which the table says never to assume failure)
// make it a contradiction.
func (a *answer) failedItem() purchase.Outcome {
	code, class := purchase.CodePurchaseFailed, purchase.ClassOther
	for _, stated := range append(a.rejections, a.codes...) {
		switch row, listed := codeRows[stated]; {
		case !listed, row.kind == purchase.Transient, stated == codeProviderTimedOut:
			// Not a terminal code; the status is what is terminal.
		case row.kind == purchase.Failed:
			code, class = stated, row.class
		default:
			return unknown(errContradiction)
		}
	}
	if !a.flagsAgree(purchase.Failed) {
		return unknown(errContradiction)
	}
	if code == purchase.CodePurchaseFailed && len(a.codes) > 0 {
		code = a.codes[0]
	}
	return purchase.Outcome{
		Kind:          purchase.Failed,
		TransactionID: a.transactionID,
		Code:          code,
		Message:       a.message,
		Class:         class,
		Receipt:       a.receipt,
	}
}
