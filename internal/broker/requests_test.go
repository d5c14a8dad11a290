package broker_test

import (
	"slices"
	"testing"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/publisher"
)

func TestRequestsOfAccountsThatNobodyServes(t *testing.T) {
	r := newDeclared(t)
	reader := broker.NewRequests(r.js, publisher.Subjects{})
	if got, err := reader.Accounts(t.Context()); err != nil || len(got) != 0 {
		t.Fatalf("%v, %v", got, err)
	}
	odd := []string{"Acme", `a\b`, "a/b", "~x", "äö", "$SYS", "a:b", "_"}
	r.publish(t, "acme", 1)
	for _, account := range odd {
		r.publish(t, account, 2)
	}
	accounts, err := reader.Accounts(t.Context())
	want := append([]string{"acme"}, odd...)
	slices.Sort(accounts)
	slices.Sort(want)
	if err != nil || !slices.Equal(accounts, want) {
		t.Fatalf("%q, %v", accounts, err)
	}
	if served, err := reader.Served(t.Context(), "acme"); err != nil || !served {
		t.Errorf("acme: %t, %v", served, err)
	}
	for i, account := range odd {
		if served, err := reader.Served(t.Context(), account); err != nil || served {
			t.Errorf("%s: %t, %v", account, served, err)
		}
		first := uint64(2 + 2*i)
		for _, c := range []struct{ from, want uint64 }{{0, first}, {1, first}, {first, first}, {first + 1, first + 1}} {
			d, err := reader.Next(t.Context(), account, c.from)
			if err != nil || d == nil || d.Sequence != c.want || d.Subject != "purchases.requests."+account || d.Count != 1 || d.Time.IsZero() || len(d.Body) == 0 {
				t.Errorf("%s from %d: %+v, %v", account, c.from, d, err)
			}
		}
		if d, err := reader.Next(t.Context(), account, first+2); err != nil || d != nil {
			t.Errorf("%s: one more: %+v, %v", account, d, err)
		}
	}
	if err := r.js.DeleteStream(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Accounts(t.Context()); err == nil {
		t.Error("no stream: no error")
	}
	if _, err := reader.Served(t.Context(), "acme"); err == nil {
		t.Error("no stream: no error")
	}
	if _, err := reader.Next(t.Context(), "acme", 1); err == nil {
		t.Error("no stream: no error")
	}
}
