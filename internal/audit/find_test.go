package audit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/audit"
	"github.com/vendstream/vendstream/internal/purchase"
)

// Every way in which a request can be accounted for.
func TestAccountedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	settled := w.publish("acme", body("settled"))
	w.settle("acme", settled)
	w.publish("acme", body("settled")) // a repeat
	pending := w.publish("acme", body("pending"))
	w.handOver("acme", pending)
	malformed := w.publish("acme", "{")
	w.bury("acme", malformed, purchase.ReasonMalformed)
	conflict := w.publish("acme", otherBody("settled"))
	w.bury("acme", conflict, purchase.ReasonConflict)
	w.ack("acme", 5)
	w.publish("acme", body("waiting"))
	w.publish("acme", "also waiting")
	stranger := w.publish("nobody", body("stranger"))
	w.bury("nobody", stranger, purchase.ReasonUnknownAccount)
	w.publish("nobody", body("young"))

	r := w.run(func(s *audit.Scope) { s.Open = true })
	want(t, r, "acme", map[audit.State]uint64{audit.Settled: 2, audit.Pending: 1, audit.Dead: 2, audit.Waiting: 2})
	want(t, r, "nobody", map[audit.State]uint64{audit.Dead: 1, audit.Waiting: 1})
	if !r.Accounted() || len(r.Findings) > 0 || len(r.Open) != 4 || r.Requests("acme") != 7 {
		t.Errorf("%+v", r)
	}
	if quick := w.run(); quick.Counts["acme"][audit.Waiting] != 2 {
		t.Errorf("without the open ones: %+v", quick.Counts)
	}
	only := w.run(func(s *audit.Scope) { s.Accounts = []string{"nobody"} })
	if len(only.Counts) != 1 || only.Requests("nobody") != 2 {
		t.Errorf("of one account: %+v", only.Counts)
	}
	none := w.run(func(s *audit.Scope) { s.Until = s.Since.Add(time.Minute) })
	if len(none.Counts) != 0 {
		t.Errorf("of another time: %+v", none.Counts)
	}
}

// Every kind of finding, really produced.
func TestFindings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := w.publish("acme", body("lost")) // its result is purged
	w.settle("acme", lost)
	w.purge(w.subjects.ResultsStream(), w.subjects.Result("acme", "lost"))
	open := w.publish("acme", body("open")) // its hand-off is
	w.handOver("acme", open)
	w.purge(w.subjects.PendingStream(), w.subjects.Pending("acme", "open"))
	w.publish("acme", body("acked")) // acknowledged by hand
	malformed := w.publish("acme", "{")
	first := w.publish("acme", body("shared"))
	w.settle("acme", first)
	conflict := w.publish("acme", otherBody("shared"))
	doubled := w.publish("acme", body("doubled"))
	w.settle("acme", doubled)
	w.bury("acme", doubled, purchase.ReasonConflict)
	misburied := w.publish("acme", body("misburied"))
	w.bury("acme", misburied, purchase.ReasonMalformed)
	unreadable := w.publish("acme", body("unreadable"))
	if _, err := w.js.Publish(t.Context(), w.subjects.Result("acme", "unreadable"), []byte("no JSON")); err != nil {
		t.Fatal(err)
	}
	keyed := w.publish("acme", body("keyed"))
	w.accounts["acme"] = purchase.Account{Name: "acme", DigestKey: []byte("k")}
	w.settle("acme", keyed)
	delete(w.accounts, "acme")
	w.ack("acme", 10)

	r := w.run()
	want(t, r, "acme", map[audit.State]uint64{
		audit.Unaccounted: 4, audit.Conflict: 1, audit.Settled: 2, audit.Dead: 1,
		audit.Doubled: 1, audit.Misburied: 1, audit.Unreadable: 1, audit.Unverifiable: 1,
	})
	if r.Accounted() {
		t.Error("accounted for")
	}
	got := map[audit.State][]uint64{}
	for _, f := range r.Findings {
		got[f.State] = append(got[f.State], f.Sequence)
		if strings.Contains(f.Detail, "10.00") || f.Time.IsZero() {
			t.Errorf("%+v", f)
		}
	}
	for state, sequences := range map[audit.State][]uint64{
		audit.Unaccounted: {lost, open, lost + 2, malformed}, audit.Conflict: {conflict}, audit.Doubled: {doubled},
		audit.Misburied: {misburied}, audit.Unreadable: {unreadable}, audit.Unverifiable: {keyed},
	} {
		if len(got[state]) != len(sequences) {
			t.Errorf("%s: %v, want %v", state, got[state], sequences)
			continue
		}
		for i := range sequences {
			if got[state][i] != sequences[i] {
				t.Errorf("%s: %v, want %v", state, got[state], sequences)
			}
		}
	}
}

// A result without a request is told, unless the request can have been purged.
func TestResultWithoutRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var sequences []uint64
	for _, ref := range []string{"a", "b", "c", "d"} {
		sequences = append(sequences, w.publish("acme", body(ref)))
	}
	for _, sequence := range sequences {
		w.settle("acme", sequence)
	}
	w.ack("acme", 4)
	s, err := w.js.Stream(t.Context(), w.subjects.RequestsStream())
	w.must(err)
	w.must(s.DeleteMsg(t.Context(), sequences[0]))
	want(t, w.run(), "acme", map[audit.State]uint64{audit.Settled: 3}) // as retention does it
	w.must(s.DeleteMsg(t.Context(), sequences[2]))
	r := w.run()
	want(t, r, "acme", map[audit.State]uint64{audit.Settled: 2, audit.Orphan: 1})
	if f := finding(t, r, audit.Orphan); f.Reference != "c" || r.Accounted() {
		t.Errorf("%+v", f)
	}
	// Of a request before the period nothing is said.
	_, at := w.original("acme", sequences[3])
	want(t, w.run(func(s *audit.Scope) { s.Since = at }), "acme", map[audit.State]uint64{audit.Settled: 1})
}

// A hand-off beside its result is told when it is old, and an unreadable one always.
func TestHandoffs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sequence := w.publish("acme", body("a"))
	w.handOver("acme", sequence)
	w.settle("acme", sequence)
	w.ack("acme", 1)
	if r := w.run(); !r.Accounted() {
		t.Errorf("young: %+v", r.Findings)
	}
	w.audit.LingerAfter = time.Nanosecond
	if f := finding(t, w.run(), audit.Lingering); f.Sequence != sequence {
		t.Errorf("%+v", f)
	}
	if _, err := w.js.Publish(t.Context(), w.subjects.Pending("beta", "x"), []byte("no JSON")); err != nil {
		t.Fatal(err)
	}
	finding(t, w.run(), audit.Unreadable)
}

// A dead letter is no double of a result that a later request got.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	early := w.publish("acme", body("a"))
	w.bury("acme", early, purchase.ReasonUnknownAccount)
	w.settle("acme", w.publish("acme", body("a")))
	w.ack("acme", 2)
	r := w.run()
	if !r.Accounted() {
		t.Errorf("%+v", r.Findings)
	}
	// A repeat shares the result and leaves nothing else behind.
	w.bury("acme", w.publish("acme", body("a")), purchase.ReasonConflict)
	w.ack("acme", 1)
	finding(t, w.run(), audit.Doubled)
}

// What was settled while the account had another channel, or no digest key, is
// settled still.
func TestChangedConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.accounts["acme"] = purchase.Account{Name: "acme", ChannelID: "7"}
	w.settle("acme", w.publish("acme", body("a")))
	w.handOver("acme", w.publish("acme", body("b")))
	w.ack("acme", 2)
	for name, account := range map[string]purchase.Account{
		"another channel": {Name: "acme", ChannelID: "8"},
		"none":            {Name: "acme"},
		"a key":           {Name: "acme", ChannelID: "8", DigestKey: []byte("k")},
	} {
		w.accounts["acme"] = account
		r := w.run()
		want(t, r, "acme", map[audit.State]uint64{audit.Settled: 1, audit.Pending: 1})
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// Once ends are so old that they are no longer kept, their absence says nothing.
func TestExpiredEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish("acme", body("a"))
	w.publish("acme", "{")
	w.handOver("acme", w.publish("acme", body("open")))
	w.ack("acme", 3)
	w.publish("acme", body("waiting"))
	later := time.Now().Add(90 * 24 * time.Hour)
	w.audit.Now = func() time.Time { return later }
	r := w.run()
	want(t, r, "acme", map[audit.State]uint64{audit.Expired: 2, audit.Pending: 1, audit.Waiting: 1})
	w.audit.Now = func() time.Time { return later.Add(-time.Hour) }
	want(t, w.run(), "acme", map[audit.State]uint64{audit.Unaccounted: 2, audit.Pending: 1, audit.Waiting: 1})
}

// With two consumers of one subject a request is ended when both have it.
func TestTwoConsumers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish("acme", body("a"))
	w.ack("acme", 1)
	if r := w.run(); r.Counts["acme"][audit.Unaccounted] != 1 {
		t.Fatalf("%+v", r.Counts)
	}
	trail := w.secondConsumer("acme", "acme-low")
	floors, err := trail.Floors(t.Context())
	w.must(err)
	if floors["acme"] != 0 {
		t.Errorf("floors %v", floors)
	}
	want(t, w.run(), "acme", map[audit.State]uint64{audit.Waiting: 1})
}

func TestFindingAsJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(audit.Finding{Account: "acme", Sequence: 4, State: audit.Unaccounted, Reference: "r"})
	if err != nil || !strings.Contains(string(text), `"finding":"unaccounted","merchantReference":"r"`) {
		t.Errorf("%s, %v", text, err)
	}
}
