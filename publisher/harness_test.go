package publisher_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/publisher"
)

const patience = 20 * time.Second

// rig is a real server with the declared streams, and what writes on them.
type rig struct {
	server   *servertest.NATSServer
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects publisher.Subjects
	store    *publisher.Store
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{server: servertest.NATS(t)}
	r.nc, r.js = r.server.Connect()
	topology := broker.Topology{Replicas: 1, Results: time.Hour, AckWait: time.Minute, Accounts: []string{"acme"}}
	if _, err := broker.Ensure(t.Context(), r.js, topology); err != nil {
		t.Fatal(err)
	}
	r.store = r.newStore(t, r.nc)
	return r
}

func (r *rig) newStore(t *testing.T, nc *nats.Conn) *publisher.Store {
	t.Helper()
	store, err := publisher.NewStore(nc, r.subjects)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (r *rig) newPublisher(t *testing.T, options ...publisher.Option) *publisher.Publisher {
	t.Helper()
	p, err := publisher.New(r.nc, options...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *rig) state(t *testing.T, stream string) jetstream.StreamState {
	t.Helper()
	s, err := r.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State
}

// message reads the last message of a subject, which must be there.
func (r *rig) message(t *testing.T, stream, subject string) *jetstream.RawStreamMsg {
	t.Helper()
	s, err := r.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(t.Context(), subject)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return m
}

// limit sets how many bytes a stream may hold; -1 is no limit.
func (r *rig) limit(t *testing.T, stream string, size int64) {
	t.Helper()
	configure(t, r.js, stream, func(c *jetstream.StreamConfig) { c.MaxBytes = size })
}

// configure changes a stream's configuration.
func configure(t *testing.T, js jetstream.JetStream, stream string, change func(*jetstream.StreamConfig)) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	change(&c)
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func body(reference string) []byte {
	return fmt.Appendf(nil, `{"productCode":"VCH-ABC-001","amount":50.00,"paymentMethod":"cash","channelId":"web","merchantReference":%q}`, reference)
}

func request(reference string) publisher.Request {
	return publisher.Request{Account: "acme", Body: body(reference)}
}

func parsed(t *testing.T, text string) *purchase.Request {
	t.Helper()
	r, err := purchase.Parse([]byte(text), purchase.Account{Name: "acme", ChannelID: "web"})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

var resolved = time.Date(2026, 4, 21, 12, 57, 51, 831786006, time.UTC)

func completed(t *testing.T, reference, transaction string) *purchase.Result {
	t.Helper()
	result, err := parsed(t, string(body(reference))).Settle(
		purchase.Outcome{Kind: purchase.Completed, TransactionID: transaction, Message: "Approved", Receipt: []byte(`{"pin":"1","units":30.0000}`)},
		purchase.Ending{Source: purchase.SourcePurchase, Attempts: 1, RequestedAt: resolved.Add(-time.Second), ResolvedAt: resolved})
	if err != nil {
		t.Fatal(err)
	}
	return &result
}

func handoff(t *testing.T, reference string, kind purchase.OutcomeKind) *purchase.Handoff {
	t.Helper()
	h := parsed(t, string(body(reference))).HandOver(
		purchase.Outcome{Kind: kind, TransactionID: "tx-" + kind.String()},
		purchase.Submission{Attempts: 1, RequestSequence: 7, RequestedAt: resolved, SubmittedAt: resolved})
	return &h
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-limit.C:
			t.Fatalf("in vain: %s", what)
		case <-again.C:
		}
	}
}

// receive takes a value that must come.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case v := <-from:
		return v
	case <-limit.C:
		t.Fatalf("in vain: %s", what)
		panic("not reached")
	}
}

// within is a context that ends before the test's own time does.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
