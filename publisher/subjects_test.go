package publisher_test

import (
	"strings"
	"testing"

	"github.com/vendstream/vendstream/publisher"
)

func TestSubjects(t *testing.T) {
	standard := publisher.Subjects{}
	dotted := publisher.Subjects{Prefix: "eu.buy"}
	for _, c := range []struct{ got, want string }{
		{standard.RequestsStream(), "PURCHASES_REQUESTS"},
		{standard.PendingStream(), "PURCHASES_PENDING"},
		{standard.ResultsStream(), "PURCHASES_RESULTS"},
		{standard.DeadStream(), "PURCHASES_DEAD"},
		{standard.Requests("acme"), "purchases.requests.acme"},
		{standard.Pending("acme", "r-1"), "purchases.pending.acme.r-1"},
		{standard.Result("acme", "r-1"), "purchases.results.acme.r-1"},
		{standard.Result("acme", "order 5.1"), "purchases.results.acme.~b3JkZXIgNS4x"},
		{standard.Result("acme", "é"), "purchases.results.acme.~w6k"},
		{standard.Dead("acme", 42), "purchases.dead.acme.42"},
		{standard.AllRequests(), "purchases.requests.*"},
		{standard.AllPending("acme"), "purchases.pending.acme.*"},
		{standard.AllResults("*"), "purchases.results.*.*"},
		{standard.AllDead("*"), "purchases.dead.*.*"},
		{dotted.RequestsStream(), "EU_BUY_REQUESTS"},
		{dotted.Requests("acme"), "eu.buy.requests.acme"},
		{dotted.Dead("acme", 1), "eu.buy.dead.acme.1"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestAccountOf(t *testing.T) {
	standard, dotted := publisher.Subjects{}, publisher.Subjects{Prefix: "eu.buy"}
	for _, c := range []struct {
		subjects      publisher.Subjects
		subject, want string
	}{
		{standard, "purchases.requests.acme", "acme"},
		{standard, "purchases.requests.Not-An~Account!", "Not-An~Account!"},
		{standard, "purchases.pending.acme.r-1", "acme"},
		{standard, "purchases.results.acme.~w6k", "acme"},
		{standard, "purchases.dead.acme.42", "acme"},
		{standard, "purchases.requests", ""},
		{standard, "purchases.requests.", ""},
		{standard, "purchases.requests.acme.more", ""},
		{standard, "purchases.results.acme", ""},
		{standard, "purchases.results.acme.r.s", ""},
		{standard, "purchases.other.acme", ""},
		{standard, "purchasesX.requests.acme", ""},
		{standard, "", ""},
		{dotted, "eu.buy.requests.acme", "acme"},
		{dotted, "purchases.requests.acme", ""},
	} {
		if got := c.subjects.AccountOf(c.subject); got != c.want {
			t.Errorf("AccountOf(%q) = %q, want %q", c.subject, got, c.want)
		}
	}
}

func TestMessageID(t *testing.T) {
	for _, c := range []struct{ reference, want string }{
		{"r-1", "acme/r-1"},
		{"a=b_c-9", "acme/a=b_c-9"},
		{"order 5", "acme/~b3JkZXIgNQ"},
		{"é", "acme/~w6k"},
		{"~r", "acme/~fnI"},
		{strings.Repeat("x", 128), "acme/" + strings.Repeat("x", 128)},
	} {
		if got := publisher.MessageID("acme", c.reference); got != c.want {
			t.Errorf("MessageID(%q) = %q, want %q", c.reference, got, c.want)
		}
	}
}
