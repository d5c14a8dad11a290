package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// ask is one message that is put on the requests stream.
type ask struct {
	account   string
	reference string // "" where the body bears none that can be used
	body      json.RawMessage
	// expiresIn, where set, is how long after it is published an unsent purchase
	// may still be sent; negative has passed already.
	expiresIn time.Duration
	// bare goes without a Nats-Msg-Id, so that the consumer has to tell a repeat.
	bare bool
	// plain is a purchase that the vendor settles at once unless a fault strikes.
	plain bool
}

// outcome is a kind of purchase, by the fault that its reference orders of the
// vendor.
type outcome struct {
	share int // of the purchases, in the sum of all
	fault string
}

// outcomes leaves out what by rights never ends by itself: a 403 behind a call that
// may have been made.
var outcomes = []outcome{
	{700, ""},
	{12, "enveloped"}, {8, "slow"},
	{20, "pending"}, {10, "pending-failed"}, {6, "pending-enveloped"}, {12, "processing"}, {6, "processing-failed"},
	{8, "accepted"}, {4, "accepted-failed"}, {8, "accepted-empty"}, {6, "pending-late"},
	{6, "receipt-repost"}, {4, "receipt-none"},
	{4, "poll-503"}, {4, "poll-reset"}, {4, "poll-garbage"}, {4, "poll-429"},
	{15, "failed"}, {6, "failed-enveloped"}, {6, "rejected"}, {6, "fail-1103"}, {6, "fail-1206"}, {4, "fail-999"},
	{6, "code-1200"}, {4, "code-1201-x2"}, {4, "429"}, {4, "500"}, {4, "503-x2"}, {6, "500-after"}, {6, "504-after"},
	{6, "code-1204"}, {4, "code-1205"}, {4, "code-1006"}, {4, "409-after"}, {4, "409"},
	{6, "reset"}, {10, "reset-after"}, {4, "reset-after-failed"}, {8, "reset-after-pending"}, {4, "reset-after-x5"},
	{4, "timeout"}, {6, "timeout-after"}, {6, "late"}, {4, "garbage"}, {4, "garbage-before"},
	{4, "truncated"}, {4, "empty"}, {4, "redirect"}, {4, "contradiction"}, {4, "contradiction-failed"}, {4, "code-4711"},
}

// newPlan makes n purchases of the seed, and beside them repeats, conflicts and
// what can have no result: the messages in the order in which they are published.
func newPlan(n int, seed uint64) ([]ask, error) {
	random := rand.New(rand.NewPCG(seed, 1))
	total := 0
	for _, o := range outcomes {
		total += o.share
	}
	var first []ask
	for i := range n {
		at, fault := random.IntN(total), ""
		for _, o := range outcomes {
			if at -= o.share; at < 0 {
				fault = o.fault
				break
			}
		}
		a, err := purchaseOf(random, i, fault)
		if err != nil {
			return nil, err
		}
		first = append(first, a)
	}
	// later are the messages that follow a purchase after some others.
	later := map[int][]ask{}
	for i := range first {
		after := i + random.IntN(min(n, 300))
		switch pick := random.IntN(1000); {
		case pick < 60: // the same, as JetStream sees it or past it
			again := first[i]
			if again.bare = random.IntN(3) > 0; again.bare {
				again.body = json.RawMessage(" " + strings.Replace(string(again.body), ":", " : ", 1))
			}
			later[after] = append(later[after], again)
		case pick < 85: // another payload under the same reference
			other := first[i]
			other.body = json.RawMessage(strings.Replace(string(other.body), `"paymentMethod":"CASH"`, `"paymentMethod":"CARD"`, 1))
			other.bare, other.plain = random.IntN(2) > 0, false
			first[i].plain = false // this one may be the one that is refused
			later[after] = append(later[after], other)
		case pick < 105:
			later[after] = append(later[after], hopeless(random, i))
		}
	}
	var all []ask
	for i := range first {
		all = append(all, first[i])
		all = append(all, later[i]...)
	}
	for i := n; i < 2*n+300; i++ {
		all = append(all, later[i]...)
	}
	return all, nil
}

// ordinary is how the references begin that order nothing of the vendor. Only these
// meet a vendor in trouble as well: two orders for one purchase would make the
// vendor contradict itself.
func ordinary(account string) string { return account + "-p-" }

func purchaseOf(random *rand.Rand, i int, fault string) (ask, error) {
	a := ask{account: served[random.IntN(len(served))], plain: fault == ""}
	number := fmt.Sprintf("%06d", i+1)
	if random.IntN(10) == 0 {
		number = "№" + number // no token of a subject
	}
	a.reference = ordinary(a.account) + number
	if fault != "" {
		a.reference = a.account + "-x-" + number + "-sim-" + fault
	}
	body := map[string]any{
		"merchantReference": a.reference,
		"productCode":       "AIR-VOD-001",
		"amount":            json.Number(fmt.Sprintf("%d.%02d", 5+random.IntN(90), random.IntN(100))),
		"paymentMethod":     "CASH",
		"mobileNumber":      fmt.Sprintf("+2782%07d", i),
	}
	if random.IntN(3) > 0 {
		body["channelId"] = "WEB" // or it is filled in
	}
	switch pick := random.IntN(100); {
	case pick < 2: // refused here
		body["amount"], a.plain = "fifty", false
	case pick < 3:
		delete(body, "mobileNumber") // by the vendor
		a.plain = false
	case pick < 4:
		a.expiresIn, a.plain = -time.Minute, false
	case pick < 8: // in the middle of it all
		a.expiresIn, a.plain = time.Duration(200+random.IntN(4000))*time.Millisecond, false
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return a, fmt.Errorf("chaos: encode a purchase: %w", err)
	}
	a.body = raw
	return a, nil
}

// hopeless can have no result.
func hopeless(random *rand.Rand, i int) ask {
	account := served[random.IntN(len(served))]
	a := ask{account: account, bare: true}
	switch random.IntN(5) {
	case 0:
		a.body = json.RawMessage(fmt.Sprintf(`{"merchantReference":"torn-%d"`, i))
	case 1:
		a.body = json.RawMessage(fmt.Sprintf(`{"merchantReference":"twice-%d","amount":1,"amount":2}`, i))
	case 2:
		a.body = json.RawMessage(fmt.Sprintf(`{"merchantReference":" padded-%d "}`, i))
	case 3:
		a.body = json.RawMessage(fmt.Sprintf(`{"merchantReference":"large-%d","note":%q}`, i, strings.Repeat("x", 64<<10)))
	default:
		a.account = nobody
		a.body = json.RawMessage(fmt.Sprintf(`{"merchantReference":"whose-%d","amount":5}`, i))
	}
	return a
}
