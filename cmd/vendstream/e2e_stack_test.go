package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// patience is how long an end-to-end test waits for what must come. Nothing
// takes it unless something is broken.
const patience = 60 * time.Second

// stack is everything that a test of the whole program needs: a real nats-server,
// a real redis-server, the simulated vendor over HTTP, and a configuration.
type stack struct {
	t        testing.TB
	nats     *servertest.NATSServer
	redis    *servertest.RedisServer
	vendor   *simulator.Simulator
	config   string // path
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects publisher.Subjects
	store    *publisher.Store
	logs     *lockedBuffer
}

// dueIndex are what stands in the configuration file for a poller that works from its
// consumer, and for one with an index.
var dueIndex = struct{ off, on string }{"escalate_after: 20s", "escalate_after: 20s, due_index: true"}

// eachPoller runs a test with both kinds of pollers.
func eachPoller(t *testing.T, sim simulator.Config, test func(t *testing.T, s *stack)) {
	t.Helper()
	t.Run("consumer", func(t *testing.T) { test(t, newStack(t, sim, "")) })
	t.Run("due index", func(t *testing.T) {
		s := newStack(t, sim, "")
		s.replaceInConfig(dueIndex.off, dueIndex.on)
		test(t, s)
	})
}

// replaceInConfig changes the configuration file.
func (s *stack) replaceInConfig(old, text string) {
	s.t.Helper()
	before, err := os.ReadFile(s.config)
	if err == nil && !bytes.Contains(before, []byte(old)) {
		err = fmt.Errorf("%q is not in the configuration", old)
	}
	if err == nil {
		err = os.WriteFile(s.config, bytes.ReplaceAll(before, []byte(old), []byte(text)), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// lockedBuffer collects what daemons log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newStack starts the servers. more is added to the configuration file.
func newStack(t testing.TB, sim simulator.Config, more string) *stack {
	t.Helper()
	if sim.Accounts == nil {
		sim.Accounts = []simulator.Account{{Username: "acme", Password: "acme-secret"}, {Username: "beta", Password: "beta-secret"}}
	}
	sim.KeepBodies = true
	if sim.OpenFor == 0 {
		sim.OpenFor = simulator.Duration(300 * time.Millisecond)
	}
	vendor, err := simulator.New(sim)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(vendor)
	t.Cleanup(web.Close)
	t.Cleanup(vendor.Close)
	s := &stack{t: t, nats: servertest.NATS(t), redis: servertest.Redis(t), vendor: vendor, logs: &lockedBuffer{}}
	s.nc, s.js = s.nats.Connect()
	if s.store, err = publisher.NewStore(s.nc, s.subjects); err != nil {
		t.Fatal(err)
	}
	s.config = filepath.Join(t.TempDir(), "vendstream.yaml")
	text := fmt.Sprintf(`
nats:   {url: %q}
redis:  {url: %q}
http:   {addr: "127.0.0.1:0"}
log:    {level: debug}
dedupe: {lease: 2s}
retry:  {base: 20ms, max: 200ms, attempts: 3}
poller: {schedule: [{until: 5s, every: 100ms}, {every: 500ms}], escalate_after: 20s}
vendor: {timeout: 1s}
accounts:
  - {name: acme, base_url: %q, username: acme, password: acme-secret, channel_id: "7", purchase_limit: {requests: 0}}
  - {name: beta, base_url: %q, username: beta, password: beta-secret, channel_id: "7", purchase_limit: {requests: 0}}
`, s.nats.URL(), s.redis.URL(), web.URL+"/api/v1", web.URL+"/api/v1") + more
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			logs := s.logs.String()
			t.Logf("the last of the logs:\n%s", logs[max(0, len(logs)-6000):])
		}
	})
	return s
}

// daemon runs a daemon in this process, through the same run as main. stop asks
// it to end and gives its exit code; it may be called more than once.
func (s *stack) daemon(name string) (addr string, stop func() int) {
	s.t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	started := make(chan string, 1)
	ended := make(chan struct{})
	code := -1
	go func() {
		defer close(ended)
		code = conclude(s.logs, run(ctx, []string{name, "--config", s.config}, env{
			Stdout: s.logs, Stderr: s.logs, Started: func(addr string) { started <- addr },
		}))
	}()
	stop = func() int {
		cancel(lifecycle.ErrStopped)
		<-ended
		return code
	}
	s.t.Cleanup(func() { stop() })
	select {
	case addr = <-started:
	case <-ended:
		s.t.Fatalf("%s ended with %d:\n%s", name, code, s.logs)
	case <-time.After(patience):
		s.t.Fatalf("%s did not start", name)
	}
	return addr, stop
}

// provision makes the streams, for tests that publish before a daemon runs.
func (s *stack) provision() {
	s.t.Helper()
	if code := conclude(s.logs, run(s.t.Context(), []string{"provision", "--config", s.config}, env{Stdout: s.logs, Stderr: s.logs})); code != 0 {
		s.t.Fatalf("provision: exit code %d\n%s", code, s.logs)
	}
}

func airtime(ref string) string {
	return fmt.Sprintf(`{"productCode":"AIR-VOD-001","amount":10.00,"paymentMethod":"cash","mobileNumber":"+27821234567","merchantReference":%q}`, ref)
}

func electricity(ref string) string {
	return fmt.Sprintf(`{"productCode":"ELE-FLS-001","amount":"200.00","paymentMethod":"cash","meterNumber":"000001020001","merchantReference":%q}`, ref)
}

// publish puts a request on the stream as any other program would, and returns
// its sequence.
func (s *stack) publish(account, body string, headers ...string) uint64 {
	s.t.Helper()
	m := nats.NewMsg(s.subjects.Requests(account))
	m.Data = []byte(body)
	for i := 0; i+1 < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	var ack *jetstream.PubAck
	eventually(s.t, "the request is stored", func() (err error) {
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		defer cancel()
		ack, err = s.js.PublishMsg(ctx, m)
		return err
	})
	return ack.Sequence
}

// eventually asks again until check is content.
func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("not in %s: %s: %v", patience, what, err)
		case <-tick.C:
		}
	}
}

// result waits for a purchase's result.
func (s *stack) result(account, ref string) *purchase.Result {
	s.t.Helper()
	var result *purchase.Result
	eventually(s.t, "the result of "+ref, func() (err error) {
		result, err = s.store.Result(s.t.Context(), account, ref)
		if err == nil && result == nil {
			err = fmt.Errorf("no result")
		}
		return err
	})
	return result
}

// deadLetter waits for the dead letter of a message.
func (s *stack) deadLetter(account string, sequence uint64) *jetstream.RawStreamMsg {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), s.subjects.DeadStream())
	if err != nil {
		s.t.Fatal(err)
	}
	var m *jetstream.RawStreamMsg
	eventually(s.t, "the dead letter of message "+strconv.FormatUint(sequence, 10), func() (err error) {
		m, err = stream.GetLastMsgForSubject(s.t.Context(), s.subjects.Dead(account, sequence))
		return err
	})
	return m
}

// entry is what the vendor knows of a purchase.
func (s *stack) entry(account, ref string) simulator.Entry {
	e, _ := s.vendor.Entry(account, ref)
	return e
}

// settled waits until nothing is left to do, then holds the promises of the
// contract against what there is.
func (s *stack) settled() {
	s.t.Helper()
	s.drained(s.subjects.RequestsStream(), s.subjects.PendingStream())
	s.audit()
}

// drained waits until all messages of these streams are acknowledged.
func (s *stack) drained(streams ...string) {
	s.t.Helper()
	eventually(s.t, "all messages are acknowledged", func() error {
		for _, name := range streams {
			for _, account := range []string{"acme", "beta"} {
				c, err := s.js.Consumer(s.t.Context(), name, account)
				if err != nil {
					return err
				}
				if i := c.CachedInfo(); i.NumPending+uint64(i.NumAckPending) > 0 {
					return fmt.Errorf("%s/%s: %d pending, %d unacknowledged", name, account, i.NumPending, i.NumAckPending)
				}
			}
		}
		return nil
	})
}

// audit checks every request on the stream against its one end.
func (s *stack) audit() {
	s.t.Helper()
	ctx := s.t.Context()
	stream, err := s.js.Stream(ctx, s.subjects.RequestsStream())
	if err != nil {
		s.t.Fatal(err)
	}
	last := stream.CachedInfo().State.LastSeq
	for sequence := uint64(1); sequence <= last; sequence++ {
		m, err := stream.GetMsg(ctx, sequence)
		if err != nil {
			s.t.Fatal(err)
		}
		account := s.subjects.AccountOf(m.Subject)
		buried, err := s.store.IsDead(ctx, account, sequence)
		if err != nil {
			s.t.Fatal(err)
		}
		request, err := purchase.Parse(m.Data, purchase.Account{Name: account, ChannelID: "7"})
		if err != nil {
			if !buried {
				s.t.Errorf("message %d can have no result and has no dead letter: %v", sequence, err)
			}
			continue
		}
		r, err := s.store.Result(ctx, account, request.Reference)
		if err != nil {
			s.t.Fatal(err)
		}
		ours := r != nil && r.RequestDigest == request.Digest
		if ours == buried {
			s.t.Errorf("message %d: result %v, dead letter %v: there must be exactly one", sequence, ours, buried)
		}
		if r != nil {
			s.agrees(account, r)
		}
	}
}

// agrees holds a result against the vendor's ledger.
func (s *stack) agrees(account string, r *purchase.Result) {
	s.t.Helper()
	e, known := s.vendor.Entry(account, r.MerchantReference)
	switch {
	case e.Vends > 1:
		s.t.Errorf("%s was vended %d times", r.MerchantReference, e.Vends)
	case r.Status == purchase.StatusCompleted && e.Vends != 1:
		s.t.Errorf("%s: COMPLETED, and the vendor vended it %d times", r.MerchantReference, e.Vends)
	case r.Status == purchase.StatusFailed && e.Vends != 0:
		s.t.Errorf("%s: FAILED, and the vendor vended it", r.MerchantReference)
	case known && r.TransactionID != e.TransactionID && r.TransactionID != "":
		s.t.Errorf("%s: transaction %s, the vendor's is %s", r.MerchantReference, r.TransactionID, e.TransactionID)
	}
}

// metric reads one sample of /metrics, or 0.
func metric(t *testing.T, addr, series string) float64 {
	t.Helper()
	_, body := get(t, "http://"+addr+"/metrics")
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}
