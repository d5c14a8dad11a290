package vendor

import (
	"regexp"
	"strconv"
	"strings"
)

// statedBalance is an amount that the message names as available or as the
// balance: the word, at most a few others, perhaps the currency, and the number.
var statedBalance = regexp.MustCompile(
	`(?i)\b(?:available|balance)\b(?:[\s:=]|\b(?:is|of|balance|amount|funds)\b)*(?:zar|r)?\s?(-?\d{1,3}(?:[ ,]\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?)\b`)

// AvailableBalance reads the available balance, in ZAR, out of the message of an
// insufficient-balance answer (1103), whose form the vendor does not document
// (pagamio-api.md, "Handling of secrets": a responseMessage may hold balances).
// It is for a gauge and for nothing that decides. False: none is to be seen.
func AvailableBalance(message string) (float64, bool) {
	const longest = 1000 // of a message that is worth a look
	found := statedBalance.FindStringSubmatch(message[:min(len(message), longest)])
	if found == nil {
		return 0, false
	}
	balance, err := strconv.ParseFloat(strings.NewReplacer(" ", "", ",", "").Replace(found[1]), 64)
	return balance, err == nil
}
