package publisher_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/publisher"
)

// A repair leaves out what JetStream would obey again, and is stored once.
func TestRepairHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	m := nats.NewMsg("purchases.requests.acme")
	m.Data = []byte(`{"merchantReference":"r"}`)
	m.Header.Set("Nats-Expected-Last-Sequence", "0") // obeyed, it would refuse the repair
	m.Header.Set("vendstream-repairs", "99")
	m.Header.Set("X-Theirs", "kept")
	if _, err := r.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if sequence, err := r.store.Repair(t.Context(), "acme", 1); err != nil || sequence != 2 {
			t.Fatalf("%d, %v", sequence, err)
		}
	}
	d, err := r.store.Original(t.Context(), "acme", 2)
	if err != nil {
		t.Fatal(err)
	}
	if d.Header["Nats-Expected-Last-Sequence"] != nil || publisher.Repairs(d.Header) != 1 || d.Header["X-Theirs"][0] != "kept" ||
		d.Header[publisher.HeaderMessageID][0] != "repair/acme/1" || string(d.Body) != string(m.Data) {
		t.Errorf("%+v", d)
	}
	if _, err := r.store.Repair(t.Context(), "acme", 7); !errors.Is(err, publisher.ErrNoRequest) {
		t.Errorf("of nothing: %v", err)
	}
	m.Header.Del("Nats-Expected-Last-Sequence")
	m.Header.Set(publisher.HeaderExpiresAt, time.Now().Add(-time.Minute).Format(time.RFC3339))
	ack, err := r.js.PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Repair(t.Context(), "acme", ack.Sequence); !errors.Is(err, publisher.ErrMayHaveBeenSent) {
		t.Errorf("an expired one: %v", err)
	}
}
