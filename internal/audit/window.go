package audit

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

const (
	// windowSize is how many results are remembered until their request comes by,
	// and how many requests that were looked up until their result does.
	windowSize = 1 << 16
	// stride is how many results are read for each request at most, before single
	// look-ups take over.
	stride = 4
)

// key names a purchase in the window: two hashes of account and reference, which
// with a chance of one in 10^27 for a million purchases name another too. A
// result is taken for a request's only where the digest is the same as well.
type key [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func keyOf(account, reference string) key {
	text := account + "/" + reference
	return key{maphash.String(seeds[0], text), maphash.String(seeds[1], text)}
}

// passing is a result as it passes by.
type passing struct {
	key         key
	account     string
	reference   string
	digest      uint64 // hash of it
	requestedAt time.Time
	used        bool
}

// window reads the results stream beside the requests stream, both in order, and
// remembers a bounded part of it. What it has not seen proves nothing.
type window struct {
	next <-chan passing
	err  func() error
	stop func()

	seen   map[key]*passing
	order  ring[*passing]
	looked map[key]struct{} // requests that were settled by a look-up: their result may come by yet
	queue  ring[key]
	orphan func(passing) // told of results that go without a request having come
	done   bool          // all results have passed by
	lost   bool          // and some were forgotten before a request took them
}

// newWindow begins to read the results of these subjects that were stored at or
// after since.
func (c Config) newWindow(ctx context.Context, subjects []string, since time.Time, orphan func(passing)) *window {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan passing, 1024)
	var err error
	go func() {
		defer close(out)
		err = c.Streams.Read(ctx, broker.Reading{Stream: c.Subjects.ResultsStream(), Subjects: subjects, Since: since},
			func(d *worker.Delivery) error {
				var r struct {
					MerchantReference string          `json:"merchantReference"`
					RequestDigest     purchase.Digest `json:"requestDigest"`
					RequestedAt       time.Time       `json:"requestedAt"`
				}
				if json.Unmarshal(d.Body, &r) != nil {
					return nil // whoever looks for it will find it unreadable
				}
				account := c.Subjects.AccountOf(d.Subject)
				p := passing{
					key: keyOf(account, r.MerchantReference), account: account, reference: r.MerchantReference,
					digest: digestHash(r.RequestDigest), requestedAt: r.RequestedAt,
				}
				if d.Subject != c.Subjects.Result(account, r.MerchantReference) {
					return nil // likewise
				}
				select {
				case out <- p:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
	}()
	return &window{
		next: out,
		err:  func() error { return err },
		stop: func() {
			cancel()
			for range out {
			}
		},
		seen: map[key]*passing{}, looked: map[key]struct{}{}, orphan: orphan,
	}
}

func digestHash(d purchase.Digest) uint64 { return maphash.String(seeds[0], string(d)) }

// take tells for each request whether its result has passed by. It reads on for
// as long as some have not, as far as the stride allows.
func (w *window) take(requests []Request) ([]bool, error) {
	found := make([]bool, len(requests))
	wanted := map[key][]int{}
	for i, r := range requests {
		if r.Reason != "" {
			continue
		}
		k := keyOf(r.Account, r.Reference)
		if p := w.seen[k]; p != nil {
			p.used = true
			found[i] = p.digest == digestHash(r.Digest)
			continue
		}
		wanted[k] = append(wanted[k], i)
	}
	for read := 0; len(wanted) > 0 && !w.done && read < stride*len(requests); read++ {
		p, more := <-w.next
		if !more {
			w.done = true
			return found, w.err()
		}
		if at := wanted[p.key]; at != nil {
			p.used = true
			for _, i := range at {
				found[i] = p.digest == digestHash(requests[i].Digest)
			}
			delete(wanted, p.key)
		} else if _, looked := w.looked[p.key]; looked {
			p.used = true
			delete(w.looked, p.key)
		}
		w.remember(&p)
	}
	return found, nil
}

func (w *window) remember(p *passing) {
	w.seen[p.key] = p
	if old, full := w.order.push(p); full {
		w.forget(old)
	}
}

func (w *window) forget(p *passing) {
	if w.seen[p.key] == p {
		delete(w.seen, p.key)
	}
	if !p.used {
		w.lost = true
		w.orphan(*p)
	}
}

// settledByLookup notes a request whose result has yet to pass by.
func (w *window) settledByLookup(r Request) {
	if w.done {
		return
	}
	k := keyOf(r.Account, r.Reference)
	w.looked[k] = struct{}{}
	if old, full := w.queue.push(k); full {
		delete(w.looked, old)
	}
}

// close reads what is left of the results and tells of those without a request.
func (w *window) close() error {
	for !w.done {
		p, more := <-w.next
		if !more {
			w.done = true
			break
		}
		if _, looked := w.looked[p.key]; looked {
			continue
		}
		w.remember(&p)
	}
	for _, p := range w.order.all() {
		w.forget(p)
	}
	return w.err()
}

// ring is a queue of windowSize: what is pushed beyond pushes out the oldest.
type ring[T any] struct {
	items []T
	at    int
}

func (r *ring[T]) push(v T) (old T, full bool) {
	if len(r.items) < windowSize {
		r.items = append(r.items, v)
		return old, false
	}
	old, r.items[r.at] = r.items[r.at], v
	r.at = (r.at + 1) % windowSize
	return old, true
}

func (r *ring[T]) all() []T { return append(append([]T{}, r.items[r.at:]...), r.items[:r.at]...) }
