package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

func (r *rig) put(t *testing.T, subject string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if _, err := r.js.Publish(t.Context(), subject, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTrailReads(t *testing.T) {
	r := newDeclared(t)
	trail := broker.NewTrail(r.js, publisher.Subjects{})
	read := func(reading broker.Reading) string {
		t.Helper()
		reading.Stream = requests
		var got []string
		if err := trail.Read(t.Context(), reading, func(d *worker.Delivery) error {
			got = append(got, string(d.Body))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(got, " ")
	}
	if got := read(broker.Reading{}); got != "" {
		t.Errorf("an empty stream: %s", got)
	}
	// One that is as large as the server allows goes through the bounded buffer too.
	large := strings.Repeat("x", 1<<20-1000)
	r.put(t, "purchases.requests.acme", "a", "b")
	r.put(t, "purchases.requests.other", "c", large)
	if got := read(broker.Reading{}); got != "a b c "+large {
		t.Errorf("all: %d bytes", len(got))
	}
	if got := read(broker.Reading{Sequence: 2, Subjects: []string{"purchases.requests.acme"}}); got != "b" {
		t.Errorf("from a sequence on: %s", got)
	}
	if got := read(broker.Reading{Subjects: []string{"purchases.requests.nobody"}}); got != "" {
		t.Errorf("of nobody: %s", got)
	}
	third, err := trail.Next(t.Context(), requests, "purchases.requests.*", 3)
	if err != nil || third == nil || third.Sequence != 3 {
		t.Fatalf("%+v, %v", third, err)
	}
	if got := read(broker.Reading{Since: third.Time, HeadersOnly: true}); got != " " {
		t.Errorf("headers since a time: %q", got)
	}
	n := 0
	for name, do := range map[string]func(func(*worker.Delivery) error) error{
		"read": func(each func(*worker.Delivery) error) error {
			return trail.Read(t.Context(), broker.Reading{Stream: requests}, each)
		},
		"walk": func(each func(*worker.Delivery) error) error {
			return trail.Walk(t.Context(), requests, "purchases.requests.*", each)
		},
	} {
		n = 0
		if err := do(func(*worker.Delivery) error { n++; return broker.ErrEnough }); err != nil || n != 1 {
			t.Errorf("%s, enough: %d, %v", name, n, err)
		}
		broken := errors.New("broken")
		if err := do(func(*worker.Delivery) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("%s, broken: %v", name, err)
		}
	}
	// Nothing is left behind.
	s, err := r.js.Stream(t.Context(), requests)
	if err != nil || s.CachedInfo().State.Consumers != 2 {
		t.Errorf("%d consumers, %v", s.CachedInfo().State.Consumers, err)
	}
}

// The floor of an account is that of the slowest of its own consumers.
func TestTrailFloors(t *testing.T) {
	r := newDeclared(t)
	trail := broker.NewTrail(r.js, publisher.Subjects{})
	for i := range 6 {
		r.put(t, []string{"purchases.requests.acme", "purchases.requests.other"}[i%2], fmt.Sprint(i))
	}
	c, err := r.js.Consumer(t.Context(), requests, "acme")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := c.Fetch(3)
	if err != nil {
		t.Fatal(err)
	}
	var got []jetstream.Msg
	for m := range batch.Messages() {
		got = append(got, m)
	}
	for _, i := range []int{0, 2} { // the second is under way
		if err := got[i].DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := func(acme, other uint64) {
		t.Helper()
		floors, err := trail.Floors(t.Context())
		if err != nil || len(floors) != 2 || floors["acme"] != acme || floors["other"] != other {
			t.Errorf("%v, %v", floors, err)
		}
	}
	want(2, 0) // below the one that is under way
	if err := got[1].DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(5, 0)
	for _, config := range []jetstream.ConsumerConfig{
		{FilterSubject: "purchases.requests.acme"},              // somebody reading
		{Durable: "everything"},                                 // of no account
		{Durable: "all", FilterSubject: "purchases.requests.*"}, // likewise
	} {
		config.AckPolicy = jetstream.AckExplicitPolicy
		if _, err := r.js.CreateConsumer(t.Context(), requests, config); err != nil {
			t.Fatal(err)
		}
	}
	want(5, 0)
	if _, err := r.js.CreateConsumer(t.Context(), requests, jetstream.ConsumerConfig{
		Durable: "acme-low", FilterSubject: "purchases.requests.acme", AckPolicy: jetstream.AckExplicitPolicy,
	}); err != nil {
		t.Fatal(err)
	}
	want(0, 0)
}

// A purge takes an account's requests below a sequence, and leaves the others and
// what their consumers have of them.
func TestTrailPurges(t *testing.T) {
	r := newDeclared(t)
	trail := broker.NewTrail(r.js, publisher.Subjects{})
	for i := range 6 {
		r.put(t, []string{"purchases.requests.acme", "purchases.requests.other"}[i%2], fmt.Sprint(i))
	}
	for _, below := range []uint64{0, 1} {
		if n, err := trail.PurgeRequests(t.Context(), "acme", below); n != 0 || err != nil {
			t.Errorf("below %d: %d, %v", below, n, err)
		}
	}
	for _, all := range []string{"", "*", ">"} {
		if _, err := trail.PurgeRequests(t.Context(), all, 4); err == nil {
			t.Errorf("account %q was purged", all)
		}
	}
	n, err := trail.PurgeRequests(t.Context(), "acme", 4)
	if n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	var left []uint64
	if err := trail.Walk(t.Context(), requests, "purchases.requests.*", func(d *worker.Delivery) error {
		left = append(left, d.Sequence)
		return nil
	}); err != nil || !slices.Equal(left, []uint64{2, 4, 5, 6}) {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := broker.NewTrail(r.js, publisher.Subjects{Prefix: "none"}).PurgeRequests(t.Context(), "acme", 4); err == nil {
		t.Error("a stream that is missing was purged")
	}
}
