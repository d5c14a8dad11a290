package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// raisedPayload is what some raise a NATS server's max_payload to.
const raisedPayload = 8 << 20

// manyHeaders are as many headers as JetStream stores: it takes 64 KiB of them.
func manyHeaders(h nats.Header, add func(i int) (name, value string)) {
	size := 1000 // for what the client adds
	for i := 0; ; i++ {
		name, value := add(i)
		if size += len(name) + len(value) + 4; size > 1<<16-1 {
			return
		}
		h[name] = append(h[name], value)
	}
}

// Requests of the largest size and depth that the servers take end as the contract
// says, in bounded memory, and the purchases among them are bought.
func TestEndToEndHostileRequests(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	s.nats.Stop()
	s.nats.MaxPayload = raisedPayload
	s.nats.Start()
	s.replaceInConfig("requests: 0}", "requests: 0}, max_in_flight: 2")
	s.provision()
	eventually(t, "the connection knows of the larger limit", func() error {
		if most := s.nc.MaxPayload(); most != raisedPayload {
			return fmt.Errorf("%d", most)
		}
		return nil
	})

	type sent struct {
		sequence uint64
		ref      string          // of a result
		reason   purchase.Reason // of a dead letter
		whole    bool            // the dead letter has the entire body
		body     string
	}
	var all []sent
	publish := func(header nats.Header, body string, expect sent) {
		t.Helper()
		m := &nats.Msg{Subject: s.subjects.Requests("acme"), Header: header, Data: []byte(body)}
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ack, err := s.js.PublishMsg(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		expect.sequence, expect.body = ack.Sequence, body
		all = append(all, expect)
	}
	pad := func(body string, size int) string { return body + strings.Repeat(" ", size-len(body)) }
	inside := func(ref, value string) string {
		body := airtime(ref)
		return body[:len(body)-1] + `,"additionalInfo":` + value + "}"
	}
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }

	// Bodies.
	publish(nil, pad(airtime("fits"), purchase.MaxBody), sent{ref: "fits"})
	publish(nil, pad(airtime("large"), purchase.MaxBody+1), sent{reason: purchase.ReasonTooLarge, whole: true})
	publish(nil, inside("deep", deep(8000)), sent{ref: "deep"})
	publish(nil, inside("deeper", deep(9500)), sent{reason: purchase.ReasonMalformed, whole: true})
	publish(nil, strings.Repeat("[", purchase.MaxBody), sent{reason: purchase.ReasonMalformed, whole: true})
	publish(nil, strings.Repeat(`{"a":`, purchase.MaxBody/5), sent{reason: purchase.ReasonMalformed, whole: true})
	var keys strings.Builder
	for i := 0; keys.Len() < purchase.MaxBody-1000; i++ {
		fmt.Fprintf(&keys, `"k%d":0,`, i)
	}
	publish(nil, "{"+keys.String()+airtime("keys")[1:], sent{ref: "keys"})
	publish(nil, strings.Replace(airtime("digits"), "10.00", "1"+strings.Repeat("0", 60_000), 1), sent{ref: "digits"})

	// Headers: many, many of one name, one large one; for a result and for a dead
	// letter, in which those that begin with Nats- grow.
	for i, add := range []func(int) (string, string){
		func(i int) (string, string) { return "h" + strconv.Itoa(i), "" },
		func(i int) (string, string) { return "Nats-" + strconv.Itoa(i), "" },
		func(i int) (string, string) { return "x", strconv.Itoa(i) },
		func(i int) (string, string) { return publisher.HeaderLookup, "true" },
		func(i int) (string, string) { return "Large" + strconv.Itoa(i), strings.Repeat("x", 60_000) },
	} {
		for _, buried := range []bool{false, true} {
			h := nats.Header{}
			manyHeaders(h, add)
			ref := fmt.Sprintf("headers-%d", i)
			if buried {
				publish(h, "{"+ref, sent{reason: purchase.ReasonMalformed, whole: true})
			} else {
				publish(h, airtime(ref), sent{ref: ref})
			}
		}
	}
	h := nats.Header{}
	manyHeaders(h, func(int) (string, string) { return publisher.HeaderExpiresAt, "2026-01-01T00:00:00Z" })
	publish(h, airtime("expiries"), sent{ref: "expiries"})

	// The largest messages of all, more of them than may be in memory.
	const large = 16
	huge := pad(airtime("huge"), raisedPayload-1024)
	for range large {
		publish(nil, huge, sent{reason: purchase.ReasonTooLarge})
	}
	publish(nil, airtime("last"), sent{ref: "last"})

	s.process("serve")
	addr := s.addresses(1)[0]
	s.result("acme", "last")
	s.drained(s.subjects.RequestsStream(), s.subjects.PendingStream())
	// The heap never gives back what it took from the system, so this is its peak.
	if took := int(metric(t, addr, "go_memstats_sys_bytes")); took == 0 || took > 16*raisedPayload {
		t.Errorf("the process took %d MiB for messages of %d MiB, two at a time", took>>20, raisedPayload>>20)
	}

	for _, one := range all {
		if one.ref != "" {
			if r := s.result("acme", one.ref); r.MerchantReference != one.ref {
				t.Errorf("%s: %+v", one.ref, r)
			}
			continue
		}
		d := s.deadLetter("acme", one.sequence)
		if got := d.Header.Get(publisher.HeaderReason); got != string(one.reason) {
			t.Errorf("message %d: %s, want %s", one.sequence, got, one.reason)
		}
		if one.whole && string(d.Data) != one.body || !strings.HasPrefix(one.body, string(d.Data)) {
			t.Errorf("message %d: %d of %d bytes in its dead letter", one.sequence, len(d.Data), len(one.body))
		}
		if cut := d.Header.Get(publisher.HeaderTruncated); (cut != "") == (len(d.Data) == len(one.body)) {
			t.Errorf("message %d: %d of %d bytes, truncated %q", one.sequence, len(d.Data), len(one.body), cut)
		}
	}
}
