package publisher_test

import (
	"bytes"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

const graves = "PURCHASES_DEAD"

func deadLetter(sequence uint64) publisher.DeadLetter {
	return publisher.DeadLetter{
		Account: "acme", Sequence: sequence, Reason: purchase.ReasonMalformed, Detail: "not JSON",
		Header: map[string][]string{"x-mine": {"a", "b"}}, Body: []byte("{"),
	}
}

func TestPublishDead(t *testing.T) {
	r := newRig(t)
	d := deadLetter(42)
	d.Header["Nats-Msg-Id"] = []string{"acme/r-1"}
	for range 2 {
		if err := r.store.PublishDead(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	later := deadLetter(42)
	later.Reason = purchase.ReasonConflict
	if err := r.store.PublishDead(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if s := r.state(t, graves); s.Msgs != 1 || s.LastSeq != 1 {
		t.Fatalf("state %+v", s)
	}
	m := r.message(t, graves, "purchases.dead.acme.42")
	for name, want := range map[string]string{
		"Vendstream-Reason":               "malformed",
		"Vendstream-Detail":               "not JSON",
		"Vendstream-Stream-Sequence":      "42",
		"Nats-Msg-Id":                     "dead/acme/42",
		"Vendstream-Original-Nats-Msg-Id": "acme/r-1",
		"x-mine":                          "a,b",
	} {
		if got := strings.Join(m.Header[name], ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if string(m.Data) != "{" {
		t.Errorf("body %s", m.Data)
	}
}

// What JetStream would obey is kept under another name, and what the original
// said of its own death is not believed.
func TestPublishDeadWithHostileHeaders(t *testing.T) {
	r := newRig(t)
	if err := r.store.PublishDead(t.Context(), deadLetter(1)); err != nil {
		t.Fatal(err)
	}
	d := deadLetter(2)
	d.Header = map[string][]string{
		"Nats-Rollup": {"all"}, "nats-rollup": {"sub"}, "NATS-EXPECTED-STREAM": {"OTHER"},
		"Nats-Expected-Last-Sequence": {"99"}, "Nats-Expected-Last-Subject-Sequence": {"99"},
		"Nats-Expected-Last-Msg-Id": {"x"}, "Nats-TTL": {"1s"}, "Nats-Schedule": {"@every 1s"}, "Nats-Incr": {"+1"},
		"Nats-Msg-Id": {"dead/acme/1"}, "Nats-Batch-Id": {"b"}, "Nats-": {"short"},
		"vendstream-reason": {"conflict"}, "VENDSTREAM-DETAIL": {"invented"}, "vendstream-stream-sequence": {"1"},
		"Vendstream-Truncated": {"5"}, "Vendstream-Headers-Left-Out": {"5"}, "Vendstream-Lookup": {"true"},
		"evil\r\nNats-Rollup": {"all"}, "line": {"a\r\nNats-Rollup: all"},
	}
	before := maps.Clone(d.Header)
	if err := r.store.PublishDead(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if s := r.state(t, graves); s.Msgs != 2 {
		t.Fatalf("state %+v", s)
	}
	if len(before) != len(d.Header) {
		t.Error("the original's headers were changed")
	}
	h := r.message(t, graves, "purchases.dead.acme.2").Header
	for name, want := range map[string]string{
		"vendstream-reason": "malformed", "vendstream-detail": "not JSON", "vendstream-stream-sequence": "2", "vendstream-truncated": "",
		"vendstream-headers-left-out": "",
		"nats-msg-id":                 "dead/acme/2", "nats-rollup": "", "nats-ttl": "", "nats-schedule": "", "nats-expected-last-sequence": "",
		"vendstream-original-nats-ttl": "1s", "vendstream-original-nats-msg-id": "dead/acme/1", "vendstream-lookup": "true",
	} {
		if got := publisher.Header(h, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name := range h {
		if strings.ContainsAny(name, "\r\n") {
			t.Errorf("header %q", name)
		}
	}
}

func TestPublishDeadThatIsTooLarge(t *testing.T) {
	r := newRig(t)
	limit := int(r.nc.MaxPayload())
	large := strings.Repeat("x", limit-200)
	for i, c := range []struct {
		name      string
		header    map[string][]string
		body      string
		truncated bool
		leftOut   string // headers
	}{
		{"the largest body", nil, large, true, ""},
		{"a body that fits", nil, large[:limit-4096], false, ""},
		{"the largest header", map[string][]string{"x": {large}}, "small", false, "1"},
		{"a header named like ours", map[string][]string{"Vendstream-X": {large}}, "small", false, "1"},
		{"a header that JetStream obeys", map[string][]string{"Nats-TTL": {large}}, "small", false, "1"},
		{"many headers", map[string][]string{"x": strings.Split(strings.Repeat("yy,", limit/9), ",")}, "small", false, "1"},
		{"headers that the new names make too large", map[string][]string{"Nats-X": strings.Split(strings.Repeat("yyyyy,", 3500), ",")}, "small", false, "1"},
		{"a large header and a large body", map[string][]string{"x": {large[:50_000]}}, large[:limit-20_000], true, ""},
	} {
		d := deadLetter(uint64(i + 1))
		d.Header, d.Body = c.header, []byte(c.body)
		for range 2 {
			if err := r.store.PublishDead(within(t, patience), d); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		m := r.message(t, graves, r.subjects.Dead("acme", d.Sequence))
		if got := m.Header.Get(publisher.HeaderHeadersLeftOut); got != c.leftOut {
			t.Errorf("%s: %q headers are left out, want %q", c.name, got, c.leftOut)
		}
		if publisher.Incomplete(m.Header) != (c.truncated || c.leftOut != "") {
			t.Errorf("%s: Incomplete", c.name)
		}
		cut := m.Header.Get(publisher.HeaderTruncated)
		if c.truncated {
			if cut != strconv.Itoa(len(c.body)) || len(m.Data) == 0 || !bytes.HasPrefix(d.Body, m.Data) || len(m.Data) == len(d.Body) {
				t.Errorf("%s: cut is %q, %d bytes are left", c.name, cut, len(m.Data))
			}
		} else if cut != "" || string(m.Data) != c.body {
			t.Errorf("%s: cut is %q, %d bytes are left", c.name, cut, len(m.Data))
		}
		if m.Header.Get(publisher.HeaderReason) != "malformed" || m.Header.Get(publisher.HeaderMessageID) != fmt.Sprint("dead/acme/", d.Sequence) {
			t.Errorf("%s: our headers are gone", c.name)
		}
	}
}

func TestDeadSequences(t *testing.T) {
	r := newRig(t)
	if got, err := r.store.DeadSequences(t.Context(), "acme"); err != nil || len(got) != 0 {
		t.Fatalf("%v, %v", got, err)
	}
	for _, sequence := range []uint64{3, 5, 1 << 40} {
		if err := r.store.PublishDead(t.Context(), deadLetter(sequence)); err != nil {
			t.Fatal(err)
		}
	}
	other := deadLetter(4)
	other.Account = "other"
	if err := r.store.PublishDead(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if _, err := r.js.Publish(t.Context(), "purchases.dead.acme.rubbish", nil); err != nil {
		t.Fatal(err)
	}
	got, err := r.store.DeadSequences(t.Context(), "acme")
	if err != nil || !maps.Equal(got, map[uint64]bool{3: true, 5: true, 1 << 40: true}) {
		t.Fatalf("%v, %v", got, err)
	}
	for sequence, want := range map[uint64]bool{3: true, 4: false} {
		if dead, err := r.store.IsDead(t.Context(), "acme", sequence); err != nil || dead != want {
			t.Errorf("IsDead(%d): %t, %v", sequence, dead, err)
		}
	}
	if err := r.js.DeleteStream(t.Context(), graves); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.DeadSequences(t.Context(), "acme"); err == nil {
		t.Error("no stream: no error")
	}
	if _, err := r.store.IsDead(t.Context(), "acme", 3); err == nil {
		t.Error("no stream: no error")
	}
}

func TestOriginal(t *testing.T) {
	r := newRig(t)
	m := nats.NewMsg("purchases.requests.acme")
	m.Header["x-Mine"] = []string{"a", "b"}
	m.Data = []byte("\xff\x00{")
	for _, msg := range []*nats.Msg{m, nats.NewMsg("purchases.requests.acme")} {
		if _, err := r.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	d, err := r.store.Original(t.Context(), "acme", 1)
	if err != nil || d.Account != "acme" || d.Sequence != 1 || string(d.Body) != string(m.Data) || strings.Join(d.Header["x-Mine"], ",") != "a,b" {
		t.Fatalf("%+v, %v", d, err)
	}
	if d, err := r.store.Original(t.Context(), "acme", 2); err != nil || d.Body == nil || len(d.Body) != 0 {
		t.Errorf("an empty body: %+v, %v", d, err)
	}
	if d, err := r.store.Original(t.Context(), "acme", 3); err != nil || d.Body != nil {
		t.Errorf("one that is gone: %+v, %v", d, err)
	}
	if err := r.js.DeleteStream(t.Context(), "PURCHASES_REQUESTS"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Original(t.Context(), "acme", 1); err == nil {
		t.Error("no stream: no error")
	}
}
