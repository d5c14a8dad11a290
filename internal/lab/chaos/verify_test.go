package chaos

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/lab"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

var begun = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return begun.Add(time.Duration(seconds * float64(time.Second)))
}

const first, second = "acme-000001", "acme-000002-sim-pending"

// kept is a run in which every promise held: a purchase settled at once, with a
// repeat that the server dropped, one that was open for a while, and a message that
// can have no result.
func kept(t *testing.T) Evidence {
	t.Helper()
	e := Evidence{Settled: map[lab.Key]time.Time{}, Held: map[string][]Span{}}
	e.Killed = true
	e.Accounts = []purchase.Account{{Name: acme, ChannelID: "WEB"}}
	e.Unfinished = map[string]uint64{acme: 0}
	ask := func(reference, body string) {
		sequence := uint64(len(e.Requests) + 1)
		e.Requests = append(e.Requests, lab.Message{Subject: subjects.Requests(acme), Sequence: sequence, Data: []byte(body)})
		e.Acks = append(e.Acks, Ack{
			At: at(float64(sequence)), Sequence: sequence, Account: acme, Reference: reference,
			Body: sha256.Sum256([]byte(body)), Plain: reference == first,
		})
	}
	bodyOf := func(reference string) string {
		return fmt.Sprintf(`{"merchantReference":%q,"productCode":"AIR-VOD-001","amount":10.00,"paymentMethod":"CASH","mobileNumber":"+27821234567"}`, reference)
	}
	ask(first, bodyOf(first))
	ask(second, bodyOf(second))
	ask("", "{")
	again := e.Acks[0]
	again.Duplicate, again.Body = true, sha256.Sum256([]byte(" "+bodyOf(first)))
	e.Acks = append(e.Acks, again)
	e.Dead = []lab.Message{{
		Subject: subjects.Dead(acme, 3), Data: []byte("{"),
		Header: map[string][]string{publisher.HeaderReason: {string(purchase.ReasonMalformed)}},
	}}
	for i, reference := range []string{first, second} {
		r, err := purchase.Parse(e.Requests[i].Data, e.Accounts[0])
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("VAS-%d", i+1)
		e.Results = append(e.Results, resultOf(t, r, id))
		e.Settled[lab.Key{Account: acme, Reference: reference}] = at(float64(10 + i))
		e.Sales = append(e.Sales, lab.Sale{Entry: simulator.Entry{
			Account: acme, Reference: reference, TransactionID: id, Status: simulator.Completed,
			ProductCode: "AIR-VOD-001", Amount: "10.00", Calls: 1, Acted: 1, Vends: 1,
		}})
	}
	e.Handoffs = []Stored{{At: at(20), Key: lab.Key{Account: acme, Reference: second}, State: string(purchase.OpenInFlight)}}
	e.Calls = []Call{
		{At: at(2), Key: lab.Key{Account: acme, Reference: first}, By: "consumer-1"},
		{At: at(19), Key: lab.Key{Account: acme, Reference: second}, By: "consumer-1"},
		// For the receipt: the vendor had ended it.
		{At: at(40), Key: lab.Key{Account: acme, Reference: second}, By: "poller-1"},
	}
	return e
}

func resultOf(t *testing.T, r *purchase.Request, transaction string) lab.Message {
	t.Helper()
	result, err := r.Settle(purchase.Outcome{Kind: purchase.Completed, Code: "0", TransactionID: transaction},
		purchase.Ending{Source: purchase.SourcePurchase, Attempts: 1, RequestedAt: begun, ResolvedAt: begun})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return lab.Message{
		Subject: subjects.Result(r.Account, r.Reference), Data: raw,
		Header: map[string][]string{publisher.HeaderEventType: {publisher.TypeCompleted}},
	}
}

func TestVerifyKeptPromises(t *testing.T) {
	if breaches, late := Verify(kept(t)); len(breaches)+len(late) > 0 {
		t.Errorf("breaches %v, late posts %v", breaches, late)
	}
}

// Every kind of breach is seen, and counted where the report says.
func TestVerifySeesBreaches(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func(*Evidence)
		says   string
		count  func(Report) int
	}{
		"an acknowledged request is gone": {func(e *Evidence) {
			e.Requests = e.Requests[:2]
			e.Dead = nil
		}, "was acknowledged and is not on the stream", lost},
		"another stands in its place": {func(e *Evidence) {
			e.Requests[2].Data, e.Dead[0].Data = []byte("["), []byte("[")
		}, "another message stands there", lost},
		"a repeat was dropped for another purchase": {func(e *Evidence) {
			e.Acks[3].Reference = "acme-000009"
		}, "another message stands there", lost},
		"no result":            {func(e *Evidence) { e.Results = e.Results[1:] }, "has 0 results", lost},
		"no dead letter":       {func(e *Evidence) { e.Dead = nil }, "has 0 dead letters", lost},
		"two dead letters":     {func(e *Evidence) { e.Dead = append(e.Dead, e.Dead[0]) }, "has 2 dead letters", lost},
		"still open":           {func(e *Evidence) { e.Pending = []lab.Message{{Subject: "purchases.pending.acme.x", Sequence: 1}} }, "is still pending", lost},
		"not finished":         {func(e *Evidence) { e.Unfinished[acme] = 1 }, "not acknowledged by the consumer", lost},
		"two results":          {func(e *Evidence) { e.Results = append(e.Results, e.Results[0]) }, "has 2 results", func(r Report) int { return r.Doubled }},
		"vended twice":         {func(e *Evidence) { e.Sales[0].Vends = 2 }, "was vended 2 times", func(r Report) int { return r.SecondVends }},
		"the vendor disagrees": {func(e *Evidence) { e.Sales[0].Status, e.Sales[0].Vends = simulator.Failed, 0 }, "the result says COMPLETED", func(r Report) int { return r.Contradicted }},
		"another receipt":      {func(e *Evidence) { e.Sales[0].Receipt = []byte("{}") }, "the receipt is not the vendor's", func(r Report) int { return r.Contradicted }},
		"posted while open": {func(e *Evidence) {
			e.Calls = append(e.Calls, Call{At: at(22), Key: lab.Key{Account: acme, Reference: second}, By: "poller-1", Open: true})
		}, "after a non-terminal answer was stored", func(r Report) int { return r.LatePosts["nothing explains it"] }},
		"does not stop": {func(e *Evidence) { e.BadStops = []string{"poller-1 ended with 1 at SIGTERM"} }, "at SIGTERM", func(r Report) int { return len(r.BadStops) }},
	} {
		e := kept(t)
		c.tamper(&e)
		r := newReport(e)
		if c.count(r) == 0 || !strings.Contains(strings.Join(r.Breaches, "\n"), c.says) {
			t.Errorf("%s: not seen: %+v", name, r)
		}
		var text strings.Builder
		r.print(&text)
		if !strings.Contains(text.String(), "BROKEN") {
			t.Errorf("%s: the report does not say so:\n%s", name, &text)
		}
	}
}

func lost(r Report) int { return r.Lost }

// What explains a post that came late, and what does not.
func TestLatePosts(t *testing.T) {
	for name, c := range map[string]struct {
		call Call
		held []Span
		late bool
		why  string
	}{
		"before it was stored":  {call: Call{At: at(19.9), Open: true}},
		"not open any more":     {call: Call{At: at(22)}},
		"just after":            {call: Call{At: at(20.4), Open: true}, late: true, why: "just before"},
		"much later":            {call: Call{At: at(22), Open: true}, late: true},
		"held over it":          {call: Call{At: at(26), Open: true}, held: []Span{{at(18), at(25.9)}}, late: true, why: "held still"},
		"held long before":      {call: Call{At: at(26), Open: true}, held: []Span{{at(2), at(9)}}, late: true},
		"held, and time passed": {call: Call{At: at(29), Open: true}, held: []Span{{at(18), at(25.9)}}, late: true},
		"held afterwards":       {call: Call{At: at(22), Open: true}, held: []Span{{at(23), at(28)}}, late: true},
	} {
		e := kept(t)
		c.call.Key, c.call.By = lab.Key{Account: acme, Reference: second}, "consumer-2"
		e.Calls, e.Held["consumer-2"] = []Call{c.call}, c.held
		e.Held["consumer-1"] = []Span{{at(18), at(40)}} // is no excuse for another
		late := latePosts(e)
		if (len(late) == 1) != c.late || c.late && (c.why == "") != (late[0].Why == "") || c.late && !strings.Contains(late[0].Why, c.why) {
			t.Errorf("%s: %+v", name, late)
		}
	}
}

func TestReportMeasures(t *testing.T) {
	e := kept(t)
	e.Faults = []Injected{
		{Kind: KillConsumer, Target: "consumer-1", At: at(2)},
		{Kind: StopNATSLeader, Target: "nats-2", At: at(10.5), Err: "not healed"},
		{Kind: FullDisk, Err: "no root", Skipped: true},
	}
	r := newReport(e)
	if r.Recovery.Count != 1 || r.Recovery.Max != 8 || r.Next.Count != 2 || r.Next.Max != 8 || r.Next.P50 != 8 || r.Latency.Max != 9 {
		t.Errorf("recovery %+v, next %+v, latency %+v", r.Recovery, r.Next, r.Latency)
	}
	if r.Kills["consumer"] != 1 || r.Stops["nats"] != 1 || r.Faults[FullDisk] != 0 || r.Skipped[FullDisk] != 1 || len(r.NotDone) != 2 {
		t.Errorf("%+v", r)
	}
	if r.Acknowledged != 3 || r.Messages != 4 || r.CallsOfEach[1] != 2 || len(r.Breaches) != 0 {
		t.Errorf("%+v", r)
	}
}
