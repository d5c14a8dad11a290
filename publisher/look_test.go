package publisher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// Many purchases are looked up at once, each answer at its reference's place.
func TestLook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var references []string
	for i := range 300 {
		reference := fmt.Sprintf("r %d", i)
		references = append(references, reference)
		if i%3 != 0 {
			if _, err := r.store.PublishHandoff(t.Context(), handoff(t, reference, purchase.Unknown), ""); err != nil {
				t.Fatal(err)
			}
		}
		if i%2 != 0 {
			if _, err := r.store.PublishResult(t.Context(), completed(t, reference, "tx"), ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 { // the second time the subscription is there
		all, err := r.store.Look(t.Context(), "acme", references)
		if err != nil || len(all) != len(references) {
			t.Fatalf("%d answers, %v", len(all), err)
		}
		for i, known := range all {
			if (known.Handoff != nil) != (i%3 != 0) || (known.Result != nil) != (i%2 != 0) {
				t.Fatalf("%s: %+v", references[i], known)
			}
			if known.Handoff != nil && known.Handoff.MerchantReference != references[i] || known.Result != nil && known.Result.MerchantReference != references[i] {
				t.Fatalf("%s has the answer of another: %+v", references[i], known)
			}
		}
	}
	if all, err := r.store.Look(t.Context(), "acme", nil); len(all) != 0 || err != nil {
		t.Errorf("of none: %v, %v", all, err)
	}
}

// What else goes over the connection waits behind a few requests, not behind a chunk.
func TestRequestsAreSentAsRepliesCome(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server, _ := r.server.Connect()
	heard := make(chan *nats.Msg, 100)
	if _, err := server.ChanSubscribe("asked", heard); err != nil {
		t.Fatal(err)
	}
	if err := server.Flush(); err != nil {
		t.Fatal(err)
	}
	asks := make([]publisher.Ask, 2*publisher.MostAsked+1)
	for i := range asks {
		asks[i] = publisher.Ask{Subject: "asked", Body: []byte{byte(i)}}
	}
	var replies []*nats.Msg
	done := make(chan error, 1)
	go func() {
		var err error
		replies, err = r.store.Wire.RequestAll(t.Context(), asks)
		done <- err
	}()
	var open []*nats.Msg
	for range publisher.MostAsked {
		open = append(open, receive(t, "a request", heard))
	}
	for sent := len(open); sent < len(asks); sent++ {
		if err := errors.Join(r.nc.Flush(), server.Flush()); err != nil { // all that was sent is there
			t.Fatal(err)
		}
		if len(heard) > 0 {
			t.Fatalf("a request beyond %d open ones", len(open))
		}
		if err := open[0].Respond(open[0].Data); err != nil {
			t.Fatal(err)
		}
		open = append(open[1:], receive(t, "the next request", heard))
	}
	for _, m := range open {
		if err := m.Respond(m.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := receive(t, "the replies", done); err != nil {
		t.Fatal(err)
	}
	for i, m := range replies {
		if len(m.Data) != 1 || m.Data[0] != byte(i) {
			t.Errorf("reply %d: %v", i, m.Data)
		}
	}
}

// The most frequent answer is known without being read: the server must still
// write it in that way, or else every look costs more.
func TestNotThereIsWrittenAsBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	reply, err := r.nc.RequestWithContext(t.Context(), "$JS.API.STREAM.MSG.GET.PURCHASES_RESULTS", []byte(`{"last_by_subj":"purchases.results.acme.none"}`))
	if err != nil || string(reply.Data) != string(publisher.NotThere()) {
		t.Errorf("%v: %s", err, reply.Data)
	}
}

func TestLookThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	t.Run("unreadable", func(t *testing.T) {
		t.Parallel()
		for _, stream := range []string{"pending", "results"} {
			r := newRig(t)
			if _, err := r.js.Publish(t.Context(), "purchases."+stream+".acme.r-1", []byte("{")); err != nil {
				t.Fatal(err)
			}
			if _, err := r.store.Look(t.Context(), "acme", []string{"r-1", "r-2"}); !errors.Is(err, publisher.ErrUnreadable) {
				t.Errorf("%s: %v", stream, err)
			}
		}
	})
	t.Run("no stream", func(t *testing.T) {
		t.Parallel()
		for _, stream := range []string{"PURCHASES_PENDING", "PURCHASES_RESULTS"} {
			r := newRig(t)
			if err := r.js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			if _, err := r.store.Look(t.Context(), "acme", []string{"r-1"}); err == nil {
				t.Errorf("without %s nothing is known", stream)
			}
		}
	})
	t.Run("no JetStream", func(t *testing.T) {
		t.Parallel()
		nc := plain(t)
		store, err := publisher.NewStore(nc, publisher.Subjects{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Look(t.Context(), "acme", []string{"r-1"}); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%v", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.nc.Close()
		if _, err := r.store.Look(t.Context(), "acme", []string{"r-1"}); err == nil {
			t.Error("a closed connection reads")
		}
	})
}

// plain is a connection to a real server that has no JetStream.
func plain(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// One reply of many is lost, another comes twice, and one to a question of before.
func TestLookLosesOneAnswer(t *testing.T) {
	t.Parallel()
	nc := plain(t)
	var late []*nats.Msg
	if _, err := nc.Subscribe("$JS.API.STREAM.MSG.GET.>", func(m *nats.Msg) {
		if len(late) >= 3 { // what the first call asked is answered to the second
			for _, before := range late[:3] {
				_ = nc.Publish(before.Reply, []byte(`{"message":{"seq":1,"data":"e30="}}`))
			}
		}
		late = append(late, m)
		var q struct {
			Last string `json:"last_by_subj"`
		}
		_ = json.Unmarshal(m.Data, &q)
		if strings.HasSuffix(q.Last, "r-2") && len(late) < 4 {
			return
		}
		for range 2 {
			_ = nc.Publish(m.Reply, publisher.NotThere())
		}
	}); err != nil {
		t.Fatal(err)
	}
	store, err := publisher.NewStore(nc, publisher.Subjects{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := store.Look(ctx, "acme", []string{"r-1", "r-2", "r-3"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("an answer was lost: %v", err)
	}
	all, err := store.Look(t.Context(), "acme", []string{"r-1", "r-2", "r-3"})
	if err != nil {
		t.Fatal(err)
	}
	for i, known := range all {
		if known.Handoff != nil || known.Result != nil {
			t.Errorf("%d got the answer to another question: %+v", i, known)
		}
	}
}
