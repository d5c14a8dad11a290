package lab

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestReceiptText(t *testing.T) {
	result := func(receipt string) *purchase.Result {
		return &purchase.Result{
			Status: purchase.StatusCompleted, MerchantReference: "r\x1b[31m", TransactionID: "VAS-1",
			Amount: json.RawMessage(`"150.00"`), Receipt: json.RawMessage(receipt),
		}
	}
	old := receiptText(result(`{"token":12341234123412341234,"units":30.0000,"unitType":"kWh","meterNumber":"14","taxAmount":9.7826,"aggregator":"Flash"}`))
	for _, want := range []string{"1234 1234 1234 1234 1234", "30.0000 kWh", "9.7826", "Flash", "R 150.00", `r\x1b[31m`} {
		if !strings.Contains(old, want) {
			t.Errorf("no %q in\n%s", want, old)
		}
	}
	recent := receiptText(result(`{"tokens":[{"token":"11112222","tokenDescription":"Normal sale","quantity":60.0000,"unit":"kWh"},` +
		`{"token":"33334444","tokenDescription":"Free","quantity":50.0000,"unit":"kWh"}],"utility":"City Power","meterNumber":"14","receiptNumber":98765432109876543210}`))
	for _, want := range []string{"1111 2222", "3333 4444", "60.0000 kWh", "98765432109876543210"} {
		if !strings.Contains(recent, want) {
			t.Errorf("no %q in\n%s", want, recent)
		}
	}
	failed := result(`{"token":"1","meterNumber":"14"}`)
	failed.Status = purchase.StatusFailed
	for _, none := range []*purchase.Result{failed, result(`{"pin":"1"}`), result(`null`), result(``)} {
		if slip := receiptText(none); slip != "" {
			t.Errorf("a receipt of %s:\n%s", none.Receipt, slip)
		}
	}
}
