package poller

import (
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
)

// A purchase of unknown outcome that /transactions does not know is posted
// again; what follows depends on the answer.
func TestReposts(t *testing.T) {
	notFound := outcome(purchase.NotFound)
	unknown := purchase.Outcome{Kind: purchase.LookUp, TransactionID: tx, Code: "1205"}
	tests := map[string]struct {
		posts    []purchase.Outcome
		effects  string // the new hand-off is due at once
		status   purchase.Status
		attempts int
		state    purchase.OpenState // of the hand-off that takes its place
		id       string
	}{
		"completed":        {[]purchase.Outcome{completed(`{}`)}, "poll, hold, post, result, settled, ack", purchase.StatusCompleted, 2, "", tx},
		"failed":           {[]purchase.Outcome{failed}, "poll, hold, post, result, settled, ack", purchase.StatusFailed, 2, "", tx},
		"in flight":        {[]purchase.Outcome{{Kind: purchase.InFlight, TransactionID: tx}}, "poll, hold, post, replace, pending, ack, poll", "", 2, purchase.OpenInFlight, tx},
		"202":              {[]purchase.Outcome{outcome(purchase.InFlight)}, "poll, hold, post, replace, pending, ack, poll", "", 2, purchase.OpenInFlight, ""},
		"look up by id":    {[]purchase.Outcome{unknown}, "poll, hold, post, replace, pending, ack, poll", "", 2, purchase.OpenUnknown, tx},
		"look up without":  {[]purchase.Outcome{outcome(purchase.LookUp)}, "poll, hold, post", "", 0, "", ""},
		"unknown":          {[]purchase.Outcome{outcome(purchase.Unknown)}, "poll, hold, post", "", 0, "", ""},
		"transient":        {[]purchase.Outcome{outcome(purchase.Transient)}, "poll, hold, post", "", 0, "", ""},
		"403":              {[]purchase.Outcome{outcome(purchase.Forbidden)}, "poll, hold, post", "", 0, "", ""},
		"429":              {[]purchase.Outcome{outcome(purchase.Limited)}, "poll, hold, post", "", 0, "", ""},
		"401":              {[]purchase.Outcome{outcome(purchase.Unauthorized)}, "poll, hold, post", "", 0, "", ""},
		"unreachable":      {[]purchase.Outcome{outcome(purchase.Unreachable)}, "poll, hold, post", "", 0, "", ""},
		"not found (odd)":  {[]purchase.Outcome{notFound}, "poll, hold, post", "", 0, "", ""},
		"from 403 of poll": {[]purchase.Outcome{failed}, "poll, hold, post, result, settled, ack", purchase.StatusFailed, 2, "", tx},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				m := w.open(purchase.OpenUnknown, "")
				w.looks, w.posts = []purchase.Outcome{notFound}, test.posts
				if name == "from 403 of poll" {
					w.looks = []purchase.Outcome{outcome(purchase.Forbidden)}
				}
				w.run(6 * time.Second)
				if got := w.writes(); got != test.effects {
					t.Errorf("effects: %s", got)
				}
				if w.asked[0] != "/ref" {
					t.Errorf("asked %q", w.asked)
				}
				if want := `{"channelId":"7",` + body("50")[1:]; len(w.bodies) != 1 || w.bodies[0] != want {
					t.Errorf("posted %q, want once %s", w.bodies, want)
				}
				h, sequence := w.newest()
				switch {
				case test.status != "":
					if r := w.results["ref"]; r.Status != test.status || r.Source != purchase.SourcePurchase || r.Attempts != test.attempts || r.TransactionID != test.id {
						t.Errorf("result %+v", r)
					}
				case test.state != "":
					if sequence != 2 || h.State != test.state || h.TransactionID != test.id || h.Attempts != test.attempts || !h.SubmittedAt.Equal(w.began) || h.RequestSequence != 31 {
						t.Errorf("hand-off %d: %+v", sequence, h)
					}
					if record := w.redis.At(w.key()); record.State != purchase.Pending || record.TxID != test.id || record.Attempts != test.attempts {
						t.Errorf("Redis holds %+v", record)
					}
				default:
					if m.acked || m.again[len(m.again)-1] != 5*time.Second {
						t.Errorf("acked %v, again after %v", m.acked, m.again)
					}
				}
			})
		})
	}
}

// Calls that may have acted are counted, over all polls of this process.
func TestAttemptsAddUp(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(purchase.OpenUnknown, "")
		w.looks = []purchase.Outcome{outcome(purchase.NotFound)}
		w.posts = []purchase.Outcome{outcome(purchase.Unknown), outcome(purchase.Limited), outcome(purchase.Transient), completed(`{}`)}
		w.run(time.Minute)
		if r := w.results["ref"]; r.Attempts != 4 {
			t.Errorf("%d attempts, want the consumer's and three", r.Attempts)
		}
	})
}

// At most one posts at a time: not where another poller, or a consumer, may be
// at it.
func TestOnlyOnePosts(t *testing.T) {
	for _, who := range []string{"poller", "consumer"} {
		bubble(t, func(t *testing.T, w *world) {
			m := w.open(purchase.OpenUnknown, "")
			other := dedupe.Claim{Key: w.key(), Digest: w.request("50").Digest, Owner: "other"}
			if who == "poller" {
				w.redis.HoldPost(t.Context(), other, 20*time.Second)
			} else {
				w.redis.Flush()
				w.redis.Claim(t.Context(), []dedupe.Claim{other})
			}
			w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{failed}
			_, stop := w.start()
			w.pass(16 * time.Second)
			if len(w.bodies) != 0 || m.acked || m.again[1] != 5*time.Second {
				t.Errorf("%s: %d posts, again after %v", who, len(w.bodies), m.again)
			}
			w.pass(2 * time.Minute) // past the lease, and past the poll after it
			stop()
			if len(w.bodies) != 1 || !m.acked {
				t.Errorf("%s: %d posts after its hold ended", who, len(w.bodies))
			}
		})
	}
}

// What Redis knows of an answer forbids a post, though the hand-off says that there
// was none: NATS has lost the newer one, or a leader that is one no longer has
// delivered it. The hand-off is brought back to it.
func TestAnswerKnownToRedisAlone(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.open(purchase.OpenUnknown, "")
		w.redis.MarkPending(t.Context(), w.key(), w.request("50").Digest, "tx-9", 2)
		w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{failed}
		w.run(10 * time.Minute)
		if h, _ := w.newest(); len(w.bodies) != 0 || !m.acked || h == nil || h.State != purchase.OpenInFlight || h.TransactionID != "tx-9" {
			t.Errorf("%d posts, acked %v, hand-off %+v", len(w.bodies), m.acked, h)
		}
	})
}

// A hand-off that is delivered a second time while its post is under way, to
// this process or to another: one post.
func TestDeliveredTwice(t *testing.T) {
	for _, other := range []bool{false, true} {
		bubble(t, func(t *testing.T, w *world) {
			m := w.open(purchase.OpenUnknown, "")
			m.Count = 1
			w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{failed}
			w.once("post", func() { time.Sleep(10 * time.Second) })
			_, stop := w.start()
			stopped := make(chan struct{})
			w.pass(time.Second)
			if other { // the first takes nothing more, and finishes its post
				go func() {
					defer close(stopped)
					stop()
				}()
				w.pass(time.Second)
				w.config.Owner = "two"
				_, stop = w.start()
			}
			m.visible = time.Now()
			w.pass(20 * time.Second)
			stop()
			if other {
				<-stopped
			}
			if len(w.bodies) != 1 || len(w.results) != 1 || !m.acked || m.Count < 3 {
				t.Errorf("other process: %v: %d posts, %d results, %d deliveries: %v", other, len(w.bodies), len(w.results), m.Count, w.effects)
			}
		})
	}
}

// The purchase has moved on since the hand-off was stored: nothing is posted.
func TestSuperseded(t *testing.T) {
	t.Run("by a result", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			m := w.open(purchase.OpenUnknown, "")
			r, _ := w.request("50").Settle(completed(`{}`), purchase.Ending{})
			w.results["ref"] = r
			w.looks = []purchase.Outcome{outcome(purchase.NotFound)}
			w.run(10 * time.Second)
			if got := w.writes(); got != "poll, settled, ack" || !m.acked {
				t.Errorf("effects: %s", got)
			}
		})
	})
	t.Run("by a newer hand-off", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			m := w.open(purchase.OpenUnknown, "")
			w.looks = []purchase.Outcome{outcome(purchase.NotFound)}
			w.once("poll", func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.open(purchase.OpenInFlight, "").visible = time.Now().Add(time.Hour)
			})
			w.run(10 * time.Second)
			if got := w.writes(); got != "poll, ack" || !m.acked || w.messages[1].acked {
				t.Errorf("effects: %s", got)
			}
		})
	})
	t.Run("completed by another, before the receipt", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.open(purchase.OpenInFlight, tx)
			r, _ := w.request("50").Settle(completed(`{}`), purchase.Ending{})
			w.results["ref"] = r
			w.looks = []purchase.Outcome{completed("")}
			w.run(10 * time.Second)
			if got := w.writes(); got != "poll, settled, ack" {
				t.Errorf("effects: %s", got)
			}
		})
	})
}

// More is known of an open purchase: the new hand-off is stored, then Redis, then
// the old one is acknowledged.
func TestUpgrades(t *testing.T) {
	known := purchase.Outcome{Kind: purchase.InFlight, TransactionID: tx, Code: "PROCESSING"}
	for _, state := range []purchase.OpenState{purchase.OpenUnknown, purchase.OpenInFlight} {
		bubble(t, func(t *testing.T, w *world) {
			m := w.open(state, "")
			w.looks = []purchase.Outcome{known, failed}
			w.run(12 * time.Second)
			if got := w.writes(); got != "poll, replace, pending, ack, poll, result, settled, ack" || !m.acked {
				t.Errorf("effects: %s", got)
			}
			if len(w.asked) != 2 || w.asked[1] != "tx-1/ref" {
				t.Errorf("asked %q", w.asked)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			m := w.open(purchase.OpenUnknown, "")
			w.looks = []purchase.Outcome{known}
			w.once("replace", func() { // another poller has ended it
				w.mu.Lock()
				defer w.mu.Unlock()
				r, _ := w.request("50").Settle(completed(`{}`), purchase.Ending{})
				w.results["ref"] = r
				m.acked = true
			})
			w.run(10 * time.Second)
			if got := w.writes(); got != "poll, replace, settled, ack" {
				t.Errorf("effects: %s", got)
			}
		})
	})
	t.Run("another was first", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.open(purchase.OpenUnknown, "")
			w.looks = []purchase.Outcome{known}
			w.once("replace", func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.open(purchase.OpenInFlight, "tx-of-the-other").visible = time.Now().Add(time.Hour)
			})
			w.run(10 * time.Second)
			if got := w.writes(); got != "poll, replace, pending, ack" || w.redis.At(w.key()).TxID != "tx-of-the-other" || len(w.messages) != 2 {
				t.Errorf("effects: %s, Redis holds %+v", got, w.redis.At(w.key()))
			}
		})
	})
}

// The wait for a permit is long enough for another worker to store what it was
// answered: the purchase is not posted again then (contract, promise 2).
func TestSupersededWhileItWaitsForAPermit(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := newLimiter(t, 0, 3*time.Second)
		w.config.Limiter = l
		w.open(purchase.OpenUnknown, "")
		w.looks, w.posts = []purchase.Outcome{outcome(purchase.NotFound)}, []purchase.Outcome{failed}
		_, stop := w.start()
		w.pass(6 * time.Second)
		w.mu.Lock() // a newer hand-off takes this one's place
		w.open(purchase.OpenInFlight, "tx-1").visible = time.Now().Add(time.Hour)
		w.mu.Unlock()
		l.mu.Lock()
		l.left = 1
		l.mu.Unlock()
		w.pass(3 * time.Second)
		stop()
		if len(w.bodies) != 0 {
			t.Errorf("posted %d times: %s", len(w.bodies), w.writes())
		}
	})
}
