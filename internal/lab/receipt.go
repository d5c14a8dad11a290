package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
)

// electricity is what is shown of a receipt of that category. Numbers keep their
// spelling; a token may come as a number or a string.
type electricity struct {
	MeterNumber string            `json:"meterNumber"`
	Utility     string            `json:"utility"`
	Aggregator  string            `json:"aggregator"`
	Token       json.RawMessage   `json:"token"`
	Units       json.Number       `json:"units"`
	UnitType    string            `json:"unitType"`
	TaxAmount   json.Number       `json:"taxAmount"`
	Receipt     json.RawMessage   `json:"receiptNumber"`
	Tokens      []electricityUnit `json:"tokens"`
}

type electricityUnit struct {
	Token       json.RawMessage `json:"token"`
	Description string          `json:"tokenDescription"`
	Quantity    json.Number     `json:"quantity"`
	Unit        string          `json:"unit"`
}

// receiptText writes an electricity receipt as a slip, and "" for a result that
// is none. The token is shown: it is the simulated vendor's own invention.
func receiptText(r *purchase.Result) string {
	var e electricity
	if r.Status != purchase.StatusCompleted || json.Unmarshal(r.Receipt, &e) != nil {
		return ""
	}
	if len(e.Tokens) == 0 && len(e.Token) > 0 {
		e.Tokens = []electricityUnit{{Token: e.Token, Description: "Normal sale", Quantity: e.Units, Unit: e.UnitType}}
	}
	if len(e.Tokens) == 0 || e.MeterNumber == "" {
		return ""
	}
	if e.Utility == "" {
		e.Utility = e.Aggregator
	}
	var slip strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&slip, "  | %-12s %-37s |\n", name, output.Printable(value))
		}
	}
	edge := "  +" + strings.Repeat("-", 52) + "+\n"
	slip.WriteString(edge)
	line("PREPAID", "ELECTRICITY")
	line("utility", e.Utility)
	line("meter", e.MeterNumber)
	line("amount", "R "+text(r.Amount))
	line("tax", string(e.TaxAmount))
	line("reference", r.MerchantReference)
	line("transaction", r.TransactionID)
	line("receipt", text(e.Receipt))
	for _, t := range e.Tokens {
		line("", "")
		line(strings.TrimSpace(string(t.Quantity)+" "+t.Unit), t.Description)
		line("token", inFours(text(t.Token)))
	}
	slip.WriteString(edge)
	return slip.String()
}

// text is a JSON string or number as it is spelled, without quotes.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(bytes.TrimSpace(raw))
}

// inFours is a token as it is typed into a meter.
func inFours(token string) string {
	var groups []string
	for len(token) > 4 {
		groups, token = append(groups, token[:4]), token[4:]
	}
	return strings.Join(append(groups, token), " ")
}
