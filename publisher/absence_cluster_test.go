package publisher_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/publisher"
)

// Whatever server a process is connected to, and whatever copy answers: what was
// acknowledged to one process is seen by the next look of another, also while
// leaders change.
func TestLookInACluster(t *testing.T) {
	t.Parallel()
	const rounds, stepDowns = 120, 40
	servers := servertest.NATSCluster(t, 3)
	conns := make([]*nats.Conn, len(servers))
	var js jetstream.JetStream
	for i, s := range servers {
		conns[i], js = s.Connect()
	}
	eventually(t, "the topology", func() bool {
		_, err := broker.Ensure(t.Context(), js, broker.Topology{Replicas: 3, Results: 1 << 40, AckWait: 1 << 36, Accounts: []string{"acme"}})
		return err == nil
	})
	configure(t, js, results, func(c *jetstream.StreamConfig) { c.AllowDirect = true }) // as somebody may
	heard := make(chan *nats.Msg, 100_000)
	if _, err := conns[0].ChanSubscribe("$JS.API.STREAM.MSG.GET.*", heard); err != nil {
		t.Fatal(err)
	}
	directs := make(chan *nats.Msg, 1000)
	if _, err := conns[0].ChanSubscribe("$JS.API.DIRECT.GET.>", directs); err != nil {
		t.Fatal(err)
	}
	store := func(i int) *publisher.Store {
		s, err := publisher.NewStore(conns[i%len(conns)], publisher.Subjects{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	look := func(s *publisher.Store, references []string) []publisher.Known {
		var all []publisher.Known
		eventually(t, "an answer", func() (answered bool) {
			var err error
			all, err = s.Look(t.Context(), "acme", references)
			return err == nil
		})
		return all
	}
	shown := map[string]int{}
	for i := range rounds {
		looks, writes := store(i), store(i+1+i/7)
		if _, err := looks.PublishResult(t.Context(), completed(t, "witness", "tx"), ""); err != nil {
			t.Fatal(err)
		}
		look(looks, names("before", 10)) // counts the hand-offs
		references := append(names(fmt.Sprintf("round-%d", i), 10), fmt.Sprintf("h-%d", i), fmt.Sprintf("r-%d", i))
		if i%stepDowns == stepDowns-1 {
			for _, stream := range []string{"PURCHASES_PENDING", "PURCHASES_RESULTS"} {
				if _, err := conns[0].RequestWithContext(t.Context(), "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, err1 := writes.PublishHandoff(t.Context(), handoff(t, references[10], purchase.Unknown), "")
		_, err2 := writes.PublishResult(t.Context(), completed(t, references[11], "tx"), "")
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if err := conns[0].Flush(); err != nil {
			t.Fatal(err)
		}
		for len(heard) > 0 {
			<-heard
		}
		for j, known := range look(looks, references) {
			if (known.Handoff != nil) != (j == 10) || (known.Result != nil) != (j == 11) {
				t.Fatalf("round %d: %s: %+v", i, references[j], known)
			}
		}
		if err := conns[0].Flush(); err != nil {
			t.Fatal(err)
		}
		reads := map[string]int{}
		for len(heard) > 0 {
			reads[(<-heard).Subject]++
		}
		for subject, n := range reads {
			if n <= 2 { // beside the list, and of what is there
				shown[subject]++
			}
		}
	}
	t.Logf("looks that were shown at once: %v of %d", shown, rounds)
	if shown["$JS.API.STREAM.MSG.GET.PURCHASES_PENDING"] == 0 {
		t.Error("the hand-offs were never listed")
	}
	// Not by the number of reads: those of another connection may be heard late.
	if n := len(directs); n != 0 {
		t.Errorf("one of several copies was asked %d times", n)
	}
}
