package publisher_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/publisher"
)

func TestSubmit(t *testing.T) {
	r := newRig(t)
	parent := "00-" + traceID + "-" + spanID + "-01"
	expires := time.Date(2026, 5, 1, 14, 0, 0, 5, time.FixedZone("", 7200))
	purchase := publisher.Purchase{
		ProductCode: "ELE-FLS-001", Amount: "50.00", PaymentMethod: "cash", MerchantReference: "order 5",
		MeterNumber: "000001020001", AdditionalInfo: json.RawMessage(`{"till":1.50}`),
	}
	req, err := purchase.Request("acme")
	if err != nil {
		t.Fatal(err)
	}
	req.ExpiresAt, req.Lookup, req.TraceParent = expires, true, parent
	got, err := r.newPublisher(t).Submit(t.Context(), req)
	if err != nil || got.Sequence != 1 || got.Duplicate || got.Reference != "order 5" {
		t.Fatalf("%+v, %v", got, err)
	}
	m := r.message(t, "PURCHASES_REQUESTS", "purchases.requests.acme")
	const want = `{"productCode":"ELE-FLS-001","amount":50.00,"paymentMethod":"cash","merchantReference":"order 5",` +
		`"meterNumber":"000001020001","additionalInfo":{"till":1.50}}`
	if string(m.Data) != want {
		t.Errorf("stored %s", m.Data)
	}
	for name, value := range map[string]string{
		publisher.HeaderMessageID: "acme/~b3JkZXIgNQ",
		publisher.HeaderExpiresAt: "2026-05-01T12:00:00.000000005Z",
		publisher.HeaderLookup:    "true",
	} {
		if got := m.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if trace := m.Header.Get("traceparent"); trace[3:35] != traceID || trace == parent {
		t.Errorf("traceparent %s", trace)
	}
}

func TestSubmitLeavesOptionalHeadersOut(t *testing.T) {
	r := newRig(t)
	if _, err := r.newPublisher(t).Submit(t.Context(), request("r-1")); err != nil {
		t.Fatal(err)
	}
	h := r.message(t, "PURCHASES_REQUESTS", "purchases.requests.acme").Header
	if h.Values(publisher.HeaderExpiresAt) != nil || h.Values(publisher.HeaderLookup) != nil {
		t.Errorf("headers %v", h)
	}
	if !traceShape.MatchString(h.Get("traceparent")) {
		t.Errorf("no trace was started: %v", h)
	}
}

// Another payload under a reference of the last minutes is no duplicate, although
// the server would take it for one: it is stored, and ends like every request.
func TestSubmitAnotherPayloadIsStored(t *testing.T) {
	r := newRig(t)
	p := r.newPublisher(t)
	ask := func(amount string) publisher.Request {
		return publisher.Request{Account: "acme", Body: json.RawMessage(`{"merchantReference":"r","amount":` + amount + `}`)}
	}
	want := func(amount string, sequence uint64, duplicate bool) {
		t.Helper()
		got, err := p.Submit(t.Context(), ask(amount))
		if err != nil || got.Sequence != sequence || got.Duplicate != duplicate {
			t.Errorf("%s: %d, %v, %v", amount, got.Sequence, got.Duplicate, err)
		}
	}
	want("50", 1, false)
	want("51", 2, false)
	want("50.0", 1, true)
	want("5.1e1", 2, true)
	var many []uint64
	err := p.SubmitMany(t.Context(), slices.Values([]publisher.Request{ask("52"), ask("50"), ask("52.00")}), func(s publisher.Submitted) {
		if s.Err != nil {
			t.Error(s.Err)
		}
		many = append(many, s.Sequence)
	})
	if err != nil || !slices.Equal(many, []uint64{3, 1, 3}) {
		t.Errorf("%v, %v", many, err)
	}
}

func TestSubmitTwiceIsADuplicate(t *testing.T) {
	r := newRig(t)
	p := r.newPublisher(t)
	first, err := p.Submit(t.Context(), request("r-1"))
	if err != nil || first.Duplicate {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := p.Submit(t.Context(), request("r-1"))
	if err != nil || !second.Duplicate || second.Sequence != first.Sequence {
		t.Fatalf("%+v, %v", second, err)
	}
	if n := r.state(t, "PURCHASES_REQUESTS").Msgs; n != 1 {
		t.Fatalf("%d messages", n)
	}
}

func TestSubmitPublishesNoDeadLetter(t *testing.T) {
	r := newRig(t)
	p := r.newPublisher(t)
	for name, c := range map[string]struct {
		account, body, reason string
	}{
		"too large":    {"acme", `{"merchantReference":"r","x":"` + strings.Repeat("x", 64<<10) + `"}`, "too_large"},
		"not JSON":     {"acme", `{"merchantReference":"r"`, "malformed"},
		"key twice":    {"acme", `{"merchantReference":"r","a":1,"a":2}`, "malformed"},
		"no reference": {"acme", `{"amount":5}`, "invalid_reference"},
		"white space":  {"acme", `{"merchantReference":" r"}`, "invalid_reference"},
		"account":      {"Acme", string(body("r")), "unknown_account"},
		"no account":   {"", string(body("r")), "unknown_account"},
		"wild account": {"*", string(body("r")), "unknown_account"},
		"empty":        {"acme", "", "malformed"},
	} {
		_, err := p.Submit(t.Context(), publisher.Request{Account: c.account, Body: []byte(c.body)})
		var invalid *publisher.InvalidError
		if !errors.As(err, &invalid) || invalid.Reason != c.reason || invalid.Detail == "" || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v, want %s", name, err, c.reason)
		}
	}
	if n := r.state(t, "PURCHASES_REQUESTS").Msgs; n != 0 {
		t.Fatalf("%d messages were published", n)
	}
	if _, err := p.Submit(t.Context(), publisher.Request{Account: "acme", Body: []byte(`{"merchantReference":"r","amount":"?"}`)}); err != nil {
		t.Errorf("a fault of a field, which gets a result: %v", err)
	}
}

func TestPurchaseThatCannotBeEncoded(t *testing.T) {
	for _, p := range []publisher.Purchase{
		{Amount: "five"},
		{Amount: "5", AdditionalInfo: json.RawMessage(`{`)},
	} {
		if _, err := p.Request("acme"); err == nil {
			t.Errorf("%+v was encoded", p)
		}
	}
}

func TestSubmitToAFullStreamIsRefused(t *testing.T) {
	r := newRig(t)
	p := r.newPublisher(t)
	if _, err := p.Submit(t.Context(), request("r-1")); err != nil {
		t.Fatal(err)
	}
	before := r.state(t, "PURCHASES_REQUESTS")
	r.limit(t, "PURCHASES_REQUESTS", int64(before.Bytes)+1)
	_, err := p.Submit(t.Context(), request("r-2"))
	if err == nil || errors.Is(err, publisher.ErrNotAcknowledged) || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("%v", err)
	}
	if after := r.state(t, "PURCHASES_REQUESTS"); after.Msgs != 1 || after.LastSeq != before.LastSeq {
		t.Fatalf("state %+v", after)
	}
	again, err := p.Submit(t.Context(), request("r-1"))
	if err != nil || !again.Duplicate {
		t.Errorf("a repeat on a full stream: %+v, %v", again, err)
	}
}

func TestSubmitToAnotherStreamIsRefused(t *testing.T) {
	r := newRig(t)
	// The subject belongs to a stream, and not to the one of this prefix.
	p := r.newPublisher(t, publisher.WithSubjects(publisher.Subjects{Prefix: "PURCHASES"}))
	ctx := within(t, 300*time.Millisecond)
	if _, err := p.Submit(ctx, request("r-1")); !errors.Is(err, publisher.ErrNotAcknowledged) {
		t.Fatalf("nobody listens: %v", err)
	}
}

func TestSubmitWaitsForTheServer(t *testing.T) {
	r := newRig(t)
	p := r.newPublisher(t)
	r.server.Stop()
	type answer struct {
		publisher.Submitted
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		s, err := p.Submit(context.Background(), request("r-1"))
		answers <- answer{s, err}
	}()
	r.server.Start()
	if got := receive(t, "the server is back", answers); got.err != nil || got.Sequence != 1 {
		t.Fatalf("%+v", got)
	}
	if n := r.state(t, "PURCHASES_REQUESTS").Msgs; n != 1 {
		t.Fatalf("%d messages", n)
	}
}

func TestSubmitRepeatsWhereTheAnswerWasLost(t *testing.T) {
	r := newRig(t)
	between := newProxy(t, r.server.URL())
	p, err := publisher.New(between.connect(t))
	if err != nil {
		t.Fatal(err)
	}
	between.loseNext(`"stream":"PURCHASES_REQUESTS"`)
	got, err := p.Submit(within(t, patience), request("r-1"))
	if err != nil || got.Sequence != 1 || !got.Duplicate {
		t.Fatalf("%+v, %v", got, err)
	}
	if n := r.state(t, "PURCHASES_REQUESTS").Msgs; n != 1 || between.lost.Load() != 1 {
		t.Fatalf("%d messages, %d answers lost", n, between.lost.Load())
	}
}

// What stands under a reference is read back before a duplicate is believed. An
// answer to that which is lost is asked for again, and does not hold the purchase up
// until its context ends.
func TestSubmitReadsBackAgainWhereTheAnswerWasLost(t *testing.T) {
	r := newRig(t)
	between := newProxy(t, r.server.URL())
	p, err := publisher.New(between.connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Submit(within(t, patience), request("r-1")); err != nil {
		t.Fatal(err)
	}
	between.loseNext("stream_msg_get_response")
	got, err := p.Submit(within(t, patience), request("r-1"))
	if err != nil || got.Sequence != 1 || !got.Duplicate || between.lost.Load() != 1 {
		t.Errorf("%+v, %v, %d answers lost", got, err, between.lost.Load())
	}
}

func TestSubmitEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	p := r.newPublisher(t)
	r.server.Stop()
	_, err := p.Submit(within(t, 300*time.Millisecond), request("r-1"))
	if !errors.Is(err, publisher.ErrNotAcknowledged) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("time over: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Submit(ended, request("r-1")); !errors.Is(err, publisher.ErrNotAcknowledged) || !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
}

func TestSubmitOnAClosedConnection(t *testing.T) {
	r := newRig(t)
	p := r.newPublisher(t)
	r.nc.Close()
	if _, err := p.Submit(t.Context(), request("r-1")); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Fatalf("%v", err)
	}
}
