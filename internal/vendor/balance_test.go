package vendor

import (
	"strings"
	"testing"
)

func TestAvailableBalance(t *testing.T) {
	for message, want := range map[string]float64{
		"Insufficient balance: available R12.50, required R50.00":        12.5,
		"Insufficient balance. Available balance: R 1,234.56":            1234.56,
		"Insufficient balance (available: ZAR 0.00)":                     0,
		"insufficient funds, balance is -3.20":                           -3.2,
		"AVAILABLE BALANCE R12 345.00 IS LESS THAN R20 000.00":           12345,
		"Insufficient balance, your available balance is 7":              7,
		"Insufficient balance: available amount = R100.1 at 10:00 today": 100.1,
	} {
		if got, ok := AvailableBalance(message); !ok || got != want {
			t.Errorf("%q: %v, %t", message, got, ok)
		}
	}
	for _, message := range []string{
		"", "Insufficient balance", "Insufficient balance for a purchase of R50.00", "required R50.00",
		"unavailable 12", "balance R", "available since 2026-01-01T10", strings.Repeat("x", 5000) + " available 1",
	} {
		if got, ok := AvailableBalance(message); ok {
			t.Errorf("%q: %v", message, got)
		}
	}
}
