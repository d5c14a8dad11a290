package poller

import (
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// COMPLETED without a receipt: the same purchase posted once more gives it, and
// if it does not, the result goes out without.
func TestReceiptIsFetched(t *testing.T) {
	const receipt = `{"token":12341234123412341234}`
	other := completed(receipt)
	other.TransactionID = "tx-2"
	bare := completed(receipt)
	bare.TransactionID = ""
	inFlight, transient, unknown := outcome(purchase.InFlight), outcome(purchase.Transient), outcome(purchase.Unknown)
	tests := map[string]struct {
		known      string // the hand-off's transaction
		look       purchase.Outcome
		posts      []purchase.Outcome
		receipt    string
		id         string
		calls      int
		contradict int
	}{
		"with":                    {tx, completed(""), []purchase.Outcome{completed(receipt)}, receipt, tx, 1, 0},
		"with, of an unknown one": {"", completed(""), []purchase.Outcome{completed(receipt)}, receipt, tx, 1, 0},
		"no transaction named":    {"", outcome(purchase.Completed), []purchase.Outcome{completed(receipt)}, receipt, tx, 1, 0},
		"answer names none":       {tx, completed(""), []purchase.Outcome{bare}, receipt, tx, 1, 0},
		"without":                 {tx, completed(""), []purchase.Outcome{completed("")}, "", tx, 1, 0},
		"after a transient":       {tx, completed(""), []purchase.Outcome{transient, completed(receipt)}, receipt, tx, 2, 0},
		"attempts used up":        {tx, completed(""), []purchase.Outcome{unknown}, "", tx, 3, 0},
		"in flight, says the answer": {tx, completed(""), []purchase.Outcome{inFlight}, "", tx,
			3, 0},
		"another transaction":     {tx, completed(""), []purchase.Outcome{other}, "", tx, 1, 1},
		"another than the item's": {"", completed(""), []purchase.Outcome{other}, "", tx, 1, 1},
		"another than ours":       {tx, outcome(purchase.Completed), []purchase.Outcome{other}, "", tx, 1, 1},
		"failed":                  {tx, completed(""), []purchase.Outcome{failed}, "", tx, 1, 1},
		"failed after unknown":    {tx, completed(""), []purchase.Outcome{unknown, failed}, "", tx, 2, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				state := purchase.OpenInFlight
				if test.known == "" {
					state = purchase.OpenUnknown
				}
				m := w.open(state, test.known)
				w.looks, w.posts = []purchase.Outcome{test.look}, test.posts
				w.run(20 * time.Second)
				if got, want := w.writes(), "poll, "+strings.Repeat("hold, post, ", test.calls)+"result, settled, ack"; got != want {
					t.Errorf("effects: %s\nwant:    %s", got, want)
				}
				r := w.results["ref"]
				if r.Status != purchase.StatusCompleted || r.Source != purchase.SourcePoll || string(r.Receipt) != test.receipt ||
					r.TransactionID != test.id || r.Attempts != 1+test.calls || !m.acked {
					t.Errorf("result %+v", r)
				}
				if name == "no transaction named" && r.ResponseMessage != "done" {
					t.Errorf("message %q", r.ResponseMessage)
				}
				if told := w.seen(EventContradiction); len(told) != test.contradict || len(told) > 0 && told[0].Err == nil {
					t.Errorf("told %+v", told)
				}
			})
		})
	}
}

// A call that was refused has asked nothing: it uses up no attempt, and the
// receipt is asked for later.
func TestReceiptIsAskedForLater(t *testing.T) {
	for _, kind := range []purchase.OutcomeKind{purchase.Limited, purchase.Unreachable, purchase.Unauthorized} {
		bubble(t, func(t *testing.T, w *world) {
			m := w.open(purchase.OpenInFlight, tx)
			w.looks = []purchase.Outcome{completed("")}
			w.posts = []purchase.Outcome{outcome(kind), outcome(kind), outcome(kind), outcome(kind), completed(`{"a":1}`)}
			w.run(20 * time.Minute)
			if r := w.results["ref"]; string(r.Receipt) != `{"a":1}` || r.Attempts != 2 || !m.acked || len(w.bodies) != 5 {
				t.Errorf("%s: result %+v after %d posts", kind, r, len(w.bodies))
			}
		})
	}
	bubble(t, func(t *testing.T, w *world) { // paused by another's answer
		m := w.open(purchase.OpenInFlight, tx)
		j := New(w.config).newJob(&m.Delivery)
		w.config.Gate.Call(func() purchase.Outcome { return outcome(purchase.Limited) })
		if end := j.fetchReceipt(t.Context(), t.Context(), completed("")); end.IsDone() || end.After() != 5*time.Second || len(w.bodies) != 0 {
			t.Errorf("ended as %+v after %d posts", end, len(w.bodies))
		}
	})
}
