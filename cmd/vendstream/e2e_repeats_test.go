package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// Repeats at once and later share one result and leave nothing else behind; the
// spelling of the payload makes no difference.
func TestRepeats(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	spellings := []string{
		`{"productCode":"GAM-PSN-001","amount":50,"paymentMethod":"cash","merchantReference":%q}`,
		` { "merchantReference" : %q, "amount" : 50.0, "paymentMethod":"cash", "productCode":"GAM-PSN-001" } `,
		`{"channelId":"7","productCode":"GAM-PS\u004e-001","amount":5e1,"paymentMethod":"cash","merchantReference":%q}`,
		`{"productCode":"GAM-PSN-001","amount":"50","paymentMethod":"cash","merchantReference":%q}`,
	}
	s.provision()
	refs := []string{"at-once", "sim-pending-1", "sim-slow-1"}
	for _, ref := range refs { // waiting on the stream before the consumer starts
		for _, spelling := range spellings {
			s.publish("acme", fmt.Sprintf(spelling, ref))
		}
	}
	s.daemon("serve")
	for _, ref := range refs {
		s.result("acme", ref)
		for _, spelling := range spellings { // and later
			s.publish("acme", fmt.Sprintf(spelling, ref))
		}
	}
	s.settled()
	for _, ref := range refs {
		if e := s.entry("acme", ref); e.Calls > 2 || e.Vends != 1 || e.RepostedWhileOpen > 0 {
			t.Errorf("%s: the vendor counts %+v", ref, e)
		}
	}
	s.noDeadLetters()
}

func (s *stack) noDeadLetters() {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), s.subjects.DeadStream())
	if err != nil {
		s.t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 0 {
		s.t.Errorf("%d dead letters", n)
	}
}

// The same reference with another payload is a dead letter; the first one's
// result is untouched, also after Redis has forgotten everything.
func TestConflicts(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	s.daemon("serve")
	s.publish("acme", electricity("sim-pending-c"))
	first := s.publish("acme", airtime("c-1"))
	s.result("acme", "c-1")
	later := s.publish("acme", electricity("c-1"), publisher.HeaderMessageID, "mine", "X-Mine", "kept")
	m := s.deadLetter("acme", later)
	if got := m.Header.Get(publisher.HeaderReason); got != "conflict" || m.Header.Get("X-Mine") != "kept" || m.Header.Get("Nats-Msg-Id") == "mine" ||
		m.Header.Get(publisher.HeaderStreamSequence) != fmt.Sprint(later) || string(m.Data) != electricity("c-1") || m.Header.Get(publisher.HeaderDetail) == "" {
		t.Errorf("dead letter %s: %v", m.Data, m.Header)
	}
	s.redis.Flush()
	open := s.publish("acme", airtime("sim-pending-c"))
	settled := s.publish("acme", electricity("c-1"))
	for _, sequence := range []uint64{open, settled} {
		if got := s.deadLetter("acme", sequence).Header.Get(publisher.HeaderReason); got != "conflict" {
			t.Errorf("%d: %s", sequence, got)
		}
	}
	s.publish("acme", airtime("c-1")) // an honest repeat
	s.settled()
	if dead, err := s.store.IsDead(t.Context(), "acme", first); err != nil || dead {
		t.Errorf("the first one is dead: %v, %v", dead, err)
	}
	if e := s.entry("acme", "c-1"); e.Calls != 1 {
		t.Errorf("the vendor was called %d times for c-1", e.Calls)
	}
	if e := s.entry("acme", "sim-pending-c"); e.Calls > 2 || e.RepostedWhileOpen > 0 {
		t.Errorf("sim-pending-c: %+v", e)
	}
}

// Bodies that can have no result, and bodies that only look as if.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	s.daemon("serve")
	nested := func(n int) string {
		return `{"merchantReference":"deep-` + fmt.Sprint(n) + `","productCode":"GAM-PSN-001","amount":50,"paymentMethod":"cash","x":` +
			strings.Repeat(`[`, n) + strings.Repeat(`]`, n) + `}`
	}
	dead := map[string]purchase.Reason{
		"":                  purchase.ReasonMalformed,
		"\x00\xff":          purchase.ReasonMalformed,
		"[]":                purchase.ReasonMalformed,
		airtime("x") + "{}": purchase.ReasonMalformed,
		`{"merchantReference":"a","merchantReference":"b"}`:       purchase.ReasonMalformed,
		`{"merchantReference":"a","x":{"y":1,"\u0079":2}}`:        purchase.ReasonMalformed,
		"{\"merchantReference\":\"a\xc3\"}":                       purchase.ReasonMalformed,
		nested(30000):                                             purchase.ReasonMalformed,
		`{"merchantReference":7}`:                                 purchase.ReasonInvalidReference,
		`{"merchantReference":" a"}`:                              purchase.ReasonInvalidReference,
		`{"merchantReference":"a\u0000"}`:                         purchase.ReasonInvalidReference,
		`{"merchantReference":"\ud800"}`:                          purchase.ReasonInvalidReference,
		`{"merchantReference":"` + strings.Repeat("é", 65) + `"}`: purchase.ReasonInvalidReference,
		`{}`: purchase.ReasonInvalidReference,
		`{"merchantReference":"big","x":"` + strings.Repeat("x", purchase.MaxBody) + `"}`: purchase.ReasonTooLarge,
		strings.Repeat("x", 900_000): purchase.ReasonTooLarge,
	}
	sequences := map[string]uint64{}
	for body := range dead {
		sequences[body] = s.publish("acme", body, "Nats-Expected-Stream", "PURCHASES_REQUESTS")
	}
	lost := s.publish("nobody", airtime("n-1"))
	odd := s.publish("NoBody", "{")
	s.publish("acme", nested(5000))
	s.publish("acme", `{"merchantReference":"lone","productCode":"GAM-PSN-001","amount":50,"paymentMethod":"cash","note":"\ud800"}`)
	for body, want := range dead {
		m := s.deadLetter("acme", sequences[body])
		if got := m.Header.Get(publisher.HeaderReason); got != string(want) || string(m.Data) != body {
			t.Errorf("%.60q: %s, want %s (%d bytes back)", body, got, want, len(m.Data))
		}
	}
	if got := s.deadLetter("nobody", lost).Header.Get(publisher.HeaderReason); got != "unknown_account" {
		t.Errorf("unknown account: %s", got)
	}
	if got := s.deadLetter("NoBody", odd).Header.Get(publisher.HeaderReason); got != "malformed" {
		t.Errorf("malformed for an unknown account: %s", got)
	}
	for _, ref := range []string{"deep-5000", "lone"} {
		if r := s.result("acme", ref); r.Status != purchase.StatusCompleted {
			t.Errorf("%s: %+v", ref, r)
		}
	}
	s.settled()
}
