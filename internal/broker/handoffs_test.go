package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/due"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/publisher"
)

func handoffsOf(t *testing.T, r *rig, account string) *broker.Handoffs {
	t.Helper()
	return broker.NewHandoffs(r.js, wireOf(t, r.nc), declared.Subjects, account)
}

func wireOf(t *testing.T, nc *nats.Conn) publisher.Wire {
	t.Helper()
	store, err := publisher.NewStore(nc, declared.Subjects)
	if err != nil {
		t.Fatal(err)
	}
	return store.Wire
}

// handOver stores hand-offs, of purchases that were submitted at that time.
func (r *rig) handOver(t *testing.T, account string, n int, at time.Time) {
	t.Helper()
	for i := range n {
		subject := fmt.Sprintf("purchases.pending.%s.%d-%d", account, at.UnixNano(), i)
		if _, err := r.js.Publish(t.Context(), subject, fmt.Appendf(nil, `{"submittedAt":%q}`, at.Format(time.RFC3339Nano))); err != nil {
			t.Fatal(err)
		}
	}
}

func sequences(found []due.Found) (all []uint64) {
	for _, f := range found {
		all = append(all, f.Sequence)
	}
	return all
}

func TestScanHandoffs(t *testing.T) {
	r := newDeclared(t)
	at := time.Now().Add(-time.Hour).UTC()
	r.handOver(t, "acme", 3, at)                  // 1 to 3
	r.handOver(t, "other", 4, at)                 // 4 to 7
	r.handOver(t, "acme", 2, at.Add(time.Minute)) // 8, 9
	if _, err := r.js.Publish(t.Context(), "purchases.pending.acme.x", []byte("no JSON")); err != nil {
		t.Fatal(err)
	}
	h := handoffsOf(t, r, "acme")
	for _, test := range []struct {
		from  uint64
		width int
		want  []uint64
	}{
		{0, 1, []uint64{1}}, {1, 1, []uint64{1}}, {1, 3, []uint64{1, 2, 3}}, {2, 4, []uint64{2, 3, 8}}, {4, 1, []uint64{8}},
		{5, 64, []uint64{8, 9, 10}}, {10, 2, []uint64{10}}, {11, 3, nil}, {1 << 40, 1, nil},
	} {
		found, err := h.Scan(t.Context(), test.from, test.width)
		if err != nil || !slices.Equal(sequences(found), test.want) {
			t.Errorf("from %d, %d questions: %v, %v, want %v", test.from, test.width, sequences(found), err, test.want)
		}
	}
	found, err := h.Scan(t.Context(), 8, 3)
	if err != nil || len(found) != 3 || !found[0].Submitted.Equal(at.Add(time.Minute)) {
		t.Fatalf("%v, %v", found, err)
	}
	if age := time.Since(found[2].Submitted); age < 0 || age > time.Minute {
		t.Errorf("what cannot be read was submitted %s ago, and stored a moment ago", age)
	}
	state, err := h.State(t.Context())
	if err != nil || state.Last != 10 || time.Since(state.Made) > time.Minute {
		t.Errorf("state %+v, %v", state, err)
	}
}

// lagging is a copy of the stream that has nothing yet.
type lagging struct{ publisher.Wire }

func (w lagging) RequestAll(ctx context.Context, asks []publisher.Ask) ([]*nats.Msg, error) {
	replies, err := w.Wire.RequestAll(ctx, asks)
	for i := range replies {
		if strings.HasPrefix(asks[i].Subject, "$JS.API.DIRECT.") {
			replies[i] = &nats.Msg{Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}}
		}
	}
	return replies, err
}

// What a copy does not have the leader is asked for.
func TestReadFromALaggingCopy(t *testing.T) {
	r := newDeclared(t)
	r.handOver(t, "acme", 3, time.Now())
	h := broker.NewHandoffs(r.js, lagging{wireOf(t, r.nc)}, declared.Subjects, "acme")
	if _, err := h.State(t.Context()); err != nil {
		t.Fatal(err)
	}
	read, err := h.Read(t.Context(), []uint64{3, 9, 1})
	if err != nil || len(read) != 3 || read[0] == nil || read[0].Sequence != 3 || read[1] != nil || read[2] == nil || read[2].Sequence != 1 {
		t.Errorf("%+v, %v", read, err)
	}
}

// between lets something happen before the seventeenth request of a call.
type between struct {
	publisher.Wire
	happens func()
}

func (w between) RequestAll(ctx context.Context, asks []publisher.Ask) ([]*nats.Msg, error) {
	first, err := w.Wire.RequestAll(ctx, asks[:16])
	if err != nil {
		return nil, err
	}
	w.happens()
	rest, err := w.Wire.RequestAll(ctx, asks[16:])
	return append(first, rest...), err
}

// What comes while the questions of a scan are asked is not passed over.
func TestScanWhileHandoffsCome(t *testing.T) {
	r := newDeclared(t)
	r.handOver(t, "acme", 3, time.Now())
	wire := between{wireOf(t, r.nc), func() { r.handOver(t, "acme", 40, time.Now()) }}
	h := broker.NewHandoffs(r.js, wire, declared.Subjects, "acme")
	found, err := h.Scan(t.Context(), 1, 32)
	if err != nil || !slices.Equal(sequences(found), []uint64{1, 2, 3}) {
		t.Errorf("%v, %v", sequences(found), err)
	}
}

func TestReadAndDeleteHandoffs(t *testing.T) {
	t.Run("from the leader", func(t *testing.T) { readAndDelete(t, false) })
	t.Run("with direct gets", func(t *testing.T) { readAndDelete(t, true) })
}

func readAndDelete(t *testing.T, direct bool) {
	r := newDeclared(t)
	r.handOver(t, "acme", 2, time.Now())
	r.handOver(t, "other", 1, time.Now())
	h := handoffsOf(t, r, "acme")
	if direct {
		if _, err := h.State(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	read, err := h.Read(t.Context(), []uint64{2, 3, 1, 9})
	if err != nil || len(read) != 4 || read[0].Sequence != 2 || read[2].Sequence != 1 || len(read[0].Body) == 0 || read[0].Time.IsZero() {
		t.Fatalf("%v, %v", read, err)
	}
	if want := "purchases.pending.acme."; !strings.HasPrefix(read[0].Subject, want) || time.Since(read[0].Time) > time.Minute || (len(read[0].Header) > 0) != direct {
		t.Errorf("%+v", read[0])
	}
	if read[1] != nil || read[3] != nil {
		t.Errorf("another account's: %v; what is not there: %v", read[1], read[3])
	}
	if deleted, err := h.Delete(t.Context(), "purchases.pending.acme.another", 1); err != nil || deleted {
		t.Errorf("the sequence is another's: %v, %v", deleted, err)
	}
	for _, want := range []bool{true, false} { // the second time it is gone
		if deleted, err := h.Delete(t.Context(), read[2].Subject, 1); err != nil || deleted != want {
			t.Fatalf("%v, %v, want %v", deleted, err, want)
		}
	}
	if deleted, err := h.Delete(t.Context(), read[2].Subject, 99); err != nil || deleted {
		t.Errorf("what never was: %v, %v", deleted, err)
	}
	if left, err := h.Scan(t.Context(), 1, 5); err != nil || !slices.Equal(sequences(left), []uint64{2}) {
		t.Errorf("left: %v, %v", left, err)
	}
	// The consumer that others read from has nothing to deliver of it either.
	if unacked, waiting := r.left(t, pending, "acme"); unacked != 0 || waiting != 1 {
		t.Errorf("%d unacked, %d waiting", unacked, waiting)
	}
	// A hand-off that is out with a consumer can be ended all the same.
	s := r.source(t, declared.PendingConsumer("acme"))
	out := pull(t, s, 1)
	if deleted, err := h.Delete(t.Context(), read[0].Subject, 2); err != nil || !deleted || len(out) != 1 {
		t.Fatalf("%v, %v", out, err)
	}
	if err := out[0].Acker.Ack(t.Context()); err != nil {
		t.Error(err)
	}
	if unacked, waiting := r.left(t, pending, "acme"); waiting != 0 || unacked > 1 {
		t.Errorf("%d unacked, %d waiting", unacked, waiting)
	}
}

func TestHandoffsWithoutAServer(t *testing.T) {
	r := newDeclared(t)
	h := handoffsOf(t, r, "acme")
	r.server.Stop()
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	_, scan := h.Scan(ctx, 1, 2)
	_, read := h.Read(ctx, []uint64{1})
	_, state := h.State(ctx)
	_, deleted := h.Delete(ctx, "purchases.pending.acme.x", 1)
	for i, err := range []error{scan, read, state, deleted} {
		if err == nil {
			t.Errorf("call %d does not tell", i)
		}
	}
}

// With copies, what was deleted is gone whoever leads, and twice is no error.
func TestDeleteHandoffsInACluster(t *testing.T) {
	nodes := servertest.NATSCluster(t, 3)
	nc, js := nodes[0].Connect()
	r := &rig{server: nodes[0], nc: nc, js: js}
	topology := declared
	topology.Replicas = 3
	if _, err := broker.Ensure(t.Context(), js, topology); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	r.handOver(t, "acme", 20, at)
	h := handoffsOf(t, r, "acme")
	for sequence := uint64(1); sequence <= 20; sequence++ {
		if sequence%5 == 0 {
			// Another one leads from here on; what finds none is asked again.
			if _, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+pending, nil, patience); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			for deadline := time.Now().Add(patience); ; {
				_, err := h.Delete(t.Context(), fmt.Sprintf("purchases.pending.acme.%d-%d", at.UnixNano(), sequence-1), sequence)
				if err == nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d: %v", sequence, err)
				}
			}
		}
	}
	found, err := h.Scan(t.Context(), 1, 4)
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); {
		found, err = h.Scan(t.Context(), 1, 4)
	}
	if err != nil || len(found) > 0 {
		t.Errorf("left: %v, %v", found, err)
	}
	stream, err := js.Stream(t.Context(), pending)
	if err != nil || stream.CachedInfo().State.Msgs != 0 || stream.CachedInfo().Config.Retention != jetstream.WorkQueuePolicy {
		t.Errorf("%+v, %v", stream.CachedInfo().State, err)
	}
}
