package worker

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// A nats-server goes through all open messages of a consumer whenever one of them is
// due, and puts that off while retries keep coming in (checkPending and processNak in
// its consumer.go): with many of them it does nothing else, and what is due comes
// late. So retries that are not to come soon are sent together, and become due
// together: the server then looks once for each bundle and not once for each message.

// pace is how retries of a length are bundled.
type pace struct {
	from  time.Duration // the shortest retry that it is for
	every time.Duration // bundles are sent, and become due, at multiples of it
}

var paces = []pace{{2 * time.Minute, 5 * time.Second}, {20 * time.Second, time.Second}, {2 * time.Second, 250 * time.Millisecond}}

// bundles holds the retries that are to be sent.
type bundles struct {
	retry   func([]retrying)
	longest time.Duration // that a retry may be held: its delivery must not run out

	sending chan struct{} // holds one while a bundle is sent; a stop waits for it

	mu   sync.Mutex
	held map[pace][]retrying
}

// retrying is a delivery that is to come again.
type retrying struct {
	delivery *Delivery
	held     time.Time // since when
	due      time.Time
}

// add holds a retry, and reports false where it is to be sent by itself.
func (b *bundles) add(d *Delivery, after time.Duration) bool {
	for _, p := range paces {
		if after < p.from || p.every > b.longest {
			continue
		}
		now := time.Now()
		b.mu.Lock()
		defer b.mu.Unlock()
		first := len(b.held[p]) == 0
		b.held[p] = append(b.held[p], retrying{d, now, now.Add(after + untilMultiple(now.Add(after), p.every))})
		if first {
			// Halfway between two times at which something is due.
			time.AfterFunc(untilMultiple(now.Add(p.every/2), p.every), func() { b.send(p) })
		}
		return true
	}
	return false
}

// untilMultiple is how long after t the next multiple of d is, 0 where t is one.
func untilMultiple(t time.Time, d time.Duration) time.Duration {
	return (d - time.Duration(t.UnixNano())%d) % d
}

func (b *bundles) send(p pace) {
	b.sending <- struct{}{}
	defer func() { <-b.sending }()
	b.mu.Lock()
	held := b.held[p]
	delete(b.held, p)
	b.mu.Unlock()
	if len(held) > 0 {
		b.retry(held)
	}
}

// sendAll sends what is held. What is added later is sent when its time comes.
func (b *bundles) sendAll() {
	for _, p := range paces {
		b.send(p)
	}
}

// retryAll sends the retries of a bundle.
func (p *Pool) retryAll(held []retrying) {
	ctx, cancel := context.WithTimeout(context.Background(), ackTimeout)
	defer cancel()
	var first error
	failed := 0
	for _, r := range held {
		// The process stood still, and the message may be another's by now: a retry is
		// not fenced, and would take it from there.
		if time.Since(r.held) > 2*p.config.KeepAlive {
			continue
		}
		if err := r.delivery.Acker.Retry(ctx, max(0, time.Until(r.due))); err != nil {
			failed++
			first = cmp.Or(first, err)
		}
	}
	if failed > 0 {
		p.config.Report(fmt.Errorf("worker: end %d of %d deliveries: %w", failed, len(held), first))
	}
}
