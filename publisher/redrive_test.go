package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

func TestRedrive(t *testing.T) {
	r := newRig(t)
	m := nats.NewMsg(r.subjects.Requests("stranger"))
	m.Data = []byte(`{"merchantReference": "r", "amount": 1.0}`)
	m.Header = nats.Header{
		"Nats-Msg-Id": {"stranger/r"}, "Nats-Expected-Last-Msg-Id": {""}, "traceparent": {"00-1"}, "X-Two": {"a", "b"},
		"Vendstream-Expires-At": {"2030-01-01T00:00:00Z"}, "vendstream-reason": {"mine"}, "Vendstream-Original-Nats-Msg-Id": {"older"},
	}
	ack, err := r.js.PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	original, err := r.store.Original(t.Context(), "stranger", ack.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	original.Reason, original.Detail = purchase.ReasonUnknownAccount, "nobody"
	if err := r.store.PublishDead(t.Context(), original); err != nil {
		t.Fatal(err)
	}
	check := func(sequence uint64, id string) {
		t.Helper()
		again := r.message(t, "PURCHASES_REQUESTS", r.subjects.Requests("stranger"))
		want := nats.Header{
			"Nats-Msg-Id": {id}, "Nats-Expected-Stream": {"PURCHASES_REQUESTS"}, "traceparent": {"00-1"}, "X-Two": {"a", "b"},
			"Vendstream-Expires-At": {"2030-01-01T00:00:00Z"},
		}
		if again.Sequence != sequence || string(again.Data) != string(m.Data) || fmt.Sprint(again.Header) != fmt.Sprint(want) {
			t.Errorf("%d: %s, %v, want %v", again.Sequence, again.Data, again.Header, want)
		}
	}
	letter, err := r.store.Dead(t.Context(), "stranger", ack.Sequence)
	if err != nil || letter == nil {
		t.Fatal(letter, err)
	}
	sequence, duplicate, err := r.store.Redrive(t.Context(), *letter)
	if err != nil || duplicate || sequence != 2 {
		t.Fatal(sequence, duplicate, err)
	}
	check(2, "redrive/stranger/1")
	if sequence, duplicate, err = r.store.Redrive(t.Context(), *letter); err != nil || !duplicate || sequence != 2 {
		t.Errorf("again: %d, %v, %v", sequence, duplicate, err)
	}

	// Where the original is gone the dead letter itself has it all.
	stream, err := r.js.Stream(t.Context(), "PURCHASES_REQUESTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	letter.Sequence = 99 // another redrive
	if sequence, duplicate, err = r.store.Redrive(t.Context(), *letter); err != nil || duplicate {
		t.Fatal(sequence, duplicate, err)
	}
	check(sequence, "redrive/stranger/99")
	if there, err := r.store.IsDead(t.Context(), "stranger", 1); err != nil || !there {
		t.Errorf("the dead letter is gone: %v", err)
	}
}

func TestRedriveOfACutBody(t *testing.T) {
	r := newRig(t)
	m := nats.NewMsg(r.subjects.Requests("acme"))
	m.Header = nats.Header{"X": {"y"}}
	m.Data = []byte(strings.Repeat("x", int(r.nc.MaxPayload())-200))
	ack, err := r.js.PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	d := publisher.DeadLetter{Account: "acme", Sequence: ack.Sequence, Reason: purchase.ReasonTooLarge, Header: m.Header, Body: m.Data}
	if err := r.store.PublishDead(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	letter, err := r.store.Dead(t.Context(), "acme", ack.Sequence)
	if err != nil || letter.Header["Vendstream-Truncated"] == nil || len(letter.Body) >= len(m.Data) {
		t.Fatal(err)
	}
	if _, _, err := r.store.Redrive(t.Context(), *letter); err != nil {
		t.Fatal(err)
	}
	again := r.message(t, "PURCHASES_REQUESTS", r.subjects.Requests("acme"))
	if len(again.Data) != len(m.Data) || again.Header["Vendstream-Truncated"] != nil || again.Header.Get("X") != "y" {
		t.Errorf("%d bytes, %v", len(again.Data), again.Header)
	}
	stream, err := r.js.Stream(t.Context(), "PURCHASES_REQUESTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.store.Redrive(t.Context(), *letter); !errors.Is(err, publisher.ErrOriginalGone) {
		t.Error(err)
	}
}

// A dead letter without the original's headers is no stand-in for it: one of them
// may have said when the purchase expires.
func TestRedriveWithoutTheHeaders(t *testing.T) {
	r := newRig(t)
	d := publisher.DeadLetter{
		Account: "acme", Sequence: 7, Reason: purchase.ReasonUnknownAccount, Body: []byte("{}"),
		Header: map[string][]string{"Vendstream-Expires-At": {"2026-01-01T00:00:00Z"}, "x": {strings.Repeat("x", 64_800)}},
	}
	if err := r.store.PublishDead(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	letter, err := r.store.Dead(t.Context(), "acme", 7)
	if err != nil || publisher.Header(letter.Header, publisher.HeaderHeadersLeftOut) != "2" {
		t.Fatal(letter, err)
	}
	if _, _, err := r.store.Redrive(t.Context(), *letter); !errors.Is(err, publisher.ErrOriginalGone) {
		t.Error(err)
	}
}

func TestRedriveIsRefused(t *testing.T) {
	r := newRig(t)
	r.limit(t, "PURCHASES_REQUESTS", 1)
	_, _, err := r.store.Redrive(t.Context(), publisher.DeadLetter{Account: "acme", Sequence: 1, Body: []byte("{}")})
	if err == nil || errors.Is(err, publisher.ErrNotAcknowledged) || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := r.js.DeleteStream(ctx, "PURCHASES_REQUESTS"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.store.Redrive(ctx, publisher.DeadLetter{Account: "acme", Sequence: 1, Body: []byte("{}")}); err == nil {
		t.Error("there is no stream")
	}
}
