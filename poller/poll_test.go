package poller

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

const tx = "tx-1"

func completed(receipt string) purchase.Outcome {
	o := purchase.Outcome{Kind: purchase.Completed, TransactionID: tx, Code: "0", Message: "done"}
	if receipt != "" {
		o.Receipt = json.RawMessage(receipt)
	}
	return o
}

func outcome(kind purchase.OutcomeKind) purchase.Outcome { return purchase.Outcome{Kind: kind} }

var failed = purchase.Outcome{Kind: purchase.Failed, TransactionID: tx, Code: "1203", Class: purchase.ClassProvider, Message: "not done"}

// The first poll waits until it is due, and the others follow the schedule.
func TestPollsOnSchedule(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.open(purchase.OpenInFlight, tx)
		w.looks = []purchase.Outcome{outcome(purchase.InFlight)}
		w.config.EscalateAfter = time.Hour
		w.run(19 * time.Minute)
		var want []time.Duration
		for at := 5 * time.Second; at < 19*time.Minute; at += schedule.Every(at) {
			want = append(want, at)
		}
		got := slices.Clone(w.polls)
		for i := range got {
			got[i] = got[i].Round(5 * time.Second)
		}
		if !slices.Equal(got, want) {
			t.Errorf("polled at %v\nwant      %v", got, want)
		}
		if m.acked || m.again[0] != 5*time.Second || w.asked[0] != "tx-1/ref" {
			t.Errorf("acked %v, first wait %v, asked %q", m.acked, m.again[0], w.asked[0])
		}
		if told := w.seen(EventPolled); len(told) != len(got) || told[0].Outcome != purchase.InFlight || told[0].Sequence != 31 || told[0].Account != "acme" {
			t.Errorf("told %+v", told[0])
		}
	})
	bubble(t, func(t *testing.T, w *world) { // found late: polled at once
		w.open(purchase.OpenInFlight, tx)
		w.looks = []purchase.Outcome{failed}
		time.Sleep(time.Hour)
		w.run(time.Second)
		if len(w.polls) != 1 || w.polls[0] != time.Hour {
			t.Errorf("polled at %v", w.polls)
		}
	})
}

// Two terminal states, stored in the one order.
func TestSettles(t *testing.T) {
	for name, answer := range map[string]purchase.Outcome{"completed": completed(`{"price":30.0000}`), "failed": failed} {
		for _, known := range []string{tx, ""} {
			bubble(t, func(t *testing.T, w *world) {
				m, answer := w.open(purchase.OpenInFlight, known), answer
				if known != "" {
					answer.TransactionID = "" // the hand-off knows it
				}
				w.looks = []purchase.Outcome{outcome(purchase.Unknown), answer}
				w.run(15 * time.Second)
				if got := w.writes(); got != "poll, poll, result, settled, ack" {
					t.Errorf("%s: effects: %s", name, got)
				}
				r := w.results["ref"]
				if r.TransactionID != tx || r.Source != purchase.SourcePoll || r.Attempts != 1 || r.ResponseCode != answer.Code ||
					string(r.Receipt) != string(answer.Receipt) || !r.RequestedAt.Equal(w.began.Add(-10*time.Second)) {
					t.Errorf("%s: result %+v", name, r)
				}
				if record := w.redis.At(w.key()); record.State != purchase.Settled || !m.acked {
					t.Errorf("%s: Redis holds %+v, acked %v", name, record, m.acked)
				}
				if told := w.seen(EventSettled); len(told) != 1 || told[0].Elapsed != told[0].Age+10*time.Second {
					t.Errorf("%s: told %+v", name, told)
				}
			})
		}
	}
}

// Answers that say nothing leave the purchase open; one that was answered is
// never posted again while it is.
func TestInFlightIsNeverPosted(t *testing.T) {
	for _, known := range []string{tx, ""} {
		for kind := range purchase.NotFound + 1 {
			if kind.Terminal() {
				continue
			}
			bubble(t, func(t *testing.T, w *world) {
				w.open(purchase.OpenInFlight, known)
				w.looks = []purchase.Outcome{outcome(kind)}
				w.run(10 * time.Minute)
				if w.messages[0].acked || w.count("post")+w.count("hold")+len(w.results) != 0 {
					t.Errorf("%s: effects: %s", kind, w.writes())
				}
			})
		}
	}
}

// One that is open for too long is told of once, counted until it ends, and
// polled on.
func TestEscalation(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(purchase.OpenInFlight, tx)
		w.looks = []purchase.Outcome{outcome(purchase.InFlight)}
		p, stop := w.start()
		w.pass(4 * time.Minute)
		if p.Escalated() != 0 {
			t.Error("escalated too soon")
		}
		w.pass(time.Hour)
		told := w.seen(EventEscalated)
		if p.Escalated() != 1 || len(told) != 1 || told[0].State != purchase.OpenInFlight || told[0].Age < 5*time.Minute {
			t.Errorf("%d escalated, told %+v", p.Escalated(), told)
		}
		polls := len(w.polls)
		w.looks = []purchase.Outcome{completed(`{}`)}
		w.pass(6 * time.Minute)
		if p.Escalated() != 0 || len(w.polls) <= polls || len(w.results) != 1 || p.InFlight() != 0 {
			t.Errorf("%d escalated after the end, %d results", p.Escalated(), len(w.results))
		}
		stop()
	})
}

// A hand-off that cannot be read is never dropped, and not asked for in a loop.
func TestUnreadable(t *testing.T) {
	for _, raw := range []string{"{", `{"request":{"merchantReference":5}}`, `{"merchantReference":"ref"}`} {
		bubble(t, func(t *testing.T, w *world) {
			m := w.open(purchase.OpenInFlight, tx)
			m.Body = []byte(raw)
			w.run(16 * time.Minute)
			if m.acked || len(m.again) != 4 || m.again[0] != unreadableRetry || len(w.polls) != 0 {
				t.Errorf("%s: acked %v, again after %v", raw, m.acked, m.again)
			}
			if told := w.seen(EventPutBack); len(told) != 4 || told[0].Err == nil {
				t.Errorf("%s: told %+v", raw, told)
			}
		})
	}
}

// The result of somebody else, found at the publish.
func TestResultIsThere(t *testing.T) {
	settle := func(w *world, amount string, o purchase.Outcome) {
		r, err := w.request(amount).Settle(o, purchase.Ending{Source: purchase.SourcePurchase})
		if err != nil {
			t.Fatal(err)
		}
		w.results["ref"] = r
	}
	t.Run("the same", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.open(purchase.OpenInFlight, tx)
			settle(w, "50", failed)
			w.looks = []purchase.Outcome{failed}
			w.run(10 * time.Second)
			if got := w.writes(); got != "poll, result, settled, ack" || len(w.seen(EventSettled))+len(w.seen(EventContradiction)) != 0 {
				t.Errorf("effects: %s, told %+v", got, w.events)
			}
		})
	})
	t.Run("a contradiction", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.open(purchase.OpenInFlight, tx)
			settle(w, "50", completed(`{}`))
			w.looks = []purchase.Outcome{failed}
			w.run(10 * time.Second)
			told := w.seen(EventContradiction)
			if len(told) != 1 || told[0].Result.Status != purchase.StatusCompleted || told[0].Err == nil || w.results["ref"].Status != purchase.StatusCompleted {
				t.Errorf("told %+v", told)
			}
			if got := w.writes(); got != "poll, result, settled, ack" {
				t.Errorf("effects: %s", got)
			}
		})
	})
	for name, there := range map[string]bool{"another payload's": true, "another payload's, request gone": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				m := w.open(purchase.OpenInFlight, tx)
				settle(w, "60", failed)
				want := body("50")
				if there {
					want = " " + body("50")
					w.original.Body, w.original.Header = []byte(want), map[string][]string{"X-Shop": {"12"}}
				}
				w.looks = []purchase.Outcome{failed}
				w.run(10 * time.Second)
				if got := w.writes(); got != "poll, result, settled, dead, ack" {
					t.Errorf("effects: %s", got)
				}
				d := w.dead[31]
				if d.Reason != purchase.ReasonConflict || d.Account != "acme" || d.Detail == "" || string(d.Body) != want || there && d.Header["X-Shop"][0] != "12" {
					t.Errorf("dead letter %+v", d)
				}
				if record := w.redis.At(w.key()); record.Digest != w.request("60").Digest || !m.acked || len(w.seen(EventBuried)) != 1 {
					t.Errorf("Redis holds %+v, acked %v", record, m.acked)
				}
			})
		})
	}
}

// A vendor that is away, or limits, is not polled in the meantime.
func TestVendorAway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Schedule = Schedule{{Every: time.Second}}
		w.open(purchase.OpenInFlight, tx)
		w.looks = []purchase.Outcome{outcome(purchase.Unreachable)}
		w.run(30 * time.Second)
		if n := len(w.polls); n < 11 || n > 13 {
			t.Errorf("%d polls: the breaker opens after ten", n)
		}
	})
	bubble(t, func(t *testing.T, w *world) { // paused by another's answer, while it waits
		w.open(purchase.OpenInFlight, tx)
		w.looks = []purchase.Outcome{outcome(purchase.Unauthorized)}
		w.once("poll", func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			m := w.add(purchase.Handoff{Account: "acme", MerchantReference: "ref", Request: json.RawMessage(body("50")), SubmittedAt: time.Now().Add(-time.Hour)})
			m.visible = m.visible.Add(time.Millisecond)
		})
		w.run(30 * time.Second)
		if len(w.polls) != 1 {
			t.Errorf("%d polls after a 401", len(w.polls))
		}
	})
	bubble(t, func(t *testing.T, w *world) {
		p := New(w.config)
		m := w.open(purchase.OpenInFlight, tx)
		m.Count = 2
		w.config.Gate.Call(func() purchase.Outcome { return outcome(purchase.Limited) })
		if end := p.newJob(&m.Delivery).task(t.Context(), t.Context()); end.IsDone() || end.After() != 5*time.Second || len(w.polls) != 0 {
			t.Errorf("ended as %+v after %d polls", end, len(w.polls))
		}
		if n := p.Admit(t.Context(), 3); n != 3 || time.Since(w.began) != time.Second {
			t.Errorf("admitted %d after %v", n, time.Since(w.began))
		}
	})
}

// Nobody has to watch. What is not terminal never makes a result.
func TestWithoutObserver(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Observer, w.config.Report = nil, nil
		m := w.open(purchase.OpenInFlight, tx)
		w.looks = []purchase.Outcome{failed}
		w.faults["ack"] = []fault{fails}
		w.run(2 * time.Minute)
		if !m.acked || len(w.results) != 1 {
			t.Errorf("acked %v, %d results", m.acked, len(w.results))
		}
		j := New(w.config).newJob(&m.Delivery)
		if end := j.settle(t.Context(), outcome(purchase.Unknown), purchase.SourcePoll); end.IsDone() || end.After() != awayRetry {
			t.Errorf("ended as %+v", end)
		}
		if _, err := j.request.Settle(outcome(purchase.Unknown), purchase.Ending{}); !errors.Is(err, purchase.ErrNotTerminal) {
			t.Errorf("error %v", err)
		}
	})
}
