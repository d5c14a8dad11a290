package consumer

import (
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
)

// place puts an end of another payload, or of the same, into the streams.
func (w *world) place(t *testing.T, kind, amount string, state purchase.OpenState) {
	t.Helper()
	request := w.request(body("ref", amount))
	switch kind {
	case "hand-off":
		h := request.HandOver(purchase.Outcome{TransactionID: "tx-7"}, purchase.Submission{Attempts: 4})
		h.State = state
		w.handoffs["ref"], w.sequence = h, 5
	case "result":
		r, err := request.Settle(completed, purchase.Ending{Source: purchase.SourcePurchase})
		if err != nil {
			t.Fatal(err)
		}
		w.results["ref"] = r
	}
}

func (w *world) wantBuried(t *testing.T, m *message) {
	t.Helper()
	if d, ok := w.dead[m.Sequence]; !ok || d.Reason != purchase.ReasonConflict || string(d.Body) != string(m.Body) || !m.acked {
		t.Errorf("dead letter %+v, acked %v; effects: %s", d, m.acked, w.writes())
	}
	if len(w.calls) != 0 {
		t.Errorf("%d calls", len(w.calls))
	}
}

// Another payload under a used reference is a dead letter, whether Redis knows
// the reference, has forgotten it, or takes it for this payload's.
func TestConflict(t *testing.T) {
	for _, kind := range []string{"hand-off", "result"} {
		for _, redis := range []string{"knows", "empty", "wrong"} {
			t.Run(kind+", Redis "+redis, func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					w.place(t, kind, "60", purchase.OpenInFlight)
					used, ours := w.request(body("ref", "60")).Digest, w.request(body("ref", "50")).Digest
					digest := map[string]purchase.Digest{"knows": used, "wrong": ours}[redis]
					switch {
					case redis == "empty":
					case kind == "result":
						w.redis.MarkSettled(t.Context(), w.key("ref"), digest)
					default:
						w.redis.MarkPending(t.Context(), w.key("ref"), digest, "", 0)
					}
					m := w.buy("ref", completed)
					w.run(time.Second)
					w.wantBuried(t, m)
					if w.results["ref"].RequestDigest != used && w.handoffs["ref"].RequestDigest != used {
						t.Error("the original was touched")
					}
				})
			})
		}
	}
}

// A message whose result is stored is a repeat, also where another payload's
// hand-off came under the same reference: it has its one end.
func TestOwnResultBesideAnothersHandoff(t *testing.T) {
	for _, redis := range []purchase.ClaimState{purchase.Absent, purchase.Released, purchase.Pending, purchase.Settled} {
		bubble(t, func(t *testing.T, w *world) {
			w.place(t, "result", "50", "")
			w.place(t, "hand-off", "60", purchase.OpenUnknown)
			ours, others := w.request(body("ref", "50")).Digest, w.request(body("ref", "60")).Digest
			c := dedupe.Claim{Key: w.key("ref"), Digest: ours, Owner: "dead"}
			switch redis {
			case purchase.Released:
				w.redis.Claim(t.Context(), []dedupe.Claim{c})
				w.redis.Release(t.Context(), c, 1, true)
			case purchase.Pending:
				w.redis.MarkPending(t.Context(), c.Key, others, "", 1)
			case purchase.Settled:
				w.redis.MarkSettled(t.Context(), c.Key, ours)
			}
			m := w.buy("ref", completed)
			w.run(time.Second)
			if record := w.redis.At(c.Key); !m.acked || len(w.dead)+len(w.calls) != 0 || record.State != purchase.Settled || record.Digest != ours {
				t.Errorf("Redis %q before: acked %v, %d dead letters, %d calls, Redis holds %+v", redis, m.acked, len(w.dead), len(w.calls), record)
			}
		})
	}
}

// Redis remembers an end that the streams have lost or outlived: that is proof.
func TestConflictByRedisAlone(t *testing.T) {
	for _, state := range []purchase.ClaimState{purchase.Settled, purchase.Pending} {
		bubble(t, func(t *testing.T, w *world) {
			used := w.request(body("ref", "60")).Digest
			if state == purchase.Settled {
				w.redis.MarkSettled(t.Context(), w.key("ref"), used)
			} else {
				w.redis.MarkPending(t.Context(), w.key("ref"), used, "", 0)
			}
			m := w.buy("ref", completed)
			w.run(time.Second)
			w.wantBuried(t, m)
		})
	}
}

// A claim of another payload is no proof: the message waits, more and more
// patiently, until the other has come to its end.
func TestConflictWaitsForProof(t *testing.T) {
	for _, release := range []bool{false, true} {
		bubble(t, func(t *testing.T, w *world) {
			other := dedupe.Claim{Key: w.key("ref"), Digest: w.request(body("ref", "60")).Digest, Owner: "other"}
			w.redis.Claim(t.Context(), []dedupe.Claim{other})
			if release {
				w.redis.Release(t.Context(), other, 1, true)
			}
			m := w.buy("ref", completed)
			_, stop := w.start()
			w.pass(2 * time.Minute)
			if m.acked || len(w.dead) != 0 || len(w.calls) != 0 {
				t.Fatalf("acked %v, %d dead letters, %d calls", m.acked, len(w.dead), len(w.calls))
			}
			w.mu.Lock()
			w.place(t, "result", "60", "")
			w.mu.Unlock()
			w.pass(conflictRetry + time.Second)
			stop()
			w.wantBuried(t, m)
			want := 500 * time.Millisecond
			for i, after := range m.again {
				if after != min(want, conflictRetry) {
					t.Errorf("wait %d was %v, want %v", i, after, min(want, conflictRetry))
				}
				want = min(2*want, time.Minute)
			}
			if record := w.redis.At(w.key("ref")); record.State != purchase.Settled {
				t.Errorf("Redis holds %+v", record)
			}
		})
	}
}

// Redis has another payload's digest for an end that is this payload's: it is
// mended, and the message is a repeat.
func TestWrongDigestIsMended(t *testing.T) {
	for _, kind := range []string{"hand-off", "result"} {
		bubble(t, func(t *testing.T, w *world) {
			w.place(t, kind, "50", purchase.OpenInFlight)
			ours, wrong := w.request(body("ref", "50")).Digest, w.request(body("ref", "60")).Digest
			if kind == "result" {
				w.redis.MarkSettled(t.Context(), w.key("ref"), wrong)
			} else {
				w.redis.MarkPending(t.Context(), w.key("ref"), wrong, "", 0)
			}
			m := w.buy("ref", completed)
			w.run(time.Second)
			if record := w.redis.At(w.key("ref")); record.Digest != ours || !m.acked || len(w.dead)+len(w.calls) != 0 || len(w.seen(EventRestored)) != 1 {
				t.Errorf("%s: Redis holds %+v, acked %v, effects: %s", kind, record, m.acked, w.writes())
			}
		})
	}
}

// The streams are away while a conflict is looked into.
func TestConflictCannotBeLookedInto(t *testing.T) {
	for _, effect := range []string{"read hand-off", "read result", "settled", "dead"} {
		bubble(t, func(t *testing.T, w *world) {
			w.place(t, "result", "60", "")
			other := dedupe.Claim{Key: w.key("ref"), Digest: w.request(body("ref", "60")).Digest, Owner: "other"}
			w.redis.Claim(t.Context(), []dedupe.Claim{other})
			m := w.buy("ref", completed)
			w.faults[effect] = w.failing(effect)
			w.run(5 * time.Second)
			w.wantBuried(t, m)
			if m.again[0] != awayRetry || len(m.again) != 1 {
				t.Errorf("%s fails: again after %v", effect, m.again)
			}
		})
	}
}

// raced runs one purchase whose end is put into the streams by somebody else
// right before this one publishes its own.
func (w *world) raced(t *testing.T, kind, amount string, state purchase.OpenState, answer purchase.Outcome) *message {
	m := w.buy("ref", answer)
	w.once(kind, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.place(t, kind, amount, state)
	})
	w.run(time.Second)
	return m
}

func TestOtherPayloadWasFirst(t *testing.T) {
	for kind, answer := range map[string]purchase.Outcome{"result": completed, "hand-off": outcome(purchase.InFlight)} {
		bubble(t, func(t *testing.T, w *world) {
			m := w.raced(t, kind, "60", purchase.OpenUnknown, answer)
			mark := map[string]string{"result": "settled", "hand-off": "pending"}[kind]
			if got := w.writes(); got != "post, "+kind+", "+mark+", dead, ack" {
				t.Errorf("effects: %s", got)
			}
			used := w.request(body("ref", "60")).Digest
			if record := w.redis.At(w.key("ref")); record.Digest != used || w.dead[m.Sequence].Reason != purchase.ReasonConflict {
				t.Errorf("Redis holds %+v, dead letter %+v", record, w.dead[m.Sequence])
			}
			if len(w.seen(EventSettled))+len(w.seen(EventHandedOver)) != 0 {
				t.Error("told as an end of its own")
			}
		})
	}
}

// Two ends of one purchase: what is stored stays, and somebody is told.
func TestContradiction(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.raced(t, "result", "50", "", failed("1203", purchase.ClassProvider))
		told := w.seen(EventContradiction)
		if len(told) != 1 || told[0].Result.Status != purchase.StatusCompleted || !strings.Contains(told[0].Err.Error(), "FAILED") {
			t.Errorf("told: %+v", told)
		}
		if !m.acked || w.results["ref"].Status != purchase.StatusCompleted || len(w.dead) != 0 || len(w.seen(EventSettled)) != 0 {
			t.Errorf("acked %v, result %+v", m.acked, w.results["ref"])
		}
	})
	bubble(t, func(t *testing.T, w *world) {
		m := w.raced(t, "result", "50", "", completed)
		if !m.acked || len(w.seen(EventContradiction)) != 0 || len(w.seen(EventSettled)) != 0 {
			t.Errorf("the same end twice was told: %+v", w.events)
		}
	})
}

// Another worker handed the purchase over knowing less: what forbids a further
// call must be what is stored. What it knew more of is kept.
func TestHandoffIsUpgraded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.raced(t, "hand-off", "50", purchase.OpenUnknown, outcome(purchase.InFlight))
		if got := w.writes(); got != "post, hand-off, replace, pending, ack" {
			t.Errorf("effects: %s", got)
		}
		h := w.handoffs["ref"]
		if h.State != purchase.OpenInFlight || h.TransactionID != "tx-7" || h.Attempts != 4 {
			t.Errorf("hand-off %+v", h)
		}
		if record := w.redis.At(w.key("ref")); record.TxID != "tx-7" || record.State != purchase.Pending {
			t.Errorf("Redis holds %+v", record)
		}
	})
	bubble(t, func(t *testing.T, w *world) { // nothing is taken back
		w.raced(t, "hand-off", "50", purchase.OpenInFlight, outcome(purchase.LookUp))
		if h := w.handoffs["ref"]; w.writes() != "post, hand-off, pending, ack" || h.State != purchase.OpenInFlight {
			t.Errorf("effects: %s, hand-off %+v", w.writes(), h)
		}
	})
}

// An upgrade that fails, or whose hand-off has gone, leaves the message.
func TestUpgradeFails(t *testing.T) {
	for _, effect := range []string{"replace", "read hand-off", "pending", "moved"} {
		t.Run(effect, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.once("hand-off", func() {
					if effect == "moved" {
						w.once("read hand-off", func() {
							w.mu.Lock()
							defer w.mu.Unlock()
							delete(w.handoffs, "ref") // the poller has ended it
							w.place(t, "result", "50", "")
						})
					}
					w.mu.Lock()
					defer w.mu.Unlock()
					w.place(t, "hand-off", "50", purchase.OpenUnknown)
					if effect != "moved" {
						w.faults[effect] = []fault{fails}
					}
				})
				m := w.buy("ref", outcome(purchase.InFlight))
				w.run(lease + 5*time.Second) // the claim may be held until its lease ends
				if m.again[0] != awayRetry || !m.acked || len(w.calls) != 1 {
					t.Errorf("again after %v, acked %v, %d calls: %v", m.again, m.acked, len(w.calls), w.effects)
				}
			})
		})
	}
}
