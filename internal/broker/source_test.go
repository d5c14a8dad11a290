package broker_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/worker"
)

func (r *rig) source(t *testing.T, of broker.ConsumerOf) *broker.Source {
	t.Helper()
	s, err := broker.NewSource(t.Context(), r.js, of)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pull pulls once and returns all that came.
func pull(t *testing.T, s *broker.Source, n int) []*worker.Delivery {
	t.Helper()
	var all []*worker.Delivery
	if err := s.Pull(t.Context(), n, func(chunk []*worker.Delivery) {
		if len(chunk) == 0 {
			t.Error("an empty chunk")
		}
		all = append(all, chunk...)
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func (r *rig) left(t *testing.T, stream, name string) (unacked int, waiting uint64) {
	t.Helper()
	c, err := r.js.Consumer(t.Context(), stream, name)
	if err != nil {
		t.Fatal(err)
	}
	info := c.CachedInfo()
	return info.NumAckPending, info.NumPending
}

func TestPullTakesNoMoreThanAsked(t *testing.T) {
	r := newDeclared(t)
	r.publish(t, "other", 2)
	r.publish(t, "acme", 10)
	s := r.source(t, declared.RequestsConsumer("acme"))
	if s.AckWait() != time.Minute || time.Since(s.Created()) > time.Minute {
		t.Errorf("ack wait %s, created %s", s.AckWait(), s.Created())
	}
	first := pull(t, s, 4)
	if len(first) != 4 {
		t.Fatalf("%d deliveries", len(first))
	}
	for i, d := range first {
		if d.Sequence != uint64(i+3) || d.Subject != "purchases.requests.acme" || d.Count != 1 || d.Time.IsZero() || len(d.Body) == 0 {
			t.Errorf("delivery %d: %+v", i, d)
		}
	}
	if unacked, waiting := r.left(t, requests, "acme"); unacked != 4 || waiting != 6 {
		t.Fatalf("%d unacked, %d waiting", unacked, waiting)
	}
	if got := pull(t, s, 64); len(got) != 6 {
		t.Fatalf("%d deliveries", len(got))
	}
	began := time.Now()
	if got := pull(t, s, 64); len(got) != 0 || time.Since(began) > 5*time.Second {
		t.Fatalf("%d deliveries after %s", len(got), time.Since(began))
	}
}

func TestEndsOfADelivery(t *testing.T) {
	r := newDeclared(t)
	r.publish(t, "acme", 3)
	s := r.source(t, declared.RequestsConsumer("acme"))
	got := pull(t, s, 3)
	if err := got[0].Acker.Progress(t.Context()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(got[0].Acker.Ack(t.Context()), got[1].Acker.Retry(t.Context(), 0), got[2].Acker.Retry(t.Context(), 300*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := got[0].Acker.Progress(t.Context()); err != nil {
		t.Errorf("progress of one that was just ended: %v", err)
	}
	if err := got[0].Acker.Ack(t.Context()); err == nil {
		t.Error("acked twice")
	}
	began := time.Now()
	var again []*worker.Delivery
	for len(again) < 2 && time.Since(began) < patience {
		again = append(again, pull(t, s, 2-len(again))...)
	}
	if len(again) != 2 || again[0].Sequence != 2 || again[1].Sequence != 3 || again[0].Count != 2 {
		t.Fatalf("%+v", again)
	}
	if time.Since(began) < 200*time.Millisecond {
		t.Error("the delay was not kept")
	}
}

// Purchases that wait for their next look must not keep others back.
func TestManyDelayedDeliveriesStopNobody(t *testing.T) {
	r := newDeclared(t)
	r.publish(t, "acme", 1500)
	s := r.source(t, declared.RequestsConsumer("acme"))
	taken := 0
	for taken < 1500 {
		got := pull(t, s, 500)
		if len(got) == 0 {
			t.Fatalf("it stopped after %d", taken)
		}
		for _, d := range got {
			if err := d.Acker.Retry(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		taken += len(got)
	}
}

func TestPullWithinTheConsumersOwnLimit(t *testing.T) {
	r := newDeclared(t)
	c := r.consumer(t, requests, "acme")
	c.MaxRequestBatch = 2
	if _, err := r.js.UpdateConsumer(t.Context(), requests, c); err != nil {
		t.Fatal(err)
	}
	r.publish(t, "acme", 5)
	if found, err := broker.Ensure(t.Context(), r.js, declared); err != nil || len(found) != 0 {
		t.Fatalf("%v, %v", found, err)
	}
	if got := pull(t, r.source(t, declared.RequestsConsumer("acme")), 64); len(got) != 2 {
		t.Fatalf("%d deliveries", len(got))
	}
}

func TestAConsumerThatWasDeletedIsMadeAgain(t *testing.T) {
	r := newDeclared(t)
	r.publish(t, "acme", 2)
	s := r.source(t, declared.RequestsConsumer("acme"))
	for _, d := range pull(t, s, 2) {
		if err := d.Acker.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.js.DeleteConsumer(t.Context(), requests, "acme"); err != nil {
		t.Fatal(err)
	}
	if err := s.Pull(t.Context(), 5, func([]*worker.Delivery) {}); err == nil {
		t.Error("the pool is not told")
	}
	if got := pull(t, s, 5); len(got) != 2 {
		t.Fatalf("%d deliveries of the consumer made again", len(got))
	}
	if got := r.consumer(t, requests, "acme"); got.MaxAckPending != -1 || got.FilterSubject != "purchases.requests.acme" {
		t.Errorf("%+v", got)
	}

	// And while a pull waits.
	deleted := make(chan error, 1)
	go func() { deleted <- r.js.DeleteConsumer(t.Context(), requests, "acme") }()
	eventually(t, "deliveries again", func() bool {
		var got []*worker.Delivery
		_ = s.Pull(t.Context(), 5, func(chunk []*worker.Delivery) { got = append(got, chunk...) })
		return len(got) == 2
	})
	if err := <-deleted; err != nil {
		t.Fatal(err)
	}

	if err := r.js.DeleteStream(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	if err := s.Pull(t.Context(), 5, func([]*worker.Delivery) {}); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the stream is gone: %v", err)
	}
}

func TestSourceOfNoConsumer(t *testing.T) {
	r := newDeclared(t)
	if _, err := broker.NewSource(t.Context(), r.js, declared.RequestsConsumer("nobody")); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Fatalf("%v", err)
	}
}

func TestPullOverARestart(t *testing.T) {
	r := newDeclared(t)
	nc, err := broker.Connect(broker.ConnectConfig{URL: r.server.URL(), Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := broker.NewSource(t.Context(), js, declared.RequestsConsumer("acme"))
	if err != nil {
		t.Fatal(err)
	}
	r.publish(t, "acme", 3)
	taken := pull(t, s, 1)
	if err := taken[0].Acker.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ack", func() bool { n, _ := r.left(t, requests, "acme"); return n == 0 })
	r.server.Stop()
	eventually(t, "the loss", func() bool { return !nc.IsConnected() })
	if err := s.Pull(t.Context(), 5, func([]*worker.Delivery) { t.Error("a delivery from nowhere") }); err == nil {
		t.Error("the source is away and says nothing")
	}
	r.server.Start()
	var got []uint64
	eventually(t, "the rest", func() bool {
		_ = s.Pull(t.Context(), 5, func(chunk []*worker.Delivery) {
			for _, d := range chunk {
				got = append(got, d.Sequence)
			}
		})
		return len(got) >= 2
	})
	if slices.Sort(got); !slices.Equal(got, []uint64{2, 3}) {
		t.Errorf("delivered %d", got)
	}
}

func TestAckWithoutAConnectionIsAnError(t *testing.T) {
	r := newDeclared(t)
	r.publish(t, "acme", 1)
	d := pull(t, r.source(t, declared.RequestsConsumer("acme")), 1)[0]
	r.nc.Close()
	if err := d.Acker.Progress(t.Context()); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("%v", err)
	}
	if err := d.Acker.Ack(t.Context()); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("%v", err)
	}
}
