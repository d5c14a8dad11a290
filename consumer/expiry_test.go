package consumer

import (
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// expiring publishes a purchase that may not be sent after a time.
func (w *world) expiring(after time.Duration, answers ...purchase.Outcome) *message {
	w.script["ref"] = answers
	return w.publish(body("ref", "50"), publisher.HeaderExpiresAt, time.Now().Add(after).Format(time.RFC3339Nano))
}

func (w *world) wantExpired(t *testing.T, calls int) {
	t.Helper()
	r, ok := w.results["ref"]
	if !ok || r.Status != purchase.StatusFailed || r.Failure.Class != purchase.ClassExpired || r.ResponseCode != "EXPIRED" ||
		r.Source != purchase.SourceExpiry || r.Attempts != 0 {
		t.Errorf("result %+v, want it expired; effects: %s", r, w.writes())
	}
	if len(w.calls) != calls {
		t.Errorf("%d calls, want %d", len(w.calls), calls)
	}
}

func (w *world) wantCompleted(t *testing.T, calls int) {
	t.Helper()
	if r := w.results["ref"]; r.Status != purchase.StatusCompleted || len(w.calls) != calls {
		t.Errorf("result %+v after %d calls, want it completed after %d; effects: %s", r, len(w.calls), calls, w.writes())
	}
}

func TestExpired(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.expiring(0, completed)
		w.run(time.Second)
		w.wantExpired(t, 0)
		if got := w.writes(); got != "result, settled, ack" {
			t.Errorf("effects: %s", got)
		}
	})
}

// Redis is told that a call may be made before it is made, and only once.
func TestExpiringIsMarkedBeforeTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.expiring(time.Minute, outcome(purchase.Unknown), completed)
		w.run(10 * time.Second)
		if got := w.writes(); got != "sent, post, post, result, settled, ack" {
			t.Errorf("effects: %s", got)
		}
	})
}

func TestUnreadableExpiry(t *testing.T) {
	for _, header := range []string{"tomorrow", "2026-01-02", "2026-01-02T3:04:05Z"} {
		bubble(t, func(t *testing.T, w *world) {
			w.publish(body("ref", "50"), publisher.HeaderExpiresAt, header)
			w.run(time.Second)
			r := w.results["ref"]
			if r.Status != purchase.StatusFailed || r.Failure.Class != purchase.ClassValidation || r.ResponseCode != "1008" || r.Source != purchase.SourceValidation {
				t.Errorf("%s: result %+v", header, r)
			}
			if got := w.writes(); got != "result, settled, ack" {
				t.Errorf("%s: effects: %s", header, got)
			}
		})
	}
}

// It expires while it waits, however it waits, as long as no call can have acted.
func TestExpiresWhileItWaits(t *testing.T) {
	tests := map[string]struct {
		answers []purchase.Outcome
		prepare func(*world)
		calls   int
	}{
		"put back before the call": {nil, func(w *world) { w.faults["read hand-off"] = w.failing("read hand-off") }, 0},
		"mark lost its answer":     {nil, func(w *world) { w.faults["sent"] = []fault{lost, lost, lost, lost} }, 0},
		"limited":                  {[]purchase.Outcome{outcome(purchase.Limited)}, func(*world) {}, 1},
		"refused":                  {[]purchase.Outcome{outcome(purchase.Unauthorized)}, func(*world) {}, 1},
		"unreachable":              {[]purchase.Outcome{outcome(purchase.Unreachable)}, func(*world) {}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.expiring(900*time.Millisecond, test.answers...)
				test.prepare(w)
				w.run(2 * time.Minute)
				w.wantExpired(t, test.calls)
			})
		})
	}
}

// A stop between a 429 and the next call leaves nothing that looks sent.
func TestExpiresAfterAStop(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.expiring(2*time.Second, outcome(purchase.Limited))
		w.run(500 * time.Millisecond)
		if record := w.redis.At(w.key("ref")); record.State != purchase.Released || record.Sent {
			t.Errorf("Redis holds %+v", record)
		}
		time.Sleep(2 * time.Second)
		w.run(time.Second)
		w.wantExpired(t, 1)
	})
}

// Once a call may have acted it never simply expires.
func TestNeverExpiresAfterACall(t *testing.T) {
	t.Run("in this handling", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.expiring(500*time.Millisecond, outcome(purchase.Unknown), completed)
			w.run(10 * time.Second)
			w.wantCompleted(t, 2)
		})
	})
	t.Run("in an earlier one", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.expiring(500*time.Millisecond, outcome(purchase.Unknown), completed)
			w.run(700 * time.Millisecond)
			time.Sleep(time.Minute)
			w.run(time.Second)
			w.wantCompleted(t, 2)
			if r := w.results["ref"]; r.Attempts != 2 {
				t.Errorf("%d attempts", r.Attempts)
			}
		})
	})
	t.Run("put back again before the next", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.expiring(500*time.Millisecond, outcome(purchase.Unknown), completed)
			w.run(700 * time.Millisecond)
			w.faults["read hand-off"] = w.failing("read hand-off")
			w.run(10 * time.Second)
			w.wantCompleted(t, 2)
		})
	})
	t.Run("Redis forgot", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.expiring(500*time.Millisecond, outcome(purchase.Unknown), completed)
			w.run(700 * time.Millisecond)
			w.redis.Flush()
			w.run(time.Second)
			w.wantCompleted(t, 2)
		})
	})
}

// A message that comes again while Redis has lost its claim: a call may have been
// made, so one is made although it has expired. That must be noted before the call,
// too: the worker may die in it, and the next one finds a claim that is no proof of
// anything else.
func TestInferredCallIsMarked(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.expiring(0, completed)
		m.Count = 1
		var sent bool
		w.once("post", func() { sent = w.redis.At(w.key("ref")).Sent })
		w.run(time.Second)
		w.wantCompleted(t, 1)
		if !sent {
			t.Errorf("Redis did not know of the call when it was made; effects: %s", w.writes())
		}
	})
}

// Taken over from a worker that died: what it noted before its first call tells.
func TestTakenOverBeforeAndAfterTheCall(t *testing.T) {
	for _, sent := range []bool{false, true} {
		bubble(t, func(t *testing.T, w *world) {
			m := w.expiring(0, completed)
			m.Count = 1
			other := dedupe.Claim{Key: w.key("ref"), Digest: w.request(string(m.Body)).Digest, Owner: "dead"}
			w.redis.Claim(t.Context(), []dedupe.Claim{other})
			if sent {
				w.redis.MarkSent(t.Context(), other)
			}
			w.run(2 * lease)
			if sent {
				w.wantCompleted(t, 1)
			} else {
				w.wantExpired(t, 0)
			}
		})
	}
}

// Taken over from a worker that died with another message of the same purchase,
// one that does not expire: it may have called the vendor without a mark.
func TestTakenOverFromAMessageThatDoesNotExpire(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.expiring(0, completed)
		m.Count = 1
		other := dedupe.Claim{Key: w.key("ref"), Digest: w.request(string(m.Body)).Digest, Owner: "dead", Sends: true}
		w.redis.Claim(t.Context(), []dedupe.Claim{other})
		w.run(2 * lease)
		w.wantCompleted(t, 1)
	})
}

// The first delivery of it was lost on the way, so that Redis knows of none: what
// the second one is about to do is noted all the same.
func TestSecondDeliveryIsMarked(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.expiring(time.Minute, completed).Count = 1
		w.run(10 * time.Second)
		if got := w.writes(); got != "sent, post, result, settled, ack" {
			t.Errorf("effects: %s", got)
		}
	})
}

// From its claim on, Redis says of a message that does not expire that a call may
// follow, since a repeat of it may expire; of one that is refused here it does not.
func TestClaimSaysThatACallMayFollow(t *testing.T) {
	for name, c := range map[string]struct {
		amount string
		want   bool
	}{"sent": {"50", true}, "refused here": {"-5", false}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.script["ref"] = []purchase.Outcome{completed}
				w.publish(body("ref", c.amount))
				var sent bool
				w.once("read hand-off", func() { sent = w.redis.At(w.key("ref")).Sent })
				w.run(time.Second)
				if sent != c.want {
					t.Errorf("Redis says %t before any call", sent)
				}
			})
		})
	}
}

// Redis is away, and a request is put back without a claim. When Redis is there again
// the request's time is over, and its second delivery does not count as one after
// which a call may have been made.
func TestExpiresWhileRedisIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 10)
		w.config.Limiter = l
		_, stop := w.start()
		w.pass(5 * time.Second) // idle
		l.mu.Lock()
		l.failing["take"] = errInjected
		l.mu.Unlock()
		w.mu.Lock()
		for range 1000 {
			w.faults["claim"] = append(w.faults["claim"], fails)
			w.faults["ping"] = append(w.faults["ping"], fails)
		}
		w.mu.Unlock()
		w.pass(5 * time.Second) // Redis is away, and the account idle
		m := w.publish(body("ref", "50"), "Vendstream-Expires-At", time.Now().Add(10*time.Second).UTC().Format(time.RFC3339Nano))
		w.script["ref"] = append(w.script["ref"], completed)
		w.pass(20 * time.Second) // past its time
		l.mu.Lock()
		delete(l.failing, "take")
		l.mu.Unlock()
		w.mu.Lock()
		delete(w.faults, "claim")
		delete(w.faults, "ping")
		w.mu.Unlock()
		w.pass(20 * time.Second)
		stop()
		if r := w.results["ref"]; len(w.calls) != 0 || m.Count < 2 || r.Source != purchase.SourceExpiry {
			t.Errorf("%d calls, delivered %d times, result %+v", len(w.calls), m.Count, r)
		}
	})
}
