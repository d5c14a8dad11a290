package publisher_test

import (
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

func TestResultBody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if body, err := r.store.ResultBody(t.Context(), "acme", "a b"); body != nil || err != nil {
		t.Errorf("got %s, %v", body, err)
	}
	const stored = `{"merchantReference":"a b", "n":1.0}`
	if _, err := r.js.Publish(t.Context(), r.subjects.Result("acme", "a b"), []byte(stored)); err != nil {
		t.Fatal(err)
	}
	if body, err := r.store.ResultBody(t.Context(), "acme", "a b"); string(body) != stored || err != nil {
		t.Errorf("got %s, %v", body, err)
	}
	r.nc.Close()
	if _, err := r.store.ResultBody(t.Context(), "acme", "a b"); err == nil {
		t.Error("a closed connection reads")
	}
}

func TestDead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if d, err := r.store.Dead(t.Context(), "acme", 7); d != nil || err != nil {
		t.Errorf("got %v, %v", d, err)
	}
	if err := r.store.PublishDead(t.Context(), publisher.DeadLetter{
		Account: "acme", Sequence: 7, Reason: purchase.ReasonConflict, Detail: "why", Body: []byte("body"),
	}); err != nil {
		t.Fatal(err)
	}
	d, err := r.store.Dead(t.Context(), "acme", 7)
	if err != nil || d == nil || d.Account != "acme" || d.Sequence != 7 || d.Reason != purchase.ReasonConflict || d.Detail != "why" ||
		string(d.Body) != "body" || publisher.Header(d.Header, publisher.HeaderStreamSequence) != "7" {
		t.Errorf("got %+v, %v", d, err)
	}
	r.nc.Close()
	if _, err := r.store.Dead(t.Context(), "acme", 7); err == nil {
		t.Error("a closed connection reads")
	}
}
