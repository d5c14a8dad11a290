package simulation

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/publisher"
)

// submissions is how many requests a history has.
const submissions = 16

// submission is one request, as it is submitted.
type submission struct {
	reference, body string
	after           time.Duration // since the one before
	expires         time.Duration // from then on; 0: never
	lookup          bool
	low             bool
	raw             bool // without the publisher, and so without a message id
}

// plan is what will be asked for: repeats, and references used twice, among it.
func plan(f *fate) []submission {
	all := make([]submission, submissions)
	for i := range all {
		d := newDice(f.seed, "submission", fmt.Sprint(i))
		s := submission{after: d.upTo(10 * time.Second), raw: d.percent(30)}
		if d.percent(15) {
			s.after = d.upTo(4 * time.Minute) // a late repeat
		}
		if d.percent(3) {
			s.body, s.raw = broken[d.intn(len(broken))].body, true
			all[i] = s
			continue
		}
		n := d.intn(submissions / 2)
		s.reference = []string{"ref-%d", "ref.%d"}[n%2]
		s.reference = fmt.Sprintf(s.reference, n)
		row := payloads[newDice(f.seed, "payload", s.reference).intn(len(payloads))]
		if f.weather.reused && d.percent(25) {
			row = payloads[d.intn(len(payloads))]
		}
		s.body = fmt.Sprintf(row[d.intn(len(row))], s.reference)
		if f.weather.expiry && d.percent(60) {
			s.expires = d.upTo(2 * time.Minute)
		}
		s.low = f.weather.low && d.percent(50)
		s.lookup = f.weather.lookups && d.percent(60)
		all[i] = s
	}
	return all
}

// submit publishes what was planned, and tries again under the same reference
// where it is not known whether a request was stored.
func (w *world) submit(ctx context.Context) {
	var p *publisher.Publisher
	var process *process
	for _, s := range plan(w.fate) {
		time.Sleep(s.after)
		if s.reference != "" {
			w.ask(s)
		}
		for try := 0; ; try++ {
			if process == nil || process.isDead() {
				_, die := context.WithCancel(ctx)
				process = w.process("upstream", die)
				defer die()
				defer process.kill("ended")
				nc, err := (&link{process: process, streams: w.streams}).connect()
				if err != nil {
					time.Sleep(tryAgain)
					continue
				}
				if p, err = publisher.New(nc); err != nil {
					panic(err)
				}
			}
			if w.submitOne(ctx, p, s) || try > 3 && !w.fate.isCalm() {
				break
			}
			time.Sleep(tryAgain) // or a full stream would be full for ever: no time would pass
		}
	}
}

// tryAgain is the time before a submission that was refused is tried again.
const tryAgain = 100 * time.Millisecond

// ask notes that a purchase was asked for, whether or not it will be known to be stored.
func (w *world) ask(s submission) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked[s.reference] == nil {
		w.asked[s.reference] = map[string]bool{}
	}
	w.asked[s.reference][value([]byte(s.body))] = true
}

// submitOne reports whether there is an end of it: acknowledged or not to be had.
func (w *world) submitOne(ctx context.Context, p *publisher.Publisher, s submission) bool {
	r := publisher.Request{Account: "acme", Body: []byte(s.body), Lookup: s.lookup}
	if s.expires > 0 {
		r.ExpiresAt = time.Now().Add(s.expires)
	}
	if s.low {
		r.Priority = publisher.PriorityLow
	}
	if s.raw {
		h := nats.Header{}
		if s.low {
			h[publisher.HeaderPriority] = []string{"low"}
		}
		if s.expires > 0 {
			h[publisher.HeaderExpiresAt] = []string{r.ExpiresAt.UTC().Format(time.RFC3339Nano)}
		}
		if s.lookup {
			h[publisher.HeaderLookup] = []string{"true"}
		}
		_, _, refused := w.streams.requests.publish(subjects.Requests("acme"), h, r.Body)
		return refused == nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err := p.Submit(ctx, r)
	if err != nil {
		w.fate.note("upstream", "not acknowledged", s.reference, "")
		return false
	}
	w.fate.note("upstream", "acknowledged", s.reference, "")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked = append(w.acked, asked{s.reference, value([]byte(s.body))})
	return true
}
