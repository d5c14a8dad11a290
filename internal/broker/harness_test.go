package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

const (
	requests = "PURCHASES_REQUESTS"
	pending  = "PURCHASES_PENDING"
	results  = "PURCHASES_RESULTS"
	graves   = "PURCHASES_DEAD"
)

var declared = broker.Topology{Replicas: 1, Results: 48 * time.Hour, AckWait: time.Minute, Accounts: []string{"acme", "other"}}

type rig struct {
	server *servertest.NATSServer
	nc     *nats.Conn
	js     jetstream.JetStream
}

// newRig is a server without any stream.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{server: servertest.NATS(t)}
	r.nc, r.js = r.server.Connect()
	return r
}

// newDeclared is a server with all that is declared.
func newDeclared(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	if found, err := broker.Ensure(t.Context(), r.js, declared); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
	return r
}

func (r *rig) stream(t *testing.T, name string) jetstream.StreamConfig {
	t.Helper()
	s, err := r.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s.CachedInfo().Config
}

func (r *rig) consumer(t *testing.T, stream, name string) jetstream.ConsumerConfig {
	t.Helper()
	c, err := r.js.Consumer(t.Context(), stream, name)
	if err != nil {
		t.Fatalf("%s/%s: %v", stream, name, err)
	}
	return c.CachedInfo().Config
}

// declaredStream is a stream's declaration, to be changed and created.
func declaredStream(t *testing.T, name string) jetstream.StreamConfig {
	t.Helper()
	for _, s := range declared.Streams() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no stream %s is declared", name)
	panic("not reached")
}

func (r *rig) publish(t *testing.T, account string, n int) {
	t.Helper()
	for i := range n {
		if _, err := r.js.Publish(t.Context(), "purchases.requests."+account, fmt.Appendf(nil, "%s-%d", account, i)); err != nil {
			t.Fatal(err)
		}
	}
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

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually asks again until check is content.
func (r *rig) eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !check() {
		select {
		case <-deadline:
			t.Fatalf("not in %s: %s", patience, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
