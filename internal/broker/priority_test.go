package broker_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// ask publishes a request with a body to know it by, and a priority.
func (r *rig) ask(t *testing.T, body, priority string) {
	t.Helper()
	m := nats.NewMsg("purchases.requests.acme")
	m.Data = []byte(body)
	if priority != "" {
		m.Header.Set(publisher.HeaderPriority, priority)
	}
	if _, err := r.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) prioritized(t *testing.T) *broker.Prioritized {
	t.Helper()
	s, err := broker.NewPrioritized(t.Context(), r.js, declared, "acme")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// take pulls until n deliveries have come, and acknowledges them.
func take(t *testing.T, s worker.Source, n, room int) (bodies []string) {
	t.Helper()
	for pulls := 0; len(bodies) < n; pulls++ {
		if pulls > n+20 {
			t.Fatalf("%d of %d came in %d pulls: %q", len(bodies), n, pulls, bodies)
		}
		got := 0
		if err := s.Pull(t.Context(), min(room, n-len(bodies)), func(chunk []*worker.Delivery) {
			for _, d := range chunk {
				got++
				bodies = append(bodies, string(d.Body))
				if err := d.Acker.Ack(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		if got > room {
			t.Fatalf("%d came for a room of %d", got, room)
		}
	}
	return bodies
}

// nothing makes sure that nothing is left, and that both consumers are through.
func (r *rig) nothing(t *testing.T, s worker.Source) {
	t.Helper()
	if err := s.Pull(t.Context(), 64, func(chunk []*worker.Delivery) { t.Errorf("%q came again", chunk[0].Body) }); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"acme", "LOW-acme"} {
		r.eventually(t, name+" is through", func() bool {
			unacked, waiting := r.left(t, requests, name)
			return unacked == 0 && waiting == 0
		})
	}
}

func TestNoConsumerOfLowPriorityWithoutNeed(t *testing.T) {
	r := newDeclared(t)
	s := r.prioritized(t)
	for i, priority := range []string{"", "high", "lower", ""} {
		r.ask(t, fmt.Sprint(i), priority)
	}
	if got := fmt.Sprint(take(t, s, 4, 4)); got != "[0 1 2 3]" {
		t.Errorf("%s", got)
	}
	if _, err := r.js.Consumer(t.Context(), requests, "LOW-acme"); err == nil {
		t.Error("it was made")
	}
}

func TestLowPriorityGoesBehind(t *testing.T) {
	for _, room := range []int{1, 3, 64} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			r := newDeclared(t)
			s := r.prioritized(t)
			for i := range 20 {
				r.ask(t, fmt.Sprintf("low %d", i), []string{"low", "LOW", " low "}[i%3])
			}
			r.ask(t, "a", "")
			r.ask(t, "b", "")
			got := take(t, s, 22, room)
			// All the low ones were there first. At most one pull of them goes before.
			at := map[string]int{}
			for i, b := range got {
				at[b] = i
			}
			if len(at) != 22 || at["a"] > room || at["b"] > room+1 {
				t.Errorf("%q", got)
			}
			r.nothing(t, s)
			// Later ones find the consumer there, also in a process that starts now.
			r.ask(t, "low", "low")
			r.ask(t, "c", "")
			if got := fmt.Sprint(take(t, r.prioritized(t), 2, room)); got != "[c low]" {
				t.Errorf("%s", got)
			}
			r.nothing(t, s)
		})
	}
}

func TestLowPriorityIsNotStarved(t *testing.T) {
	r := newDeclared(t)
	s := r.prioritized(t)
	r.ask(t, "low", "low")
	take(t, s, 1, 1) // the consumer of low priority is there
	for i := range 5 {
		r.ask(t, fmt.Sprintf("low %d", i), "low")
	}
	for i := range 60 {
		r.ask(t, fmt.Sprint(i), "")
	}
	got := take(t, s, 65, 4)
	var last, low int
	for i, b := range got {
		if b[0] == 'l' {
			if i-last > 16 {
				t.Errorf("one of low priority waited for %d others: %q", i-last, got)
			}
			low++
			last = i
		}
		if low == 5 {
			break
		}
	}
	r.nothing(t, s)
}

// Two processes: one has seen requests of low priority, the other not yet.
func TestTwoProcessesShareBothConsumers(t *testing.T) {
	r := newDeclared(t)
	one, two := r.prioritized(t), r.prioritized(t)
	for i := range 40 {
		r.ask(t, fmt.Sprint(i), []string{"", "low"}[i%2])
	}
	seen := map[string]bool{}
	for len(seen) < 40 {
		for _, s := range []worker.Source{one, two} {
			if err := s.Pull(t.Context(), 3, func(chunk []*worker.Delivery) {
				for _, d := range chunk {
					if seen[string(d.Body)] {
						t.Errorf("%s came twice", d.Body)
					}
					seen[string(d.Body)] = true
					_ = d.Acker.Ack(t.Context())
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.nothing(t, one)
}

// A consumer of low priority that was deleted begins again from the start; what
// it asks for a second time is found settled.
func TestDeletedConsumerOfLowPriority(t *testing.T) {
	r := newDeclared(t)
	s := r.prioritized(t)
	r.ask(t, "low", "low")
	take(t, s, 1, 1)
	r.ask(t, "low 2", "low")
	if err := r.js.DeleteConsumer(t.Context(), requests, "LOW-acme"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	r.eventually(t, "both came", func() bool {
		_ = s.Pull(t.Context(), 4, func(chunk []*worker.Delivery) { // an error tells of the deletion
			for _, d := range chunk {
				seen[string(d.Body)] = true
				_ = d.Acker.Ack(t.Context())
			}
		})
		return seen["low"] && seen["low 2"]
	})
	r.nothing(t, s)
}

func TestProvisionKeepsTheConsumerOfLowPriorityInLine(t *testing.T) {
	r := newDeclared(t)
	s := r.prioritized(t)
	r.ask(t, "low", "low")
	take(t, s, 1, 1)
	own := r.consumer(t, requests, "LOW-acme")
	own.MaxDeliver = 3
	if _, err := r.js.UpdateConsumer(t.Context(), requests, own); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Ensure(t.Context(), r.js, declared); err == nil {
		t.Fatal("a consumer that gives up was accepted")
	}
	if _, err := broker.Provision(t.Context(), r.js, declared, false); err != nil {
		t.Fatal(err)
	}
	if found, err := broker.Ensure(t.Context(), r.js, declared); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
}
