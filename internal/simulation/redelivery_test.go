package simulation

import (
	"fmt"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/worker"
)

// patience bounds what the suite waits for in real time.
const patience = 30 * time.Second

// pull waits for one delivery, and fails where none comes.
func pull(t *testing.T, s worker.Source) *worker.Delivery {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if d := pullNow(t, s); d != nil {
			return d
		}
	}
	t.Fatal("nothing was delivered")
	return nil
}

// pullNow gives what comes within a second, or nil.
func pullNow(t *testing.T, s worker.Source) (got *worker.Delivery) {
	t.Helper()
	if err := s.Pull(t.Context(), 1, func(chunk []*worker.Delivery) { got = chunk[0] }); err != nil {
		t.Fatal(err)
	}
	return got
}

func is(d *worker.Delivery) string { return fmt.Sprint(d.Sequence, d.Count, d.Header["Nats-Msg-Id"]) }

// What is not acknowledged comes again after the ack wait, as its next delivery;
// what is, does not.
func suiteRedelivery(t *testing.T, x target) {
	s := x.source(t)
	put(t, x, subjects.Requests("acme"), "a")
	put(t, x, subjects.Requests("acme"), "b")
	start := time.Now()
	want(t, "first", is(pull(t, s)), "1 1 [a]")
	second := pull(t, s)
	want(t, "second", is(second), "2 1 [b]")
	if err := second.Acker.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, "again", is(pull(t, s)), "1 2 [a]")
	if early := time.Since(start); early < shortWait/2 {
		t.Errorf("again after %s, though the ack wait is %s", early, shortWait)
	}
}

// A nak brings it again, at once or after the time asked for.
func suiteNak(t *testing.T, x target) {
	s := x.source(t)
	put(t, x, subjects.Requests("acme"), "a")
	if err := pull(t, s).Acker.Retry(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	d := pull(t, s)
	want(t, "at once", is(d), "1 2 [a]")
	start := time.Now()
	if err := d.Acker.Retry(t.Context(), 3*shortWait); err != nil {
		t.Fatal(err)
	}
	want(t, "later", is(pull(t, s)), "1 3 [a]")
	if early := time.Since(start); early < 2*shortWait {
		t.Errorf("again after %s, though %s were asked for", early, 3*shortWait)
	}
}

// A late ack settles the delivery of somebody else.
func suiteLateAck(t *testing.T, x target) {
	s := x.source(t)
	put(t, x, subjects.Requests("acme"), "a")
	late := pull(t, s)
	want(t, "again", is(pull(t, s)), "1 2 [a]")
	if err := late.Acker.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(2 * shortWait); time.Now().Before(end); {
		if d := pullNow(t, s); d != nil {
			t.Fatalf("delivered again: %s", is(d))
		}
	}
}

// Progress begins the ack wait anew.
func suiteProgress(t *testing.T, x target) {
	s := x.source(t)
	put(t, x, subjects.Requests("acme"), "a")
	d := pull(t, s)
	start := time.Now()
	for time.Since(start) < 2*shortWait {
		kept := time.Now()
		if err := d.Acker.Progress(t.Context()); err != nil {
			t.Fatal(err)
		}
		if again := pullNow(t, s); again != nil {
			if time.Since(kept) < shortWait {
				t.Errorf("delivered again %s after progress", time.Since(kept))
			}
			return
		}
	}
	want(t, "again", is(pull(t, s)), "1 2 [a]")
}

// A second consumer begins with the first message, whatever the other one has
// acknowledged, and acknowledges for itself.
func suiteLane(t *testing.T, x target) {
	s := x.source(t)
	put(t, x, subjects.Requests("acme"), "a")
	put(t, x, subjects.Requests("acme"), "b")
	if err := pull(t, s).Acker.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	lane := x.low(t)
	want(t, "first", is(pull(t, lane)), "1 1 [a]")
	second := pull(t, lane)
	want(t, "second", is(second), "2 1 [b]")
	if err := second.Acker.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, "of the other", is(pull(t, s)), "2 1 [b]")
}
