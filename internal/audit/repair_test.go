package audit_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/audit"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

func (w *world) repair(r *audit.Report, dryRun bool) {
	w.t.Helper()
	w.must(w.audit.Repair(w.t.Context(), r, w.store, dryRun))
}

func (w *world) last() uint64 {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), w.subjects.RequestsStream())
	w.must(err)
	return s.CachedInfo().State.LastSeq
}

// An unaccounted request is published again as it was, and is accounted for from
// then on.
func TestRepair(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := w.publish("acme", body("lost"), "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"Nats-Msg-Id", "acme/lost", publisher.HeaderLookup, "true")
	w.ack("acme", 1)

	r := w.run()
	w.repair(r, true)
	if f := finding(t, r, audit.Unaccounted); f.Repair != "would be published again" || w.last() != lost {
		t.Errorf("dry run: %+v, last %d", f, w.last())
	}
	w.repair(r, false)
	again := w.last()
	if f := finding(t, r, audit.Unaccounted); again == lost || f.Repair != "published again as request "+strconv.FormatUint(again, 10) {
		t.Errorf("%+v, last %d", f, again)
	}
	w.repair(r, false)
	if w.last() != again {
		t.Errorf("repaired twice: %d", w.last())
	}
	d, err := w.store.Original(t.Context(), "acme", again)
	w.must(err)
	h := func(name string) string { return publisher.Header(d.Header, name) }
	if string(d.Body) != body("lost") || h("Nats-Msg-Id") != "repair/acme/"+strconv.FormatUint(lost, 10) ||
		publisher.Repairs(d.Header) != lost || h(publisher.HeaderLookup) != "true" || !strings.HasPrefix(h("traceparent"), "00-0af7") {
		t.Errorf("%+v", d)
	}

	want(t, w.run(), "acme", map[audit.State]uint64{audit.Repaired: 1, audit.Waiting: 1})
	_, at := w.original("acme", lost)
	// The repair is seen though it came after the period.
	want(t, w.run(func(s *audit.Scope) { s.Until = at }), "acme", map[audit.State]uint64{audit.Repaired: 1})
	w.handOver("acme", again)
	w.ack("acme", 1)
	want(t, w.run(), "acme", map[audit.State]uint64{audit.Pending: 2})
	w.settle("acme", again)
	if r := w.run(); !r.Accounted() || r.Counts["acme"][audit.Settled] != 2 {
		t.Errorf("%+v", r.Counts)
	}
}

// One repair speaks for the same payload only.
func TestFalseRepair(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := w.publish("acme", body("lost"))
	w.ack("acme", 1)
	number := strconv.FormatUint(lost, 10)
	w.publish("acme", body("other"), publisher.HeaderRepairs, number)
	w.publish("beta", body("lost"), publisher.HeaderRepairs, number)
	if r := w.run(); r.Counts["acme"][audit.Unaccounted] != 1 {
		t.Errorf("%+v", r.Counts)
	}
}

// What can have no result is buried under its own sequence.
func TestRepairBuries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sequence := w.publish("acme", "{")
	w.ack("acme", 1)
	r := w.run()
	w.repair(r, true)
	if f := finding(t, r, audit.Unaccounted); f.Repair != "would be made a dead letter: malformed" {
		t.Errorf("%+v", f)
	}
	w.repair(r, false)
	d, err := w.store.Dead(t.Context(), "acme", sequence)
	w.must(err)
	if d == nil || d.Reason != purchase.ReasonMalformed || d.Detail == "" || w.last() != sequence {
		t.Errorf("%+v", d)
	}
	want(t, w.run(), "acme", map[audit.State]uint64{audit.Dead: 1})
}

// A conflict is the daemons' to judge. When they have, the dead letter is repeated
// under the sequence of the first message, which housekeeping waits for.
func TestRepairOfConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settle("acme", w.publish("acme", body("a")))
	conflict := w.publish("acme", otherBody("a"))
	w.ack("acme", 2)
	w.repair(w.run(), false)
	again := w.last()
	want(t, w.run(), "acme", map[audit.State]uint64{audit.Settled: 1, audit.Repaired: 1, audit.Waiting: 1})
	w.bury("acme", again, purchase.ReasonConflict)
	w.ack("acme", 1)
	r := w.run()
	want(t, r, "acme", map[audit.State]uint64{audit.Settled: 1, audit.Repaired: 1, audit.Dead: 1})
	w.repair(r, false)
	want(t, w.run(), "acme", map[audit.State]uint64{audit.Settled: 1, audit.Dead: 2})
	d, err := w.store.Dead(t.Context(), "acme", conflict)
	if err != nil || d == nil || d.Reason != purchase.ReasonConflict || string(d.Body) != otherBody("a") {
		t.Errorf("%+v, %v", d, err)
	}
}

// What may not be repaired is left, and so is what has an end by now.
func TestNotRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	expired := w.publish("acme", body("expired"), publisher.HeaderExpiresAt, time.Now().Add(-time.Second).Format(time.RFC3339Nano))
	doubled := w.publish("acme", body("doubled"))
	w.settle("acme", doubled)
	w.bury("acme", doubled, purchase.ReasonConflict)
	late := w.publish("acme", body("late"))
	gone := w.publish("acme", body("gone"))
	w.ack("acme", 4)
	r := w.run()
	w.settle("acme", late)
	s, err := w.js.Stream(t.Context(), w.subjects.RequestsStream())
	w.must(err)
	w.must(s.DeleteMsg(t.Context(), gone))
	last := w.last()
	w.repair(r, true)
	for _, f := range r.Findings {
		if f.Sequence == expired && !strings.HasPrefix(f.Repair, "none: it has expired") {
			t.Errorf("a dry run promises: %+v", f)
		}
	}
	w.repair(r, false)
	for _, f := range r.Findings {
		prefix := map[uint64]string{
			expired: "none: it has expired", doubled: "none: somebody", late: "none: it is settled", gone: "none: the request is no longer",
		}[f.Sequence]
		if prefix == "" || !strings.HasPrefix(f.Repair, prefix) {
			t.Errorf("%+v", f)
		}
	}
	if len(r.Findings) != 4 || w.last() != last {
		t.Errorf("%d findings, last %d, was %d", len(r.Findings), w.last(), last)
	}
}
