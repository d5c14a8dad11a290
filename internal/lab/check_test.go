package lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// world is a run in which every promise held: a COMPLETED purchase with a repeat
// and a conflict, a FAILED one, one refused here, and a message that is no JSON.
type world struct {
	Evidence
	completed, failed, refused *purchase.Result
}

const (
	seqCompleted = iota + 1
	seqRepeat
	seqConflict
	seqFailed
	seqRefused
	seqMalformed
	seqStray
)

func body(reference, amount, more string) []byte {
	return fmt.Appendf(nil, `{"merchantReference":%q,"productCode":"ATP-100","amount":%s,"paymentMethod":"CASH"%s}`, reference, amount, more)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	account := purchase.Account{Name: acme, ChannelID: "WEB"}
	w := &world{}
	w.Accounts = []purchase.Account{account}
	ask := func(account string, data []byte) {
		sequence := uint64(len(w.Requests) + 1)
		w.Requests = append(w.Requests, Message{Subject: subjects.Requests(account), Sequence: sequence, Data: data})
		w.Acknowledged = append(w.Acknowledged, sequence)
	}
	ask(acme, body("good", "50.0", ""))
	ask(acme, body("good", `"50"`, ""))
	ask(acme, body("good", "51", ""))
	ask(acme, body("bad", "10", ""))
	ask(acme, body("refused", "0", ""))
	ask(acme, []byte("{"))
	ask("nobody", body("whose", "1", ""))
	digest := func(sequence uint64) purchase.Digest {
		r, err := purchase.Parse(w.Requests[sequence-1].Data, account)
		if err != nil {
			t.Fatal(err)
		}
		return r.Digest
	}
	receipt := json.RawMessage(`{"pin":"1","amount":30.0000}`)
	w.completed = &purchase.Result{
		MerchantReference: "good", Account: acme, Status: purchase.StatusCompleted, TransactionID: "VAS-1",
		ResponseCode: "0", Receipt: receipt, RequestDigest: digest(seqCompleted), Source: purchase.SourcePurchase, Attempts: 2,
	}
	w.failed = &purchase.Result{
		MerchantReference: "bad", Account: acme, Status: purchase.StatusFailed, ResponseCode: "1203",
		Failure:       &purchase.Failure{Class: purchase.ClassProvider},
		RequestDigest: digest(seqFailed), Source: purchase.SourcePurchase, Attempts: 1,
	}
	w.refused = &purchase.Result{
		MerchantReference: "refused", Account: acme, Status: purchase.StatusFailed, ResponseCode: "1004",
		Failure:       &purchase.Failure{Class: purchase.ClassValidation},
		RequestDigest: digest(seqRefused), Source: purchase.SourceValidation,
	}
	w.Sales = []Sale{
		{Entry: simulator.Entry{
			Account: acme, Reference: "good", TransactionID: "VAS-1", Status: simulator.Completed,
			ProductCode: "ATP-100", Amount: "50.0", Calls: 3, Acted: 2, Limited: 1, Vends: 1,
		}, Receipt: receipt},
		{Entry: simulator.Entry{
			Account: acme, Reference: "bad", TransactionID: "VAS-2", Status: simulator.Failed, Code: "1203",
			ProductCode: "ATP-100", Amount: "10", Calls: 1, Acted: 1,
		}},
	}
	w.Limited = map[Key]bool{{acme, "good"}: true}
	w.Unfinished = map[string]uint64{acme: 0}
	w.bury(seqConflict, purchase.ReasonConflict)
	w.bury(seqMalformed, purchase.ReasonMalformed)
	w.bury(seqStray, purchase.ReasonUnknownAccount)
	return w
}

func (w *world) bury(sequence uint64, reason purchase.Reason) {
	original := w.Requests[sequence-1]
	w.Dead = append(w.Dead, Message{
		Subject: subjects.Dead(subjects.AccountOf(original.Subject), sequence), Data: original.Data,
		Header: map[string][]string{publisher.HeaderReason: {string(reason)}},
	})
}

// evidence puts the results on their stream.
func (w *world) evidence(t *testing.T) Evidence {
	t.Helper()
	e := w.Evidence
	for _, r := range []*purchase.Result{w.completed, w.failed, w.refused} {
		if r != nil {
			e.Results = append(e.Results, resultMessage(t, r))
		}
	}
	return e
}

func resultMessage(t *testing.T, r *purchase.Result) Message {
	t.Helper()
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	event := publisher.TypeFailed
	if r.Status == purchase.StatusCompleted {
		event = publisher.TypeCompleted
	}
	return Message{
		Subject: subjects.Result(r.Account, r.MerchantReference), Data: data,
		Header: map[string][]string{publisher.HeaderEventType: {event}},
	}
}

func TestCheckFindsNothing(t *testing.T) {
	if found := Check(newWorld(t).evidence(t)); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	if found := Check(Evidence{}); len(found) > 0 {
		t.Errorf("in nothing: %v", found)
	}
}

// Each way to break a promise is found, under its number.
func TestCheckFindsEveryBreach(t *testing.T) {
	good := func(w *world) *Sale { return &w.Sales[0] }
	bad := func(w *world) *Sale { return &w.Sales[1] }
	for name, c := range map[string]struct {
		promise int
		says    string
		spoil   func(w *world)
	}{
		"no result":            {1, "has 0 results", func(w *world) { w.failed = nil }},
		"result of no payload": {1, "that of no request", func(w *world) { w.completed.RequestDigest = "sha256:00" }},
		"result and dead letter": {1, "has a result and 1 dead letters", func(w *world) {
			w.bury(seqRepeat, purchase.ReasonConflict)
		}},
		"request lost":       {1, "is not on the stream", func(w *world) { w.Acknowledged = append(w.Acknowledged, 99) }},
		"no dead letter":     {1, "is malformed and has 0 dead letters", func(w *world) { w.Dead = slices.Delete(w.Dead, 1, 2) }},
		"two dead letters":   {1, "is malformed and has 2 dead letters", func(w *world) { w.bury(seqMalformed, purchase.ReasonMalformed) }},
		"conflict forgotten": {1, "is conflict and has 0 dead letters", func(w *world) { w.Dead = w.Dead[1:] }},
		"stray forgotten":    {1, "is unknown_account and has 0 dead letters", func(w *world) { w.Dead = w.Dead[:2] }},
		"called, no result":  {1, "the vendor was called and there is no result", func(w *world) { w.failed = nil }},
		"still pending":      {1, "is still pending", func(w *world) { w.Pending = []Message{{Subject: subjects.Pending(acme, "good")}} }},
		"not acknowledged":   {1, "1 requests are not acknowledged", func(w *world) { w.Unfinished[acme] = 1 }},
		"vended twice":       {2, "was vended 2 times", func(w *world) { good(w).Vends = 2 }},
		"posted while open":  {2, "while it was open", func(w *world) { good(w).RepostedWhileOpen = 1 }},
		"posted before told": {2, "before its end was known", func(w *world) { good(w).RepostedUntold = 1 }},
		"two results":        {3, "has 2 results", func(w *world) { w.Results = append(w.Results, resultMessage(t, w.completed)) }},
		"result on another subject": {3, "its result is on subject", func(w *world) {
			m := resultMessage(t, w.failed)
			m.Subject, w.failed = subjects.Result(acme, "other"), nil
			w.Results = append(w.Results, m)
		}},
		"result of nothing": {3, "was never asked", func(w *world) {
			r := *w.refused
			r.MerchantReference = "invented"
			w.Results = append(w.Results, resultMessage(t, &r))
		}},
		"result unreadable": {4, "cannot be read", func(w *world) { w.Results = append(w.Results, Message{Data: []byte("?")}) }},
		"event type": {4, "its ce-type says", func(w *world) {
			m := resultMessage(t, w.failed)
			m.Header[publisher.HeaderEventType] = []string{publisher.TypeCompleted}
			w.failed = nil
			w.Results = append(w.Results, m)
		}},
		"status of its own":      {4, "has status", func(w *world) { w.failed.Status = "PENDING" }},
		"COMPLETED, was FAILED":  {4, `says COMPLETED and the vendor says "FAILED"`, func(w *world) { good(w).Status = simulator.Failed }},
		"COMPLETED, never asked": {4, `says COMPLETED and the vendor says ""`, func(w *world) { w.Sales = w.Sales[1:] }},
		"FAILED, was COMPLETED": {4, `says FAILED and the vendor says "COMPLETED"`, func(w *world) {
			bad(w).Status, bad(w).Vends = simulator.Completed, 1
		}},
		"FAILED, still open":        {4, `says FAILED and the vendor says "PENDING"`, func(w *world) { bad(w).Status = simulator.Pending }},
		"other transaction":         {4, "names transaction", func(w *world) { w.completed.TransactionID = "VAS-9" }},
		"no transaction":            {4, "names transaction", func(w *world) { w.completed.TransactionID = "" }},
		"failed, other transaction": {4, "names transaction", func(w *world) { w.failed.TransactionID = "VAS-9" }},
		"COMPLETED with code":       {4, "COMPLETED with code", func(w *world) { w.completed.ResponseCode = "1203" }},
		"other receipt":             {4, "the receipt is not the vendor's", func(w *world) { w.completed.Receipt = json.RawMessage(`{"pin":"1","amount":30}`) }},
		"no receipt":                {4, "the receipt is not the vendor's", func(w *world) { w.completed.Receipt = nil }},
		"invented receipt":          {4, "the receipt is not the vendor's", func(w *world) { good(w).Receipt = nil }},
		"other code":                {4, `says code "1203" and the vendor "999"`, func(w *world) { bad(w).Code = "999" }},
		"no class":                  {4, "without a class", func(w *world) { w.failed.Failure = nil }},
		"refused, yet called": {4, "was refused by validation", func(w *world) {
			w.Sales = append(w.Sales, Sale{Entry: simulator.Entry{Account: acme, Reference: "refused", Calls: 1}})
		}},
		"refusal invented":  {4, "was never asked", func(w *world) { w.refused.Source = purchase.SourcePurchase }},
		"too few attempts":  {4, "1 attempts and the vendor acted on 2", func(w *world) { w.completed.Attempts = 1 }},
		"429 counted":       {4, "3 attempts and the vendor had 2", func(w *world) { w.completed.Attempts = 3 }},
		"other amount sold": {4, "not what was asked for", func(w *world) { good(w).Amount = "51" }},
		"other goods sold":  {4, "not what was asked for", func(w *world) { good(w).ProductCode = "ATP-200" }},
		"over the limit":    {6, "over the purchase limit 1 times", func(w *world) { w.Limited = nil }},
		"wrong reason": {0, "its dead letter says too_large", func(w *world) {
			w.Dead[1].Header = map[string][]string{publisher.HeaderReason: {"too_large"}}
		}},
		"dead body changed": {0, "another body", func(w *world) { w.Dead[1].Data = []byte("{}") }},
		"dead and never asked": {0, "was never asked", func(w *world) {
			w.Dead = append(w.Dead, Message{Subject: subjects.Dead(acme, 99)})
		}},
		"dead without number": {0, "names no request", func(w *world) { w.Dead = append(w.Dead, Message{Subject: "purchases.dead.acme.x"}) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.spoil(w)
			found := Check(w.evidence(t))
			if !slices.ContainsFunc(found, func(b Breach) bool {
				return b.Promise == c.promise && strings.Contains(b.Detail, c.says) && b.String() != ""
			}) {
				t.Errorf("want a breach of %d that says %q, found %v", c.promise, c.says, found)
			}
		})
	}
}

// A call that the vendor could not read is an attempt as far as the caller knows.
func TestCheckAllowsLostCalls(t *testing.T) {
	w := newWorld(t)
	w.completed.Attempts, w.Lost = 3, 1
	if found := Check(w.evidence(t)); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// The vendor has not acted on 401 and 429: who got them alone was not sent.
func TestLimitedIsNotSent(t *testing.T) {
	w := newWorld(t)
	w.Sales = append(w.Sales, Sale{Entry: simulator.Entry{Account: acme, Reference: "refused", Calls: 3, Limited: 2, Unauthorized: 1}})
	for _, b := range Check(w.evidence(t)) {
		if b.Promise == 4 {
			t.Errorf("%+v", b)
		}
	}
}
