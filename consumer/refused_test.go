package consumer

import (
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// A request that the vendor would refuse is refused here, without a call.
func TestRefusedByValidation(t *testing.T) {
	plain := body("ref", "50")
	tests := map[string]struct{ body, code string }{
		"no amount":     {strings.Replace(plain, `"amount":50,`, "", 1), "1001"},
		"amount 0":      {body("ref", "0"), "1004"},
		"amount a list": {body("ref", "[]"), "1008"},
		"no meter":      {strings.Replace(plain, "GAM-XBX-001", "ELE-FLS-001", 1), "1001"},
		"bad number":    {strings.Replace(plain, `"GAM-XBX-001"`, `"AIR-VOD-001","mobileNumber":"0821234567"`, 1), "1005"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.publish(test.body)
				w.run(time.Second)
				r := w.results["ref"]
				if r.Status != purchase.StatusFailed || r.Failure.Class != purchase.ClassValidation || r.ResponseCode != test.code ||
					r.Source != purchase.SourceValidation || r.Attempts != 0 {
					t.Errorf("result %+v", r)
				}
				if got := w.writes(); got != "result, settled, ack" {
					t.Errorf("effects: %s", got)
				}
			})
		})
	}
}

// A version with other rules may have sent what this one refuses. Then only the
// vendor can say how it ended.
func TestRefusedButSent(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.publish(body("ref", "0"))
		w.script["ref"] = []purchase.Outcome{completed}
		other := dedupe.Claim{Key: w.key("ref"), Digest: w.request(string(m.Body)).Digest, Owner: "older"}
		w.redis.Claim(t.Context(), []dedupe.Claim{other})
		w.redis.Release(t.Context(), other, 1, true)
		w.run(time.Second)
		w.wantCompleted(t, 1)
	})
}

// What can have no result becomes a dead letter, with its headers, and claims
// nothing.
func TestDeadLetters(t *testing.T) {
	tests := map[string]struct {
		body   string
		reason purchase.Reason
	}{
		"no JSON":       {`{"merchantReference":`, purchase.ReasonMalformed},
		"empty":         {"", purchase.ReasonMalformed},
		"a key twice":   {`{"merchantReference":"a","merchantReference":"a"}`, purchase.ReasonMalformed},
		"no reference":  {`{"amount":50}`, purchase.ReasonInvalidReference},
		"bad reference": {body(" ref", "50"), purchase.ReasonInvalidReference},
		"too large":     {body("ref", "50") + strings.Repeat(" ", 64<<10), purchase.ReasonTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.publish(test.body, "X-Shop", "12")
				w.run(time.Second)
				d := w.dead[1]
				if d.Reason != test.reason || d.Account != "acme" || d.Sequence != 1 || d.Detail == "" ||
					string(d.Body) != test.body || publisher.Header(d.Header, "X-Shop") != "12" {
					t.Errorf("dead letter %+v", d)
				}
				if got := w.writes(); got != "dead, ack" || w.count("claim") != 0 {
					t.Errorf("effects: %v", w.effects)
				}
				if told := w.seen(EventBuried); len(told) != 1 || told[0].Reason != test.reason {
					t.Errorf("told: %+v", told)
				}
			})
		})
	}
}

// A message that was buried while the account was unknown has had its end. Its
// reference is free for another purchase.
func TestGraves(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Since = time.Now()
		buried := w.buy("ref", completed)
		w.dead[1] = publisher.DeadLetter{Reason: purchase.ReasonUnknownAccount}
		w.run(time.Second)
		if got := w.writes(); got != "ack" || !buried.acked || w.count("claim") != 0 {
			t.Errorf("effects: %v", w.effects)
		}
		again := w.publish(body("ref", "60"))
		w.run(time.Second)
		if r := w.results["ref"]; !again.acked || string(r.Amount) != "60" || len(w.dead) != 1 {
			t.Errorf("the corrected request: acked %v, result %+v, %d dead letters", again.acked, r, len(w.dead))
		}
	})
}

// Where the dead letters cannot be read, nothing is claimed and nothing posted.
func TestGravesCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Since = time.Now()
		m := w.buy("ref", completed)
		w.faults["read dead"] = []fault{fails}
		w.run(time.Second)
		if got := w.writes(); got != "retry" || w.count("claim") != 0 || m.again[0] != awayRetry {
			t.Errorf("effects: %v, again after %v", w.effects, m.again)
		}
		time.Sleep(awayRetry)
		w.run(time.Second)
		w.wantCompleted(t, 1)
	})
}

// Dead letters are asked about only for messages from before the consumer, and
// once the margin is over, only once.
func TestGravesAreReadOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Since = time.Now()
		for _, ref := range []string{"a", "b", "c"} {
			w.buy(ref, completed)
		}
		w.config.Slots = 1 // one chunk for each
		time.Sleep(graveMargin + time.Second)
		w.buy("d", completed)
		w.run(5 * time.Second)
		if n := w.count("read dead"); n != 1 || len(w.results) != 4 {
			t.Errorf("read %d times for %d results", n, len(w.results))
		}
	})
	bubble(t, func(t *testing.T, w *world) {
		w.config.Since = time.Now().Add(-graveMargin - time.Second)
		w.buy("ref", completed)
		w.run(time.Second)
		if n := w.count("read dead"); n != 0 {
			t.Errorf("read %d times for a new message", n)
		}
	})
}

// A request that is refused here was never sent, however often it was delivered
// and whatever was lost meanwhile: it is not sent now either.
func TestRefusedIsNeverSent(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.publish(body("ref", "-5"))
		m.Count = 1                                               // delivered once, to a process that died
		w.faults["read result"] = []fault{lost, lost, lost, lost} // and put back twice
		w.run(time.Minute)
		r := w.results["ref"]
		if len(w.calls) != 0 || r.Status != purchase.StatusFailed || r.Source != purchase.SourceValidation || r.ResponseCode != "1004" {
			t.Errorf("%d calls, %+v; effects: %s", len(w.calls), r, w.writes())
		}
	})
}

// A worker that stands still before it stores that nothing was bought, or while
// the stream refuses to store it, does not store it once another has the purchase.
func TestRefusalIsNotStoredPastTheClaim(t *testing.T) {
	for _, effect := range []string{"post", "result"} {
		t.Run(effect, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.faults["extend"] = []fault{fails, fails, fails, fails, fails, fails}
				m := w.buy("ref", outcome(purchase.Forbidden))
				w.once(effect, func() { time.Sleep(2 * lease) })
				c, stop := w.start()
				w.pass(90 * time.Second) // another worker has taken it over, and handed it over
				h := w.request(string(m.Body)).HandOver(purchase.Outcome{Kind: purchase.InFlight, TransactionID: "tx"}, purchase.Submission{Attempts: 1})
				w.mu.Lock()
				w.handoffs["ref"] = h
				w.mu.Unlock()
				w.pass(5 * time.Minute)
				stop()
				if r, there := w.results["ref"]; there || c.InFlight() != 0 {
					t.Errorf("%+v; effects: %s", r, w.writes())
				}
			})
		})
	}
}
