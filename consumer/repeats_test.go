package consumer

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
)

// Repeats that come together or later share the first one's end and leave
// nothing else behind.
func TestRepeats(t *testing.T) {
	for name, answer := range map[string]purchase.Outcome{"settled": completed, "pending": outcome(purchase.InFlight)} {
		for when, pause := range map[string]time.Duration{"at once": 0, "later": 5 * time.Second} {
			for forgot, flush := range map[string]bool{"": false, ", Redis emptied": true} {
				t.Run(name+" "+when+forgot, func(t *testing.T) {
					bubble(t, func(t *testing.T, w *world) {
						w.buy("ref", answer)
						if pause > 0 {
							w.run(pause)
							if flush {
								w.redis.Flush()
							}
						}
						w.publish(body("ref", "50"))
						w.publish(body("ref", "5e1")) // the same by value
						w.run(lease + time.Minute)
						for _, m := range w.messages {
							if !m.acked {
								t.Errorf("message %d was not acknowledged", m.Sequence)
							}
						}
						if len(w.calls) != 1 || len(w.results)+len(w.handoffs) != 1 || len(w.dead) != 0 ||
							w.count("result")+w.count("hand-off") != 1 {
							t.Errorf("%d calls, %d results, %d hand-offs, %d dead letters: %v", len(w.calls), len(w.results), len(w.handoffs), len(w.dead), w.effects)
						}
						want := purchase.Settled
						if name == "pending" {
							want = purchase.Pending
						}
						if record := w.redis.At(w.key("ref")); record.State != want {
							t.Errorf("Redis holds %+v", record)
						}
					})
				})
			}
		}
	}
}

// A repeat waits for the one that is worked on, as long as that has its lease.
func TestInFlightElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.buy("ref", completed)
		other := dedupe.Claim{Key: w.key("ref"), Digest: w.request(body("ref", "50")).Digest, Owner: "other"}
		w.redis.Claim(t.Context(), []dedupe.Claim{other})
		w.pass(10 * time.Second)
		w.run(2 * time.Minute)
		if m.again[0] != lease-10*time.Second || len(m.again) != 1 {
			t.Errorf("again after %v", m.again)
		}
		// The other died. It may have called, which a 403 would be read by.
		w.wantCompleted(t, 1)
		if claimed := w.seen(EventClaimed); claimed[0].Verdict != purchase.ClaimInFlight || claimed[1].Verdict != purchase.ClaimTakenOver {
			t.Errorf("told: %+v", claimed)
		}
	})
}

// A lease that is about to end is not asked for in a loop.
func TestInFlightForAMoment(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.buy("ref", completed)
		other := dedupe.Claim{Key: w.key("ref"), Digest: w.request(body("ref", "50")).Digest, Owner: "other"}
		w.redis.Claim(t.Context(), []dedupe.Claim{other})
		w.pass(lease - time.Millisecond)
		w.run(time.Second)
		if m.again[0] != busyRetry || !m.acked {
			t.Errorf("again after %v, acked %v", m.again, m.acked)
		}
	})
}

// Redis knows an end that the streams do not: the purchase is taken up again. One
// that was pending was answered, so it is handed over and never posted.
func TestReopen(t *testing.T) {
	digest := func(w *world) purchase.Digest { return w.request(body("ref", "50")).Digest }
	t.Run("settled", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.redis.MarkSettled(t.Context(), w.key("ref"), digest(w))
			w.buy("ref", outcome(purchase.Forbidden), completed)
			w.run(formerLeader + time.Second)
			if got := w.writes(); got != "retry, reopen, post, hand-off, pending, ack" {
				t.Errorf("effects: %s", got)
			}
		})
	})
	t.Run("pending", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.redis.MarkPending(t.Context(), w.key("ref"), digest(w), "tx-9", 2)
			w.buy("ref", completed)
			w.run(formerLeader + time.Second)
			if got := w.writes(); got != "retry, reopen, hand-off, pending, ack" {
				t.Errorf("effects: %s", got)
			}
			if h := w.handoffs["ref"]; h.State != purchase.OpenInFlight || h.TransactionID != "tx-9" || h.Attempts != 2 {
				t.Errorf("hand-off %+v", h)
			}
			if record := w.redis.At(w.key("ref")); record.State != purchase.Pending || record.TxID != "tx-9" {
				t.Errorf("Redis holds %+v", record)
			}
		})
	})
	t.Run("another was first", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.redis.MarkPending(t.Context(), w.key("ref"), digest(w), "tx-9", 2)
			m := w.buy("ref", completed)
			w.once("reopen", func() { // a poller holds it
				w.redis.HoldPost(context.Background(), dedupe.Claim{Key: w.key("ref"), Digest: digest(w), Owner: "poller"}, 20*time.Second)
			})
			w.run(formerLeader + time.Minute)
			if !slices.Equal(m.again, []time.Duration{formerLeader, 20 * time.Second}) || !m.acked || len(w.calls) != 0 {
				t.Errorf("again after %v, acked %v, %d calls", m.again, m.acked, len(w.calls))
			}
		})
	})
	for _, effect := range []string{"reopen", "read hand-off", "read result"} {
		t.Run(effect+" fails", func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.redis.MarkPending(t.Context(), w.key("ref"), digest(w), "tx-9", 2)
				m := w.buy("ref", completed)
				w.faults[effect] = w.failing(effect)
				w.run(2*formerLeader + 5*time.Second)
				if !slices.Contains(m.again, awayRetry) || !m.acked || len(w.calls) != 0 || w.handoffs["ref"].TransactionID != "tx-9" {
					t.Errorf("again after %v, acked %v, %d calls", m.again, m.acked, len(w.calls))
				}
			})
		})
	}
}

// A claim that was reopened is brought back to what the streams hold after all.
func TestReopenedInVain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		request := w.request(body("ref", "50"))
		w.redis.MarkPending(t.Context(), w.key("ref"), request.Digest, "tx-9", 2)
		m := w.buy("ref", completed)
		w.hooks["reopen"] = func() {
			w.PublishHandoff(context.Background(), &purchase.Handoff{
				Account: "acme", MerchantReference: "ref", State: purchase.OpenInFlight, TransactionID: "tx-9",
				RequestDigest: request.Digest, Request: request.Body(), Attempts: 2,
			}, "")
		}
		w.run(formerLeader + time.Second)
		if record := w.redis.At(w.key("ref")); !m.acked || len(w.calls) != 0 || record.State != purchase.Pending {
			t.Errorf("acked %v, %d calls, Redis holds %+v", m.acked, len(w.calls), record)
		}
	})
}

// What was lost from the stream is asked for by the transaction that Redis names, and
// never posted: also where the first handling could not store its hand-off.
func TestReopenedWithTransaction(t *testing.T) {
	for name, settled := range map[string]bool{"was pending": false, "was settled": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				digest := w.request(body("ref", "50")).Digest
				w.redis.MarkPending(t.Context(), w.key("ref"), digest, "tx-9", 2)
				if settled {
					w.redis.MarkSettled(t.Context(), w.key("ref"), digest)
				}
				w.faults["hand-off"] = []fault{fails}
				w.buy("ref", completed)
				w.run(5 * time.Minute)
				if got := w.writes(); got != "retry, reopen, hand-off!, release, retry, hand-off, pending, ack" {
					t.Errorf("effects: %s", got)
				}
				if h := w.handoffs["ref"]; h.State != purchase.OpenInFlight || h.TransactionID != "tx-9" {
					t.Errorf("hand-off %+v", h)
				}
			})
		})
	}
}

// A leader of NATS that is one no longer answers from before the end that Redis
// knows: nothing is posted before it is asked once more.
func TestFormerLeader(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		request := w.request(body("ref", "50"))
		w.redis.MarkSettled(t.Context(), w.key("ref"), request.Digest)
		m := w.buy("ref", completed)
		_, stop := w.start()
		w.pass(formerLeader - time.Second)
		refused := request.Refuse(purchase.Expired(), purchase.Ending{})
		w.PublishResult(t.Context(), &refused, "")
		w.pass(2 * time.Second)
		stop()
		if !m.acked || len(w.calls) != 0 || w.redis.At(w.key("ref")).State != purchase.Settled {
			t.Errorf("acked %v, %d calls, Redis holds %+v", m.acked, len(w.calls), w.redis.At(w.key("ref")))
		}
	})
}

// The hand-off of a purchase that was published between two calls ends the
// handling: a call that comes late looks again.
func TestOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		request := w.request(body("ref", "50"))
		m := w.buy("ref", outcome(purchase.Unknown))
		_, stop := w.start()
		w.pass(500 * time.Millisecond)
		w.PublishHandoff(t.Context(), &purchase.Handoff{
			Account: "acme", MerchantReference: "ref", State: purchase.OpenInFlight, RequestDigest: request.Digest, Request: request.Body(),
		}, "")
		w.pass(time.Minute)
		stop()
		if len(w.calls) != 1 || !m.acked || w.redis.At(w.key("ref")).State != purchase.Pending {
			t.Errorf("%d calls, acked %v, Redis holds %+v", len(w.calls), m.acked, w.redis.At(w.key("ref")))
		}
	})
	// Where the look fails there is no call.
	for _, effect := range []string{"extend", "read hand-off", "read result"} {
		bubble(t, func(t *testing.T, w *world) {
			w.buy("ref", outcome(purchase.Unknown), completed)
			_, stop := w.start()
			w.pass(500 * time.Millisecond)
			w.mu.Lock()
			w.faults[effect] = []fault{fails}
			w.mu.Unlock()
			w.pass(time.Minute)
			stop()
			if !strings.HasPrefix(w.writes(), "post, release, retry, post, result") {
				t.Errorf("%s fails: %s", effect, w.writes())
			}
		})
	}
}
