package audit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/audit"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/publisher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a real server with the declared streams, on which a test does by hand
// what the pipeline would have done, or should never have.
type world struct {
	t        *testing.T
	js       jetstream.JetStream
	subjects publisher.Subjects
	store    *publisher.Store
	audit    audit.Config
	accounts map[string]purchase.Account
}

func newWorld(t *testing.T) *world {
	t.Helper()
	nc, js := servertest.NATS(t).Connect()
	topology := broker.Topology{Replicas: 1, Results: 90 * 24 * time.Hour, AckWait: time.Minute, Accounts: []string{"acme", "beta"}}
	if _, err := broker.Ensure(t.Context(), js, topology); err != nil {
		t.Fatal(err)
	}
	store, err := publisher.NewStore(nc, publisher.Subjects{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, js: js, store: store, accounts: map[string]purchase.Account{}}
	trail := broker.NewTrail(js, w.subjects)
	w.audit = audit.Config{
		Streams: trail, Seeker: trail, Ends: store, Pause: time.Millisecond,
		Account: func(name string) purchase.Account {
			if a, there := w.accounts[name]; there {
				return a
			}
			return purchase.Account{Name: name}
		},
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func body(ref string) string {
	return fmt.Sprintf(`{"productCode":"AIR","amount":"10.00","paymentMethod":"cash","merchantReference":%q}`, ref)
}

func otherBody(ref string) string { return strings.Replace(body(ref), "10.00", "11.00", 1) }

// publish stores a request and returns its sequence.
func (w *world) publish(account, body string, headers ...string) uint64 {
	w.t.Helper()
	m := nats.NewMsg(w.subjects.Requests(account))
	m.Data = []byte(body)
	for i := 0; i+1 < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	ack, err := w.js.PublishMsg(w.t.Context(), m)
	w.must(err)
	return ack.Sequence
}

// ack acknowledges what the account's consumer has, n messages.
func (w *world) ack(account string, n int) {
	w.t.Helper()
	c, err := w.js.Consumer(w.t.Context(), w.subjects.RequestsStream(), account)
	w.must(err)
	for n > 0 {
		batch, err := c.Fetch(n, jetstream.FetchMaxWait(5*time.Second))
		w.must(err)
		got := 0
		for m := range batch.Messages() {
			w.must(m.DoubleAck(w.t.Context()))
			got++
		}
		if got == 0 {
			w.t.Fatalf("%s: %d messages did not come", account, n)
		}
		n -= got
	}
}

func (w *world) original(account string, sequence uint64) (*purchase.Request, time.Time) {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), w.subjects.RequestsStream())
	w.must(err)
	m, err := s.GetMsg(w.t.Context(), sequence)
	w.must(err)
	r, err := purchase.Parse(m.Data, w.audit.Account(account))
	w.must(err)
	return r, m.Time
}

// settle stores the result of a request.
func (w *world) settle(account string, sequence uint64) {
	w.t.Helper()
	r, at := w.original(account, sequence)
	result, err := r.Settle(purchase.Outcome{Kind: purchase.Completed, TransactionID: "t"},
		purchase.Ending{Source: purchase.SourcePurchase, RequestedAt: at, ResolvedAt: at})
	w.must(err)
	_, err = w.store.PublishResult(w.t.Context(), &result, "")
	w.must(err)
}

// handOver stores the hand-off of a request.
func (w *world) handOver(account string, sequence uint64) {
	w.t.Helper()
	r, at := w.original(account, sequence)
	h := r.HandOver(purchase.Outcome{Kind: purchase.InFlight}, purchase.Submission{RequestSequence: sequence, RequestedAt: at, SubmittedAt: at})
	_, err := w.store.PublishHandoff(w.t.Context(), &h, "")
	w.must(err)
}

// bury stores the dead letter of a request.
func (w *world) bury(account string, sequence uint64, reason purchase.Reason) {
	w.t.Helper()
	d, err := w.store.Original(w.t.Context(), account, sequence)
	w.must(err)
	d.Reason = reason
	w.must(w.store.PublishDead(w.t.Context(), d))
}

// purge empties a subject, as nobody should.
func (w *world) purge(stream, subject string) {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), stream)
	w.must(err)
	w.must(s.Purge(w.t.Context(), jetstream.WithPurgeSubject(subject)))
}

func (w *world) run(change ...func(*audit.Scope)) *audit.Report {
	w.t.Helper()
	scope := audit.Scope{Since: time.Now().Add(-time.Hour), Until: time.Now()}
	for _, c := range change {
		c(&scope)
	}
	report, err := w.audit.Run(w.t.Context(), scope)
	w.must(err)
	return report
}

// want holds a report's numbers of an account against what they must be.
func want(t *testing.T, r *audit.Report, account string, counts map[audit.State]uint64) {
	t.Helper()
	for state, n := range r.Counts[account] {
		if n != counts[state] {
			t.Errorf("%s: %d %s, want %d", account, n, state, counts[state])
		}
	}
	for state, n := range counts {
		if r.Counts[account][state] != n {
			t.Errorf("%s: %d %s, want %d", account, r.Counts[account][state], state, n)
		}
	}
	if t.Failed() {
		t.Logf("findings: %+v", r.Findings)
	}
}

// finding is the only finding of that state.
func finding(t *testing.T, r *audit.Report, state audit.State) audit.Finding {
	t.Helper()
	var found []audit.Finding
	for _, f := range r.Findings {
		if f.State == state {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d findings %s: %+v", len(found), state, r.Findings)
	}
	return found[0]
}

// secondConsumer makes another durable consumer of an account's requests.
func (w *world) secondConsumer(account, name string) *broker.Trail {
	w.t.Helper()
	_, err := w.js.CreateConsumer(w.t.Context(), w.subjects.RequestsStream(), jetstream.ConsumerConfig{
		Durable: name, FilterSubject: w.subjects.Requests(account), AckPolicy: jetstream.AckExplicitPolicy,
	})
	w.must(err)
	return broker.NewTrail(w.js, w.subjects)
}
