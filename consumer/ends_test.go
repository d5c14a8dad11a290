package consumer

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

var completed = purchase.Outcome{
	Kind: purchase.Completed, TransactionID: "tx-1", Code: "0", Message: "done",
	Receipt: json.RawMessage(`{"token":12341234123412341234,"price":30.0000}`),
}

func failed(code string, class purchase.Class) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Failed, Code: code, Class: class, Message: "not done"}
}

func outcome(kind purchase.OutcomeKind) purchase.Outcome { return purchase.Outcome{Kind: kind} }

// Every outcome of a purchase call, to its end: the result or the hand-off, the
// calls it took, and the order of effects.
func TestEnds(t *testing.T) {
	const settled, pending = "result, settled, ack", "hand-off, pending, ack"
	unknown, transient := outcome(purchase.Unknown), outcome(purchase.Transient)
	unreachable, limited := outcome(purchase.Unreachable), outcome(purchase.Limited)
	inFlight := purchase.Outcome{Kind: purchase.InFlight, TransactionID: "tx-2", Code: "PENDING"}
	tests := map[string]struct {
		answers  []purchase.Outcome
		effects  string
		status   purchase.Status
		class    purchase.Class
		code     string
		state    purchase.OpenState
		txID     string
		attempts int
		at       time.Duration // of the last call
	}{
		"completed":      {[]purchase.Outcome{completed}, "post, " + settled, purchase.StatusCompleted, "", "0", "", "tx-1", 1, 0},
		"validation":     {[]purchase.Outcome{failed("1004", purchase.ClassValidation)}, "post, " + settled, purchase.StatusFailed, purchase.ClassValidation, "1004", "", "", 1, 0},
		"account":        {[]purchase.Outcome{failed("1101", purchase.ClassAccount)}, "post, " + settled, purchase.StatusFailed, purchase.ClassAccount, "1101", "", "", 1, 0},
		"balance":        {[]purchase.Outcome{failed("1103", purchase.ClassBalance)}, "post, " + settled, purchase.StatusFailed, purchase.ClassBalance, "1103", "", "", 1, 0},
		"provider":       {[]purchase.Outcome{failed("1203", purchase.ClassProvider)}, "post, " + settled, purchase.StatusFailed, purchase.ClassProvider, "1203", "", "", 1, 0},
		"other":          {[]purchase.Outcome{failed("999", purchase.ClassOther)}, "post, " + settled, purchase.StatusFailed, purchase.ClassOther, "999", "", "", 1, 0},
		"403 at first":   {[]purchase.Outcome{outcome(purchase.Forbidden)}, "post, " + settled, purchase.StatusFailed, purchase.ClassAuthorization, "403", "", "", 1, 0},
		"202":            {[]purchase.Outcome{outcome(purchase.InFlight)}, "post, " + pending, "", "", "", purchase.OpenInFlight, "", 1, 0},
		"PENDING":        {[]purchase.Outcome{inFlight}, "post, " + pending, "", "", "PENDING", purchase.OpenInFlight, "tx-2", 1, 0},
		"look it up":     {[]purchase.Outcome{{Kind: purchase.LookUp, Code: "1205"}}, "post, " + pending, "", "", "1205", purchase.OpenUnknown, "", 1, 0},
		"unknown":        {[]purchase.Outcome{unknown}, "post, post, post, " + pending, "", "", "", purchase.OpenUnknown, "", 3, 3 * time.Second},
		"transient":      {[]purchase.Outcome{{Kind: purchase.Transient, Code: "1200"}}, "post, post, post, " + pending, "", "", "1200", purchase.OpenUnknown, "", 3, 3 * time.Second},
		"second is good": {[]purchase.Outcome{unknown, completed}, "post, post, " + settled, purchase.StatusCompleted, "", "0", "", "tx-1", 2, time.Second},
		"third fails":    {[]purchase.Outcome{unknown, transient, failed("1206", purchase.ClassProvider)}, "post, post, post, " + settled, purchase.StatusFailed, purchase.ClassProvider, "1206", "", "", 3, 3 * time.Second},
		"403 after unknown": {[]purchase.Outcome{unknown, outcome(purchase.Forbidden)}, "post, post, " + pending, "", "", "",
			purchase.OpenUnknown, "", 2, time.Second},
		"unreachable after unknown": {[]purchase.Outcome{unknown, unreachable}, "post, post, post, " + pending, "", "", "",
			purchase.OpenUnknown, "", 1, 3 * time.Second},
		"unreachable does not count": {[]purchase.Outcome{unreachable, unreachable, completed}, "post, post, post, " + settled,
			purchase.StatusCompleted, "", "0", "", "tx-1", 1, 3 * time.Second},
		"429 is no try": {[]purchase.Outcome{limited, limited, limited, limited, unknown, limited, completed},
			"post, post, post, post, post, post, post, " + settled, purchase.StatusCompleted, "", "0", "", "tx-1", 2, (1 + 2 + 4 + 8 + 1 + 16) * time.Second},
		"401 does not count": {[]purchase.Outcome{outcome(purchase.Unauthorized), completed}, "post, release, retry, post, " + settled,
			purchase.StatusCompleted, "", "0", "", "tx-1", 1, time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				m := w.buy("ref", test.answers...)
				w.run(2 * time.Minute)
				if got := w.writes(); got != test.effects {
					t.Errorf("effects: %s\nwant:    %s", got, test.effects)
				}
				if !m.acked {
					t.Error("not acknowledged")
				}
				if last := w.calls[len(w.calls)-1].at.Round(time.Second); last != test.at {
					t.Errorf("the last call was after %v, want %v", last, test.at)
				}
				r, hasResult := w.results["ref"]
				h, hasHandoff := w.handoffs["ref"]
				if hasResult != (test.status != "") || hasHandoff != (test.state != "") {
					t.Fatalf("result: %v, hand-off: %v", hasResult, hasHandoff)
				}
				record := w.redis.At(w.key("ref"))
				if hasHandoff {
					if h.State != test.state || h.TransactionID != test.txID || h.LastCode != test.code || h.Attempts != test.attempts ||
						h.RequestSequence != 1 || !h.RequestedAt.Equal(m.Time) {
						t.Errorf("hand-off %+v", h)
					}
					if record.State != purchase.Pending || record.TxID != test.txID || record.Attempts != test.attempts {
						t.Errorf("Redis holds %+v", record)
					}
					return
				}
				class := purchase.Class("")
				if r.Failure != nil {
					class = r.Failure.Class
				}
				if r.Status != test.status || class != test.class || r.ResponseCode != test.code || r.TransactionID != test.txID ||
					r.Attempts != test.attempts || r.Source != purchase.SourcePurchase || !r.RequestedAt.Equal(m.Time) {
					t.Errorf("result %+v, class %q", r, class)
				}
				if r.Status == purchase.StatusCompleted && string(r.Receipt) != string(completed.Receipt) {
					t.Errorf("receipt %s", r.Receipt)
				}
				if record.State != purchase.Settled || record.Digest != r.RequestDigest {
					t.Errorf("Redis holds %+v", record)
				}
				if events := w.seen(EventSettled); len(events) != 1 || events[0].Account != "acme" || events[0].Sequence != 1 {
					t.Errorf("told: %+v", events)
				}
			})
		})
	}
}

// The vendor gets the request as it was published, with the account's channel.
func TestWhatTheVendorGets(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.buy("ref", completed)
		w.run(time.Second)
		want := `{"channelId":"7",` + body("ref", "50")[1:]
		if len(w.calls) != 1 || w.calls[0].reference != "ref" || w.calls[0].body != want {
			t.Errorf("calls %+v, want the body %s", w.calls, want)
		}
	})
}

// A vendor that cannot be reached fails nothing: the purchase goes back on the
// stream and is not marked as sent.
func TestUnreachableIsPutBack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.buy("ref", outcome(purchase.Unreachable))
		_, stop := w.start()
		w.pass(3500 * time.Millisecond)
		if got := w.writes(); got != "post, post, post, release, retry, post" {
			t.Errorf("effects: %s", got)
		}
		stop()
		if record := w.redis.At(w.key("ref")); record.State != purchase.Released || record.Sent || record.Attempts != 0 {
			t.Errorf("Redis holds %+v", record)
		}
		if m.acked || len(w.results)+len(w.handoffs) != 0 {
			t.Error("the purchase was ended")
		}
		put := w.seen(EventPutBack)
		if len(put) != 2 || !errors.Is(put[0].Err, errVendorAway) || !errors.Is(put[1].Err, errStopping) {
			t.Errorf("told: %+v", put)
		}
	})
}

// What the vendor refuses, or cannot be reached for, is told with its cause.
func TestCauseIsTold(t *testing.T) {
	cause := errors.New("test: the cause")
	for kind, want := range map[purchase.OutcomeKind]error{purchase.Unauthorized: errUnauthorized, purchase.Unreachable: errVendorAway} {
		if err := because(purchase.Outcome{Kind: kind, Cause: cause}); !errors.Is(err, want) || !errors.Is(err, cause) {
			t.Errorf("%s: %v", kind, err)
		}
		if err := because(outcome(kind)); !errors.Is(err, want) {
			t.Errorf("%s without a cause: %v", kind, err)
		}
	}
}

// Another's answer is the account's: while it is limited or refused, no other
// purchase is posted, and one that was begun waits.
func TestPauseHoldsAll(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.buy("first", outcome(purchase.Limited), completed)
		w.buy("second", outcome(purchase.Limited), completed)
		w.run(5 * time.Second)
		if len(w.results) != 2 {
			t.Fatalf("%d results", len(w.results))
		}
		for _, c := range w.calls {
			if c.at > 0 && c.at < time.Second {
				t.Errorf("%s was posted %v after a 429", c.reference, c.at)
			}
		}
	})
}

// A completed purchase whose answer has no receipt gets the one that
// /transactions shows, and is settled also where there is none.
func TestReceiptFromTransactions(t *testing.T) {
	bare := purchase.Outcome{Kind: purchase.Completed, Code: "0", TransactionID: "t"}
	receipt := json.RawMessage(`{"pin":"1"}`)
	for name, c := range map[string]struct {
		answer, shown purchase.Outcome
		asked         int
		want          json.RawMessage
	}{
		"shown":                 {bare, purchase.Outcome{Kind: purchase.Completed, Receipt: receipt}, 1, receipt},
		"none there either":     {bare, purchase.Outcome{Kind: purchase.Completed}, 1, nil},
		"not shown yet":         {bare, purchase.Outcome{Kind: purchase.NotFound}, 1, nil},
		"said otherwise":        {bare, purchase.Outcome{Kind: purchase.InFlight, Receipt: receipt}, 1, nil},
		"in the answer":         {purchase.Outcome{Kind: purchase.Completed, TransactionID: "t", Receipt: receipt}, purchase.Outcome{}, 0, receipt},
		"without a transaction": {purchase.Outcome{Kind: purchase.Completed}, purchase.Outcome{}, 0, nil},
		"failed":                {purchase.Outcome{Kind: purchase.Failed, Code: "999", TransactionID: "t"}, purchase.Outcome{}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.shown = c.shown
				m := w.buy("ref", c.answer)
				w.run(time.Second)
				if r := w.results["ref"]; !m.acked || string(r.Receipt) != string(c.want) || w.count("transactions") != c.asked {
					t.Errorf("receipt %s after %d looks", r.Receipt, w.count("transactions"))
				}
			})
		})
	}
}
