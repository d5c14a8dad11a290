package consumer

import (
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

const meterBody = `{"productCode":"ELE-FLS-001","amount":50,"paymentMethod":"cash","meterNumber":"000001020001","merchantReference":"ref"}`

// electricity publishes a purchase of electricity that is to be looked up first.
func (w *world) electricity(header ...string) *message {
	w.script["ref"] = []purchase.Outcome{completed}
	return w.publish(meterBody, header...)
}

var good = lookedUp{purchase.Outcome{Kind: purchase.Completed, Code: "0"}, `{"customerName":"A"}`}

func TestLookupComesFirst(t *testing.T) {
	for name, wanted := range map[string]func(w *world) *message{
		"by the header": func(w *world) *message { return w.electricity(publisher.HeaderLookup, "true") },
		"by the account": func(w *world) *message {
			w.config.Lookups = map[purchase.LookupKind]bool{purchase.LookupElectricity: true}
			return w.electricity()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.lookups = []lookedUp{good}
				wanted(w)
				w.run(time.Second)
				w.wantCompleted(t, 1)
				if got := strings.Join(w.effects, ", "); strings.Index(got, "look up electricity") > strings.Index(got, "post") {
					t.Errorf("effects: %s", got)
				}
				if r := w.results["ref"]; string(r.Lookup) != good.data || r.Attempts != 1 {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// What the look-up said goes with a purchase that is handed over.
func TestLookupIsHandedOver(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.lookups = []lookedUp{good}
		w.electricity(publisher.HeaderLookup, "true")
		w.script["ref"] = []purchase.Outcome{{Kind: purchase.InFlight, TransactionID: "t"}}
		w.run(time.Second)
		if h := w.handoffs["ref"]; string(h.Lookup) != good.data {
			t.Errorf("%+v", h)
		}
	})
}

func TestNoLookup(t *testing.T) {
	for name, publish := range map[string]func(w *world){
		"not asked for": func(w *world) { w.electricity() },
		"another header value": func(w *world) {
			w.electricity(publisher.HeaderLookup, "no")
		},
		"no look-up for the product": func(w *world) {
			w.script["ref"] = []purchase.Outcome{completed}
			w.publish(body("ref", "50"), publisher.HeaderLookup, "true")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				publish(w)
				w.run(time.Second)
				w.wantCompleted(t, 1)
				if n := w.count("look up electricity"); n != 0 {
					t.Errorf("looked up %d times", n)
				}
			})
		})
	}
}

// A customer who is refused ends the purchase without a call.
func TestLookupRefuses(t *testing.T) {
	for _, o := range []purchase.Outcome{
		{Kind: purchase.Failed, Code: "1104", Message: "no such meter", Class: purchase.ClassAccount},
		{Kind: purchase.Forbidden, Code: "403", Message: "not for you"},
	} {
		bubble(t, func(t *testing.T, w *world) {
			w.lookups = []lookedUp{{o, `{"valid":false}`}}
			m := w.electricity(publisher.HeaderLookup, "true")
			w.run(time.Second)
			r := w.results["ref"]
			if len(w.calls) != 0 || !m.acked || r.Status != purchase.StatusFailed || r.ResponseCode != o.Code || r.ResponseMessage != o.Message ||
				r.Failure.Class != purchase.ClassLookup || r.Source != purchase.SourceLookup || r.Attempts != 0 || string(r.Lookup) != `{"valid":false}` {
				t.Errorf("%s: %+v after %d calls", o.Kind, r, len(w.calls))
			}
		})
	}
}

// A look-up that cannot be had is tried again, then the purchase is put back: it
// is not failed, and not bought unseen.
func TestLookupThatCannotBeHad(t *testing.T) {
	for _, kind := range []purchase.OutcomeKind{purchase.Unknown, purchase.Transient, purchase.Unreachable, purchase.LookUp} {
		bubble(t, func(t *testing.T, w *world) {
			w.lookups = []lookedUp{{outcome: outcome(kind)}}
			m := w.electricity(publisher.HeaderLookup, "true")
			w.run(10 * time.Second)
			if n := w.count("look up electricity"); n != 3 || len(w.calls) != 0 || len(m.again) != 1 || m.again[0] != lookupRetry {
				t.Errorf("%s: %d look-ups, %d calls, again after %v", kind, n, len(w.calls), m.again)
			}
			if record := w.redis.At(w.key("ref")); record.State != purchase.Released || record.Sent {
				t.Errorf("%s: Redis holds %+v", kind, record)
			}
			w.lookups = []lookedUp{good}
			w.pass(time.Minute)
			w.run(time.Second)
			w.wantCompleted(t, 1)
		})
	}
}

func TestLookupWaits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.lookups = []lookedUp{{outcome: outcome(purchase.Limited)}, good}
		w.electricity(publisher.HeaderLookup, "true")
		w.run(5 * time.Second)
		w.wantCompleted(t, 1)
		if w.calls[0].at < time.Second {
			t.Errorf("called at %v", w.calls[0].at)
		}
	})
	bubble(t, func(t *testing.T, w *world) { // and may expire meanwhile
		w.lookups = []lookedUp{{outcome: outcome(purchase.Unknown)}, good}
		w.electricity(publisher.HeaderLookup, "true", publisher.HeaderExpiresAt, time.Now().Add(500*time.Millisecond).UTC().Format(time.RFC3339Nano))
		w.run(5 * time.Second)
		w.wantExpired(t, 0)
	})
	bubble(t, func(t *testing.T, w *world) {
		w.lookups = []lookedUp{{outcome: outcome(purchase.Unauthorized)}, good}
		m := w.electricity(publisher.HeaderLookup, "true")
		w.run(5 * time.Second)
		if len(m.again) != 1 || m.again[0] < 50*time.Second || len(w.calls) != 0 {
			t.Errorf("again after %v, %d calls", m.again, len(w.calls))
		}
	})
	bubble(t, func(t *testing.T, w *world) {
		w.lookups = []lookedUp{{outcome: outcome(purchase.Limited)}}
		m := w.electricity(publisher.HeaderLookup, "true")
		w.run(500 * time.Millisecond) // stopped while it waits
		if len(m.again) != 1 || m.again[0] != 0 {
			t.Errorf("again after %v", m.again)
		}
	})
}

// Past a call that may have purchased nobody is looked up any more.
func TestNoLookupAfterACall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.lookups = []lookedUp{good}
		w.electricity(publisher.HeaderLookup, "true")
		w.script["ref"] = []purchase.Outcome{outcome(purchase.Unknown), completed}
		w.run(500 * time.Millisecond) // stopped in the backoff
		w.pass(time.Minute)
		w.run(time.Second)
		w.wantCompleted(t, 2)
		if n := w.count("look up electricity"); n != 1 {
			t.Errorf("looked up %d times", n)
		}
	})
}
