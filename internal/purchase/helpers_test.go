package purchase_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// acme is an account that configures a channel.
var acme = purchase.Account{Name: "acme", ChannelID: "web"}

// noChannel is an account that leaves the channel to the request.
var noChannel = purchase.Account{Name: "acme"}

// electricity is a request in which nothing is wrong.
const electricity = `{"productCode":"ELE-FLS-001","amount":50,"paymentMethod":"cash",` +
	`"channelId":"web","merchantReference":"r-1","meterNumber":"000001020001"}`

// with is a body that bears a reference and the members given.
func with(members string) string {
	return `{"merchantReference":"r-1",` + members + `}`
}

func mustParse(t testing.TB, body string, account purchase.Account) *purchase.Request {
	t.Helper()
	r, err := purchase.Parse([]byte(body), account)
	if err != nil {
		t.Fatalf("Parse(%s): %v", abbreviate(body), err)
	}
	return r
}

// rejected parses a body that must be rejected.
func rejected(t testing.TB, body string) *purchase.Rejection {
	t.Helper()
	r, err := purchase.Parse([]byte(body), acme)
	if err == nil {
		t.Fatalf("Parse(%s) was accepted", abbreviate(body))
	}
	if r != nil {
		t.Fatalf("Parse(%s) gave a request beside the error", abbreviate(body))
	}
	var rejection *purchase.Rejection
	if !errors.As(err, &rejection) {
		t.Fatalf("Parse(%s): %T is not a *Rejection", abbreviate(body), err)
	}
	return rejection
}

func abbreviate(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// padded is a request of exactly size bytes.
func padded(size int) string {
	head, tail := `{"merchantReference":"r-1","x":"`, `"}`
	return head + strings.Repeat("a", size-len(head)-len(tail)) + tail
}

// nested is a request whose member x holds that many arrays in each other.
func nested(levels int) string {
	return with(`"x":` + strings.Repeat("[", levels) + strings.Repeat("]", levels))
}
