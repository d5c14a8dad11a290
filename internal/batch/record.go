package batch

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Status is what became of a row.
type Status string

// Every row has one of these in the end. Unknown is written only where waiting
// ended first.
const (
	Completed Status = "COMPLETED"
	Failed    Status = "FAILED"
	Dead      Status = "DEAD"    // a dead letter: it was not bought
	Unknown   Status = "UNKNOWN" // open, or the answer to the publish is missing
)

var statuses = []Status{Completed, Failed, Dead, Unknown}

// Record is one line of the results file. Its JSON is the line of a JSONL file.
type Record struct {
	MerchantReference string          `json:"merchantReference"`
	Line              int             `json:"line"`
	Account           string          `json:"account"`
	Status            Status          `json:"status"`
	Amount            json.RawMessage `json:"amount,omitempty"`
	TransactionID     string          `json:"transactionId,omitempty"`
	ResponseCode      string          `json:"responseCode,omitempty"`
	ResponseMessage   string          `json:"responseMessage,omitempty"`
	FailureClass      string          `json:"failureClass,omitempty"`
	Receipt           json.RawMessage `json:"receipt,omitempty"`
	Source            string          `json:"source,omitempty"`
	Attempts          *int            `json:"attempts,omitempty"`
	ResolvedAt        *time.Time      `json:"resolvedAt,omitempty"`
	DeadReason        string          `json:"deadReason,omitempty"`
	Detail            string          `json:"detail,omitempty"` // of DEAD and UNKNOWN
}

// columns are those of a results file in CSV, in order.
var columns = []string{
	"merchantReference", "line", "account", "status", "amount", "transactionId", "responseCode", "responseMessage",
	"failureClass", "receipt", "source", "attempts", "resolvedAt", "deadReason", "detail",
}

// Columns of a results file that are read again.
const (
	atReference = iota
	atLine
	atAccount
	atStatus
	atAmount
)

func recordOf(r *purchase.Result, line int, receipts bool) Record {
	resolved := r.ResolvedAt
	record := Record{
		MerchantReference: r.MerchantReference, Line: line, Account: r.Account, Status: Status(r.Status),
		Amount: r.Amount, TransactionID: r.TransactionID, ResponseCode: r.ResponseCode, ResponseMessage: r.ResponseMessage,
		Source: string(r.Source), Attempts: &r.Attempts, ResolvedAt: &resolved,
	}
	if r.Failure != nil {
		record.FailureClass = string(r.Failure.Class)
	}
	if receipts {
		record.Receipt = r.Receipt
	}
	return record
}

func (r *Record) cells() []string {
	attempts, resolved := "", ""
	if r.Attempts != nil {
		attempts = strconv.Itoa(*r.Attempts)
	}
	if r.ResolvedAt != nil {
		resolved = r.ResolvedAt.Format(time.RFC3339Nano)
	}
	return []string{
		r.MerchantReference, strconv.Itoa(r.Line), r.Account, string(r.Status), plainText(r.Amount), r.TransactionID,
		r.ResponseCode, r.ResponseMessage, r.FailureClass, string(r.Receipt), r.Source, attempts, resolved, r.DeadReason, r.Detail,
	}
}

// plainText is a JSON scalar as a cell: a string without its quotation marks, and
// a number as it is spelled.
func plainText(raw json.RawMessage) string {
	if text := ""; bytes.HasPrefix(raw, []byte{'"'}) && json.Unmarshal(raw, &text) == nil {
		return text
	}
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}

// encode is the record as a line of a results file, with its line end.
func (r *Record) encode(format Format) ([]byte, error) {
	var out bytes.Buffer
	if format == CSV {
		return encodeCells(r.cells())
	}
	in := json.NewEncoder(&out)
	in.SetEscapeHTML(false)
	if err := in.Encode(r); err != nil {
		return nil, fmt.Errorf("encode the result of line %d: %w", r.Line, err)
	}
	return out.Bytes(), nil
}

// encodeCells writes one line of CSV. A zero byte, which a power failure leaves
// in a file, is never written: so it can be told.
func encodeCells(cells []string) ([]byte, error) {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "\x00", "\ufffd")
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.Write(cells); err != nil {
		return nil, fmt.Errorf("encode a line of results: %w", err)
	}
	w.Flush()
	return out.Bytes(), w.Error()
}

// amountOf reads an amount that is a JSON number or a decimal in a string.
func amountOf(text string) (purchase.Decimal, bool) { return purchase.ParseDecimal(text) }
