package lab

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/vendstream/vendstream/publisher"
)

// unknownAccount is nobody's: its requests become dead letters.
const unknownAccount = "nobody"

// ask is one message that the demo puts on the requests stream.
type ask struct {
	account string
	body    json.RawMessage
	expires time.Time
	// bare goes without a Nats-Msg-Id, so that JetStream does not drop a repeat
	// and the consumer has to tell.
	bare bool
}

// planned is a purchase of the demo.
type planned struct {
	kase      kase
	account   string
	reference string
	category  string
}

// plan is what the demo asks, in two waves: the second comes when everything of
// the first has ended.
type plan struct {
	purchases []planned
	waves     [2][]ask
	dead      [2]int // dead letters to expect of each wave
}

// newPlan makes a batch of n purchases. Every case is in it once where n is large
// enough; the same seed makes the same batch.
func newPlan(n int, seed uint64) (*plan, error) {
	random := rand.New(rand.NewPCG(seed, 0))
	order := make([]kase, 0, n)
	order = append(order, cases[:min(n, len(cases))]...)
	if n < len(cases) {
		for i, at := range random.Perm(len(cases))[:n] {
			order[i] = cases[at]
		}
	}
	for i := len(order); i < n; i++ {
		next := cases[0]
		if i%2 == 0 { // every other one meets a fault
			next = cases[random.IntN(len(cases))]
		}
		order = append(order, next)
	}
	random.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })

	p := &plan{}
	var bodies []map[string]any
	for i, k := range order {
		one := planned{kase: k, account: acme, reference: reference(i, k)}
		if i%2 == 1 {
			one.account = beta
		}
		if k.account != "" {
			one.account = k.account
		}
		body := p.body(i, &one)
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("lab: encode a purchase: %w", err)
		}
		a := ask{account: one.account, body: raw}
		if k.expired {
			a.expires = time.Now().Add(-time.Minute)
		}
		p.purchases = append(p.purchases, one)
		bodies = append(bodies, body)
		p.waves[0] = append(p.waves[0], a)
	}
	if err := p.repeats(random, bodies); err != nil {
		return nil, err
	}
	p.hopeless()
	return p, nil
}

// reference names the purchase and orders its fault. Some references are no
// token of a subject and travel encoded.
func reference(i int, k kase) string {
	name := fmt.Sprintf("demo-%04d", i+1)
	if i%8 == 7 {
		name = fmt.Sprintf("demo №%04d", i+1)
	}
	if k.fault != "" {
		name += "-sim-" + k.fault
	}
	return name
}

// body is the purchase body, with the fields that its category asks for.
func (p *plan) body(i int, one *planned) map[string]any {
	c := categories[i%len(categories)]
	product := c.product
	if one.kase.product != "" {
		product = one.kase.product
		for _, other := range categories {
			if strings.HasPrefix(product, other.code) {
				c = other
			}
		}
	}
	one.category = c.code
	body := map[string]any{
		"merchantReference": one.reference,
		"productCode":       product,
		"amount":            json.Number(c.amount),
		"paymentMethod":     "CASH",
		"additionalInfo":    map[string]any{"till": i%4 + 1},
	}
	if i%3 == 0 {
		body["amount"] = c.amount // a decimal string is as good
	}
	if one.account != beta {
		body["channelId"] = "WEB"
	}
	switch c.code {
	case "AIR", "DAT", "MIN", "SMS", "WLT":
		body["mobileNumber"] = fmt.Sprintf("+2782%07d", i)
	case "ELE":
		body["meterNumber"] = fmt.Sprintf("%011d", 14_000_000_000+i)
	case "BIL":
		body["accountNumber"] = fmt.Sprintf("%08d", 81_000_000+i)
	}
	if one.kase.change != nil {
		one.kase.change(body)
	}
	return body
}

// repeats adds duplicates at once and later, as JetStream sees them and past it,
// and conflicts: the same reference with another payload.
func (p *plan) repeats(random *rand.Rand, bodies []map[string]any) error {
	n := len(bodies)
	some := max(1, n/20)
	for wave := range p.waves {
		for _, i := range random.Perm(n)[:min(n, some)] {
			again := p.waves[0][i]
			again.bare = true
			// Another spelling of the same value.
			again.body = json.RawMessage(" " + strings.Replace(string(again.body), ":", " : ", 1))
			p.waves[wave] = append(p.waves[wave], again)
		}
		for _, i := range random.Perm(n)[:min(n, some)] {
			p.waves[wave] = append(p.waves[wave], p.waves[0][i])
		}
		for _, i := range random.Perm(n)[:min(n, max(1, some/2))] {
			other := map[string]any{}
			for name, value := range bodies[i] {
				other[name] = value
			}
			other["note"] = fmt.Sprintf("not the same purchase, wave %d", wave)
			raw, err := json.Marshal(other)
			if err != nil {
				return fmt.Errorf("lab: encode a purchase: %w", err)
			}
			p.waves[wave] = append(p.waves[wave], ask{account: p.purchases[i].account, body: raw, bare: true, expires: p.waves[0][i].expires})
			p.dead[wave]++
		}
	}
	return nil
}

// hopeless adds messages that can have no result.
func (p *plan) hopeless() {
	large, _ := json.Marshal(map[string]string{"merchantReference": "large", "note": strings.Repeat("x", 64<<10)})
	for _, a := range []ask{
		{account: acme, body: json.RawMessage(`{"merchantReference":"torn"`)},
		{account: beta, body: json.RawMessage(`{"merchantReference":"twice","amount":1,"amount":2}`)},
		{account: acme, body: json.RawMessage(`["no object"]`)},
		{account: beta, body: json.RawMessage(`{"productCode":"AIR-VOD-001","amount":5}`)},
		{account: acme, body: json.RawMessage(`{"merchantReference":" padded "}`)},
		{account: beta, body: large},
		{account: unknownAccount, body: json.RawMessage(`{"merchantReference":"whose","amount":5}`)},
	} {
		a.bare = true
		p.waves[0] = append(p.waves[0], a)
		p.dead[0]++
	}
}

// request is the ask for a publisher.
func (a ask) request() publisher.Request {
	return publisher.Request{Account: a.account, Body: a.body, ExpiresAt: a.expires}
}

// limited are the purchases that get a 429 on order.
func (p *plan) limited() map[Key]bool {
	keys := map[Key]bool{}
	for _, one := range p.purchases {
		switch one.kase.fault {
		case "429", "429-x2":
			keys[Key{one.account, one.reference}] = true
		}
	}
	return keys
}
