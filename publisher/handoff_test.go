package publisher_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

const pending = "PURCHASES_PENDING"

func TestHandoffIsStoredOnce(t *testing.T) {
	r := newRig(t)
	first := handoff(t, "r 1", purchase.Unknown)
	if there, err := r.store.PublishHandoff(t.Context(), first, "00-"+traceID+"-"+spanID+"-01"); err != nil || there != nil {
		t.Fatalf("%v, %v", there, err)
	}
	m := r.message(t, pending, r.subjects.Pending("acme", "r 1"))
	if trace := m.Header["traceparent"][0]; trace[3:35] != traceID {
		t.Errorf("traceparent %s", trace)
	}
	if m.Header["content-type"][0] != "application/json" || m.Header.Get(publisher.HeaderMessageID) != "" {
		t.Errorf("headers %v", m.Header)
	}
	there, err := r.store.PublishHandoff(t.Context(), handoff(t, "r 1", purchase.InFlight), "")
	if err != nil || there == nil || there.TransactionID != "tx-unknown" || string(there.Request) != string(body("r 1")) {
		t.Fatalf("%+v, %v", there, err)
	}
	back, sequence, err := r.store.Handoff(t.Context(), "acme", "r 1")
	if err != nil || sequence != 1 || back.RequestDigest != first.RequestDigest || back.State != purchase.OpenUnknown {
		t.Fatalf("%+v, %d, %v", back, sequence, err)
	}
}

func TestHandoffThatIsNotThere(t *testing.T) {
	r := newRig(t)
	if got, sequence, err := r.store.Handoff(t.Context(), "acme", "r-1"); got != nil || sequence != 0 || err != nil {
		t.Fatalf("%v, %d, %v", got, sequence, err)
	}
	if err := r.js.DeleteStream(t.Context(), pending); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.store.Handoff(t.Context(), "acme", "r-1"); err == nil {
		t.Fatal("a stream that is away means: not known")
	}
}

func TestReplaceHandoff(t *testing.T) {
	r := newRig(t)
	if _, err := r.store.PublishHandoff(t.Context(), handoff(t, "r-1", purchase.Unknown), ""); err != nil {
		t.Fatal(err)
	}
	if there, err := r.store.ReplaceHandoff(t.Context(), handoff(t, "r-1", purchase.InFlight), "", 1); err != nil || there != nil {
		t.Fatalf("%v, %v", there, err)
	}
	// The old one is the newer one's until it is acknowledged, and no more to be replaced.
	there, err := r.store.ReplaceHandoff(t.Context(), handoff(t, "r-1", purchase.Transient), "", 1)
	if err != nil || there == nil || there.State != purchase.OpenInFlight {
		t.Fatalf("%+v, %v", there, err)
	}
	if s := r.state(t, pending); s.Msgs != 2 || s.LastSeq != 2 {
		t.Fatalf("state %+v", s)
	}
}

func TestReplaceHandoffThatIsGone(t *testing.T) {
	r := newRig(t)
	if _, err := r.store.PublishHandoff(t.Context(), handoff(t, "r-1", purchase.Unknown), ""); err != nil {
		t.Fatal(err)
	}
	poller, err := r.js.Consumer(t.Context(), pending, "acme")
	if err != nil {
		t.Fatal(err)
	}
	m, err := poller.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hand-off is removed", func() bool { return r.state(t, pending).Msgs == 0 })
	there, err := r.store.ReplaceHandoff(t.Context(), handoff(t, "r-1", purchase.InFlight), "", 1)
	if !errors.Is(err, publisher.ErrGone) || there != nil {
		t.Fatalf("%v, %v", there, err)
	}
	if s := r.state(t, pending); s.Msgs != 0 || s.LastSeq != 1 {
		t.Fatalf("state %+v", s)
	}
	// Another one may have been handed over since: that one is returned.
	if _, err := r.store.PublishHandoff(t.Context(), handoff(t, "r-1", purchase.Transient), ""); err != nil {
		t.Fatal(err)
	}
	there, err = r.store.ReplaceHandoff(t.Context(), handoff(t, "r-1", purchase.InFlight), "", 1)
	if err != nil || there == nil || there.TransactionID != "tx-transient" {
		t.Fatalf("%+v, %v", there, err)
	}
}

func TestReplaceHandoffReadsBackALostAnswer(t *testing.T) {
	r := newRig(t)
	if _, err := r.store.PublishHandoff(t.Context(), handoff(t, "r-1", purchase.Unknown), ""); err != nil {
		t.Fatal(err)
	}
	between := newProxy(t, r.server.URL())
	store := r.newStore(t, between.connect(t))
	between.loseNext(`"stream":"` + pending + `"`)
	there, err := store.ReplaceHandoff(within(t, patience), handoff(t, "r-1", purchase.InFlight), "", 1)
	if err != nil || there == nil || there.State != purchase.OpenInFlight || between.lost.Load() != 1 {
		t.Fatalf("%+v, %v", there, err)
	}
	if s := r.state(t, pending); s.LastSeq != 2 {
		t.Fatalf("state %+v", s)
	}
}

func TestHandoffsThatRace(t *testing.T) {
	r := newRig(t)
	var stored atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		nc, _ := r.server.Connect()
		store := r.newStore(t, nc)
		all.Go(func() {
			there, err := store.PublishHandoff(t.Context(), handoff(t, "r-1", purchase.Unknown), "")
			if err != nil {
				t.Error(err)
			}
			if there == nil {
				stored.Add(1)
			}
		})
	}
	all.Wait()
	if s := r.state(t, pending); stored.Load() != 1 || s.Msgs != 1 {
		t.Fatalf("%d stored, %d messages", stored.Load(), s.Msgs)
	}
}
