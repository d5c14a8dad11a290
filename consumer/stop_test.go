package consumer

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

// After a stop no call is begun: the claim is released and the message is given
// to another at once.
func TestStop(t *testing.T) {
	for name, answer := range map[string]purchase.Outcome{
		"in the backoff": outcome(purchase.Unknown), "while limited": outcome(purchase.Limited), "while unreachable": outcome(purchase.Unreachable),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				m := w.buy("ref", answer, completed)
				_, stop := w.start()
				w.pass(500 * time.Millisecond)
				at := time.Now()
				stop()
				if time.Since(at) > 100*time.Millisecond || len(w.calls) != 1 || len(m.again) != 1 || m.again[0] != 0 {
					t.Errorf("stopped after %v, %d calls, again after %v", time.Since(at), len(w.calls), m.again)
				}
				record := w.redis.At(w.key("ref"))
				if record.State != purchase.Released || record.Sent != answer.Kind.MayHaveActed() {
					t.Errorf("Redis holds %+v", record)
				}
				if put := w.seen(EventPutBack); len(put) != 1 || !errors.Is(put[0].Err, errStopping) {
					t.Errorf("told %+v", put)
				}
				w.pass(time.Minute)
				w.run(time.Second) // another process goes on where this one stopped
				w.wantCompleted(t, 2)
			})
		})
	}
}

// A call that is under way at the stop is finished, and its end stored.
func TestStopInTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.buy("ref", completed)
		w.slow(30*time.Second, nil)
		_, stop := w.start()
		w.pass(time.Second)
		late := w.buy("late", completed)
		stop()
		if got := w.writes(); got != "post, result, settled, ack, post, result, settled, ack" && got != "post, result, settled, ack" {
			t.Errorf("effects: %s", got)
		}
		if w.results["ref"].Status != purchase.StatusCompleted || time.Since(w.began) != 30*time.Second {
			t.Errorf("result %+v after %v", w.results["ref"], time.Since(w.began))
		}
		if late.Count > 0 && !late.acked && len(late.again) == 0 {
			t.Error("a message was taken and neither ended nor given back")
		}
	})
}

// A panic ends neither the process nor the purchase.
func TestPanic(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.buy("ref", completed)
		w.once("post", func() { panic("a customer's number") })
		other := w.buy("other", completed)
		_, stop := w.start()
		w.pass(5 * time.Second)
		if len(w.results) != 1 || m.acked == other.acked {
			t.Errorf("%d results: one of two was to panic", len(w.results))
		}
		w.pass(2 * lease)
		stop()
		if len(w.results) != 2 || !m.acked || !other.acked {
			t.Errorf("%d results", len(w.results))
		}
		var panicked *worker.PanicError
		if len(w.reports) != 1 || !errors.As(w.reports[0], &panicked) {
			t.Errorf("reported %v", w.reports)
		}
	})
}

// One account's vendor hangs, limits and is away: another's purchases go on.
func TestAccountsDoNotDelayEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := newWorld(t), newWorld(t)
		quick.config.Account.Name = "other"
		quick.redis = slow.redis
		slow.config.Slots = 1
		slow.slow(10*time.Minute, nil)
		for _, ref := range []string{"a", "b", "c"} {
			slow.buy(ref, outcome(purchase.Unreachable))
			quick.buy(ref, completed) // the same references, another merchant's
		}
		_, stopSlow := slow.start()
		_, stopQuick := quick.start()
		slow.pass(0)
		quick.pass(time.Second)
		if len(quick.results) != 3 || len(slow.results) != 0 {
			t.Errorf("%d results of the quick account, %d of the slow one", len(quick.results), len(slow.results))
		}
		stopQuick()
		stopSlow()
	})
}

// Nobody has to watch.
func TestWithoutObserver(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.config.Observer, w.config.Report = nil, nil
		w.buy("ref", completed)
		w.faults["claim"] = []fault{fails}
		w.run(5 * time.Second)
		w.wantCompleted(t, 1)
	})
}

// A result of an outcome that is none is never made.
func TestNoResultOfWhatIsNotKnown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.buy("ref", completed)
		j := New(w.config).newJob(t.Context(), &m.Delivery)
		if end := j.settleOutcome(t.Context(), outcome(purchase.Unknown)); end.IsDone() || end.After() != awayRetry || len(w.results) != 0 {
			t.Errorf("ended as %+v", end)
		}
	})
}
