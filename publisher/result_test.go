package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

const results = "PURCHASES_RESULTS"

func TestPublishResultStoresAnEvent(t *testing.T) {
	r := newRig(t)
	const reference = "Café \"5%\" 😀"
	result := completed(t, "r-1", "tx-1")
	result.MerchantReference = reference
	there, err := r.store.PublishResult(t.Context(), result, "00-"+traceID+"-"+spanID+"-01")
	if err != nil || there != nil {
		t.Fatalf("%v, %v", there, err)
	}
	m := r.message(t, results, r.subjects.Result("acme", reference))
	want, err := result.Encode()
	if err != nil || string(m.Data) != string(want) {
		t.Errorf("body %s", m.Data)
	}
	for name, value := range map[string]string{
		"Nats-Msg-Id":    publisher.MessageID("acme", reference),
		"ce-specversion": "1.0",
		"ce-id":          publisher.MessageID("acme", reference),
		"ce-source":      "/vendstream/acme",
		"ce-type":        "vendstream.purchase.completed",
		"ce-subject":     "Caf%C3%A9%20%225%25%22%20%F0%9F%98%80",
		"ce-time":        "2026-04-21T12:57:51.831786006Z",
		"content-type":   "application/json",
	} {
		if got := m.Header[name]; len(got) != 1 || got[0] != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if got := m.Header["traceparent"]; len(got) != 1 || got[0][3:35] != traceID || got[0][36:52] == spanID {
		t.Errorf("traceparent %q", got)
	}
	back, err := r.store.Result(t.Context(), "acme", reference)
	if err != nil || back.Compare(result) != purchase.Agree || string(back.Receipt) != `{"pin":"1","units":30.0000}` {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestFailedResultsHaveTheirType(t *testing.T) {
	r := newRig(t)
	refused := parsed(t, string(body("r-1"))).Refuse(purchase.Expired(), purchase.Ending{})
	if _, err := r.store.PublishResult(t.Context(), &refused, ""); err != nil {
		t.Fatal(err)
	}
	h := r.message(t, results, "purchases.results.acme.r-1").Header
	if got := h["ce-type"][0]; got != publisher.TypeFailed {
		t.Errorf("ce-type %s", got)
	}
	if got := h["traceparent"][0]; !traceShape.MatchString(got) {
		t.Errorf("traceparent %s", got)
	}
}

func TestPublishResultNeverReplaces(t *testing.T) {
	r := newRig(t)
	first := completed(t, "r-1", "tx-1")
	if there, err := r.store.PublishResult(t.Context(), first, ""); err != nil || there != nil {
		t.Fatalf("%v, %v", there, err)
	}
	failed := parsed(t, string(body("r-1"))).Refuse(purchase.Expired(), purchase.Ending{})
	other := *first
	other.RequestDigest = "sha256:other"
	for name, c := range map[string]struct {
		result *purchase.Result
		want   purchase.Agreement
	}{
		"equal":             {completed(t, "r-1", "tx-1"), purchase.Agree},
		"other status":      {&failed, purchase.Contradict},
		"other transaction": {completed(t, "r-1", "tx-2"), purchase.Contradict},
		"other payload":     {&other, purchase.OtherPurchase},
	} {
		there, err := r.store.PublishResult(t.Context(), c.result, "")
		if err != nil || there == nil || there.TransactionID != "tx-1" || c.result.Compare(there) != c.want {
			t.Errorf("%s: %+v, %v", name, there, err)
		}
	}
	if s := r.state(t, results); s.Msgs != 1 || s.LastSeq != 1 {
		t.Fatalf("state %+v", s)
	}
}

// Past the server's window of message ids the subject alone refuses a second
// result: two ids that differ stand for that.
func TestPublishResultIsRefusedBySubject(t *testing.T) {
	r := newRig(t)
	old := nats.NewMsg("purchases.results.acme.r-1")
	old.Data, _ = completed(t, "r-1", "tx-0").Encode()
	if _, err := r.js.PublishMsg(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	var failed atomic.Int32
	r.store.Failed = func(stream string) {
		if stream == results {
			failed.Add(1)
		}
	}
	there, err := r.store.PublishResult(t.Context(), completed(t, "r-1", "tx-1"), "")
	if err != nil || there == nil || there.TransactionID != "tx-0" || failed.Load() != 0 {
		t.Fatalf("%+v, %v, %d failures told", there, err, failed.Load())
	}
}

func TestWritersThatRaceStoreOneResult(t *testing.T) {
	r := newRig(t)
	const writers, references = 8, 20
	var stored [references]atomic.Int32
	var all sync.WaitGroup
	for w := range writers {
		nc, _ := r.server.Connect()
		store := r.newStore(t, nc)
		all.Go(func() {
			for i := range references {
				there, err := store.PublishResult(t.Context(), completed(t, fmt.Sprintf("r-%d", i), fmt.Sprintf("tx-%d", w)), "")
				switch {
				case err != nil:
					t.Errorf("writer %d: %v", w, err)
				case there == nil:
					stored[i].Add(1)
				}
			}
		})
	}
	all.Wait()
	for i := range stored {
		if n := stored[i].Load(); n != 1 {
			t.Errorf("r-%d was stored %d times", i, n)
		}
	}
	if s := r.state(t, results); s.Msgs != references || s.LastSeq != references {
		t.Errorf("state %+v", s)
	}
}

func TestPublishResultReadsBackALostAnswer(t *testing.T) {
	r := newRig(t)
	between := newProxy(t, r.server.URL())
	store := r.newStore(t, between.connect(t))
	between.loseNext(`"stream":"` + results + `"`)
	result := completed(t, "r-1", "tx-1")
	there, err := store.PublishResult(within(t, patience), result, "")
	if err != nil || there == nil || result.Compare(there) != purchase.Agree || between.lost.Load() != 1 {
		t.Fatalf("%+v, %v, %d lost", there, err, between.lost.Load())
	}
	if s := r.state(t, results); s.LastSeq != 1 {
		t.Fatalf("state %+v", s)
	}
}

func TestPublishResultWaitsForRoom(t *testing.T) {
	r := newRig(t)
	if _, err := r.store.PublishResult(t.Context(), completed(t, "r-0", "tx-0"), ""); err != nil {
		t.Fatal(err)
	}
	r.limit(t, results, int64(r.state(t, results).Bytes)+1)
	refused := make(chan string, 100)
	r.store.Failed = func(stream string) { refused <- stream }
	done := make(chan error, 1)
	go func() {
		there, err := r.store.PublishResult(context.Background(), completed(t, "r-1", "tx-1"), "")
		if err == nil && there != nil {
			err = errors.New("somebody else stored it")
		}
		done <- err
	}()
	for range 3 {
		if stream := receive(t, "a refusal", refused); stream != results {
			t.Errorf("refused by %s", stream)
		}
	}
	if len(done) != 0 || r.state(t, results).Msgs != 1 {
		t.Fatal("it did not wait")
	}
	r.limit(t, results, -1)
	if err := receive(t, "the result is stored", done); err != nil {
		t.Fatal(err)
	}
	if got, err := r.store.Result(t.Context(), "acme", "r-1"); err != nil || got == nil {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestPublishResultEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	r.limit(t, results, 10)
	there, err := r.store.PublishResult(within(t, 300*time.Millisecond), completed(t, "r-1", "tx-1"), "")
	if !errors.Is(err, context.DeadlineExceeded) || there != nil {
		t.Fatalf("%v, %v", there, err)
	}
	r.server.Stop()
	if _, err := r.store.PublishResult(within(t, 300*time.Millisecond), completed(t, "r-1", "tx-1"), ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("server away: %v", err)
	}
	r.nc.Close()
	if _, err := r.store.PublishResult(t.Context(), completed(t, "r-1", "tx-1"), ""); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Fatalf("closed: %v", err)
	}
}

func TestPublishResultOverARestart(t *testing.T) {
	r := newRig(t)
	const writers, each = 8, 60
	var all sync.WaitGroup
	underWay := make(chan struct{}, writers*each)
	for w := range writers {
		all.Go(func() {
			for i := range each {
				result := completed(t, fmt.Sprintf("r-%d-%d", w, i), "tx")
				there, err := r.store.PublishResult(context.Background(), result, "")
				if err != nil || there != nil && result.Compare(there) != purchase.Agree {
					t.Errorf("%s: %v, %v", result.MerchantReference, there, err)
				}
				underWay <- struct{}{}
			}
		})
	}
	for range writers * each / 4 {
		receive(t, "results", underWay)
	}
	r.server.Stop()
	r.server.Start()
	all.Wait()
	if s := r.state(t, results); s.Msgs != writers*each || s.LastSeq != writers*each {
		t.Fatalf("state %+v", s)
	}
}

// A result that an operator has removed can be stored again, although the server
// still knows its message id.
func TestPublishResultAfterItsRemoval(t *testing.T) {
	r := newRig(t)
	if _, err := r.store.PublishResult(t.Context(), completed(t, "r-1", "tx-1"), ""); err != nil {
		t.Fatal(err)
	}
	stream, err := r.js.Stream(t.Context(), results)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("purchases.results.acme.r-1")); err != nil {
		t.Fatal(err)
	}
	if there, err := r.store.PublishResult(within(t, patience), completed(t, "r-1", "tx-1"), ""); err != nil || there != nil {
		t.Fatalf("%v, %v", there, err)
	}
	h := r.message(t, results, "purchases.results.acme.r-1").Header
	if id := h.Get(publisher.HeaderMessageID); len(id) != len("acme/r-1#12345678") || id[:9] != "acme/r-1#" {
		t.Errorf("message id %s", id)
	}
	if got := h["ce-id"]; len(got) != 1 || got[0] != "acme/r-1" {
		t.Errorf("ce-id %s", got)
	}
}

// Where a stream allows direct reads, any replica may answer them. The ledger is
// asked of the leader all the same.
func TestReadsGoToTheLeader(t *testing.T) {
	r := newRig(t)
	configure(t, r.js, results, func(c *jetstream.StreamConfig) { c.AllowDirect = true })
	watcher, _ := r.server.Connect()
	asked := make(chan *nats.Msg, 100)
	if _, err := watcher.ChanSubscribe("$JS.API.DIRECT.>", asked); err != nil {
		t.Fatal(err)
	}
	leader := make(chan *nats.Msg, 100)
	if _, err := watcher.ChanSubscribe("$JS.API.STREAM.MSG.GET.>", leader); err != nil {
		t.Fatal(err)
	}
	if err := watcher.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.store.PublishResult(t.Context(), completed(t, "r-1", "tx-1"), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.store.Result(t.Context(), "acme", "r-1"); err != nil {
		t.Fatal(err)
	}
	receive(t, "the read after the refusal", leader)
	receive(t, "the read of the result", leader)
	if err := watcher.Flush(); err != nil || len(asked) != 0 {
		t.Fatalf("%d direct reads, %v", len(asked), err)
	}
}

func TestResultThatIsNotThere(t *testing.T) {
	r := newRig(t)
	if got, err := r.store.Result(t.Context(), "acme", "r-1"); got != nil || err != nil {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := r.js.Publish(t.Context(), "purchases.results.acme.r-2", []byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	if got, err := r.store.Result(t.Context(), "acme", "r-2"); err == nil {
		t.Errorf("rubbish was read as %v", got)
	}
	if there, err := r.store.PublishResult(t.Context(), completed(t, "r-2", "tx"), ""); err == nil {
		t.Errorf("rubbish was taken for %v", there)
	}
	if err := r.js.DeleteStream(t.Context(), results); err != nil {
		t.Fatal(err)
	}
	if got, err := r.store.Result(t.Context(), "acme", "r-1"); err == nil {
		t.Errorf("a stream that is away means: not known, and gave %v", got)
	}
}

func TestResultThatCannotBeEncoded(t *testing.T) {
	r := newRig(t)
	broken := completed(t, "r-1", "tx-1")
	broken.Receipt = []byte("{")
	if _, err := r.store.PublishResult(t.Context(), broken, ""); err == nil {
		t.Fatal("stored")
	}
	h := handoff(t, "r-1", purchase.InFlight)
	h.Request = []byte("{")
	if _, err := r.store.PublishHandoff(t.Context(), h, ""); err == nil {
		t.Fatal("stored")
	}
}
