package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/publisher"
)

// numbered yields n requests r-0, r-1 … and counts those that were taken.
func numbered(n int, taken *atomic.Int64) iter.Seq[publisher.Request] {
	return func(yield func(publisher.Request) bool) {
		for i := range n {
			taken.Add(1)
			if !yield(request(fmt.Sprintf("r-%d", i))) {
				return
			}
		}
	}
}

func TestSubmitManyReportsInOrder(t *testing.T) {
	r := newRig(t)
	const n = 1000
	var taken atomic.Int64
	next := 0
	err := r.newPublisher(t, publisher.WithWindow(32)).SubmitMany(t.Context(), numbered(n, &taken), func(s publisher.Submitted) {
		if want := fmt.Sprintf("r-%d", next); s.Err != nil || s.Reference != want || s.Sequence != uint64(next+1) {
			t.Errorf("callback %d: %s, %d, %v", next, s.Reference, s.Sequence, s.Err)
		}
		next++
	})
	if err != nil || next != n {
		t.Fatalf("%d callbacks, %v", next, err)
	}
	if got := r.state(t, "PURCHASES_REQUESTS").Msgs; got != n {
		t.Fatalf("%d messages", got)
	}
}

func TestSubmitManyReportsInvalidOnesAmongTheOthers(t *testing.T) {
	r := newRig(t)
	requests := []publisher.Request{
		request("r-0"), {Account: "acme", Body: []byte(`{}`)}, request("r-2"), request("r-0"), {Account: "?", Body: body("r-4")},
	}
	var got []string
	err := r.newPublisher(t).SubmitMany(t.Context(), slices.Values(requests), func(s publisher.Submitted) {
		var invalid *publisher.InvalidError
		switch {
		case errors.As(s.Err, &invalid):
			got = append(got, invalid.Reason)
		case s.Err != nil:
			got = append(got, s.Err.Error())
		default:
			got = append(got, fmt.Sprint(s.Reference, " ", s.Sequence, " ", s.Duplicate))
		}
	})
	want := []string{"r-0 1 false", "invalid_reference", "r-2 2 false", "r-0 1 true", "unknown_account"}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%q, %v", got, err)
	}
}

// held answers publishes on the request subjects by hand.
type held chan *nats.Msg

func (h held) acknowledge(t *testing.T, sequence int) {
	t.Helper()
	m := receive(t, "a publish", h)
	if err := m.Respond(fmt.Appendf(nil, `{"stream":"PURCHASES_REQUESTS","seq":%d}`, sequence)); err != nil {
		t.Fatal(err)
	}
}

func TestSubmitManyHoldsBackAtTheWindow(t *testing.T) {
	const n, window = 20, 4
	server := servertest.NATS(t)
	nc, _ := server.Connect()
	publishes := make(held, n)
	if _, err := nc.ChanSubscribe("purchases.requests.*", publishes); err != nil {
		t.Fatal(err)
	}
	p, err := publisher.New(nc, publisher.WithWindow(window))
	if err != nil {
		t.Fatal(err)
	}
	var taken, reported atomic.Int64
	finished := make(chan error, 1)
	go func() {
		finished <- p.SubmitMany(context.Background(), numbered(n, &taken), func(publisher.Submitted) { reported.Add(1) })
	}()
	for acknowledged := range n - window {
		// One more than the window has been taken and waits, and no more is sent.
		eventually(t, "the window is full", func() bool {
			return len(publishes) == window && taken.Load() == int64(acknowledged+window+1)
		})
		if got := reported.Load(); got != int64(acknowledged) {
			t.Fatalf("%d reported, %d acknowledged", got, acknowledged)
		}
		publishes.acknowledge(t, acknowledged+1)
		eventually(t, "the callback", func() bool { return reported.Load() == int64(acknowledged+1) })
	}
	for i := n - window; i < n; i++ {
		publishes.acknowledge(t, i+1)
	}
	if err := receive(t, "the end", finished); err != nil || reported.Load() != n {
		t.Fatalf("%d reported, %v", reported.Load(), err)
	}
}

func TestSubmitManyStopsWithItsContext(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var taken atomic.Int64
	reported := 0
	err := r.newPublisher(t, publisher.WithWindow(8)).SubmitMany(ctx, numbered(100_000, &taken), func(s publisher.Submitted) {
		if s.Err != nil || s.Sequence != uint64(reported+1) {
			t.Errorf("callback %d: %+v", reported, s)
		}
		if reported++; reported == 50 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if stored := r.state(t, "PURCHASES_REQUESTS").Msgs; stored != uint64(reported) || reported > 50+8 || taken.Load() > 50+8+1 {
		t.Fatalf("%d taken, %d stored, %d reported", taken.Load(), stored, reported)
	}
}

func TestSubmitManyIntoAFullStream(t *testing.T) {
	r := newRig(t)
	r.limit(t, "PURCHASES_REQUESTS", 2000)
	var taken atomic.Int64
	accepted, refused := 0, 0
	err := r.newPublisher(t).SubmitMany(t.Context(), numbered(50, &taken), func(s publisher.Submitted) {
		switch {
		case s.Err == nil:
			accepted++
		case errors.Is(s.Err, publisher.ErrNotAcknowledged):
			t.Errorf("%v", s.Err)
		default:
			refused++
		}
	})
	stored := r.state(t, "PURCHASES_REQUESTS").Msgs
	if err != nil || accepted == 0 || refused == 0 || accepted+refused != 50 || stored != uint64(accepted) {
		t.Fatalf("%d accepted, %d refused, %d stored, %v", accepted, refused, stored, err)
	}
}

// A restart in the middle: what was acknowledged is stored once. The two kinds
// of connection fail a publish in different ways: one buffers it while the
// server is away, the other refuses it at once.
func TestSubmitManyOverARestart(t *testing.T) {
	for name, option := range map[string]nats.Option{
		"buffered": nats.ReconnectBufSize(nats.DefaultReconnectBufSize),
		"at once":  nats.ReconnectBufSize(-1),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			nc, err := nats.Connect(r.server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(nats.DefaultReconnectWait/100), option)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			p, err := publisher.New(nc, publisher.WithWindow(64))
			if err != nil {
				t.Fatal(err)
			}
			const n = 2000
			var taken atomic.Int64
			underWay, finished := make(chan struct{}), make(chan error, 1)
			acknowledged := map[string]uint64{}
			calls := 0
			go func() {
				finished <- p.SubmitMany(context.Background(), numbered(n, &taken), func(s publisher.Submitted) {
					if s.Err != nil {
						t.Errorf("%s: %v", s.Reference, s.Err)
					}
					acknowledged[s.Reference] = s.Sequence
					if calls++; calls == 200 {
						close(underWay)
					}
				})
			}()
			receive(t, "200 callbacks", underWay)
			r.server.Stop()
			r.server.Start()
			if err := receive(t, "the end", finished); err != nil || len(acknowledged) != n {
				t.Fatalf("%d acknowledged, %v", len(acknowledged), err)
			}
			if got := r.state(t, "PURCHASES_REQUESTS").Msgs; got != n {
				t.Fatalf("%d messages for %d requests", got, n)
			}
			stream, err := r.js.Stream(t.Context(), "PURCHASES_REQUESTS")
			if err != nil {
				t.Fatal(err)
			}
			for reference, sequence := range acknowledged {
				m, err := stream.GetMsg(t.Context(), sequence)
				if err != nil || m.Header.Get(publisher.HeaderMessageID) != "acme/"+reference {
					t.Fatalf("%s at %d: %v", reference, sequence, err)
				}
			}
		})
	}
}
