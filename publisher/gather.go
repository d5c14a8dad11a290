package publisher

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// Ask is one of several requests that are sent together.
type Ask struct {
	Subject string
	Body    []byte
}

// mostAsked is how many requests of one call are on their way at once. The server
// answers a connection's requests one after the other: what else goes over the
// connection, another account's purchases among it, waits behind no more than these.
const mostAsked = 16

// gatherer sends many requests and waits for all their replies: one
// subscription for all of them, and one waking for each call. The client's own
// Request takes a goroutine for each reply that is to be waited for together.
type gatherer struct {
	nc *nats.Conn

	mu     sync.Mutex
	inbox  string // "": not subscribed yet
	serial uint64
	open   map[string]*gathering
}

// gathering is what one call waits for.
type gathering struct {
	asks     []Ask
	inbox    string // of its replies, which are numbered below it
	collects bool   // one request, with replies up to one with a status

	mu      sync.Mutex
	sent    int
	replies []*nats.Msg
	left    int
	failed  error
	done    chan struct{} // closed when nothing is left, or a request could not be sent
}

// ask returns the replies in the order of the requests. An error means that not
// all of them came; what the others said is not told.
func (g *gatherer) ask(ctx context.Context, asks []Ask) ([]*nats.Msg, error) {
	if len(asks) == 0 {
		return nil, nil
	}
	w := &gathering{asks: asks, replies: make([]*nats.Msg, len(asks)), left: len(asks), done: make(chan struct{})}
	serial, err := g.begin(w)
	if err != nil {
		return nil, err
	}
	defer g.end(serial)
	w.mu.Lock()
	for range min(len(asks), mostAsked) {
		w.send(g.nc)
	}
	w.mu.Unlock()
	return w.wait(ctx)
}

// collect returns the replies to one request, of which the last has a status.
func (g *gatherer) collect(ctx context.Context, ask Ask) ([]*nats.Msg, error) {
	w := &gathering{asks: []Ask{ask}, collects: true, left: 1, done: make(chan struct{})}
	serial, err := g.begin(w)
	if err != nil {
		return nil, err
	}
	defer g.end(serial)
	w.mu.Lock()
	w.send(g.nc)
	w.mu.Unlock()
	return w.wait(ctx)
}

// wait waits for the replies.
func (w *gathering) wait(ctx context.Context) ([]*nats.Msg, error) {
	select {
	case <-w.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return nil, w.failed
	}
	for i, m := range w.replies {
		if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
			return nil, fmt.Errorf("publisher: ask %s: %w", w.asks[min(i, len(w.asks)-1)].Subject, nats.ErrNoResponders)
		}
	}
	return w.replies, nil
}

// begin makes room for replies, and the subscription with the first call. The
// client subscribes again by itself where it has to connect again.
func (g *gatherer) begin(w *gathering) (serial string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inbox == "" {
		inbox := g.nc.NewInbox() + "."
		if _, err := g.nc.Subscribe(inbox+"*.*", g.reply); err != nil {
			return "", fmt.Errorf("publisher: subscribe to replies: %w", err)
		}
		g.inbox, g.open = inbox, map[string]*gathering{}
	}
	g.serial++
	serial = strconv.FormatUint(g.serial, 36)
	w.inbox = g.inbox + serial + "."
	g.open[serial] = w
	return serial, nil
}

// send sends the next request, where there is one. It is called with the lock held.
func (w *gathering) send(nc *nats.Conn) {
	i := w.sent
	if i == len(w.asks) || w.failed != nil {
		return
	}
	w.sent++
	if err := nc.PublishRequest(w.asks[i].Subject, w.inbox+strconv.Itoa(i), w.asks[i].Body); err != nil {
		w.failed = fmt.Errorf("publisher: ask %s: %w", w.asks[i].Subject, err)
		close(w.done)
	}
}

func (g *gatherer) end(serial string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, serial)
}

// reply keeps one reply. Those that nobody waits for any more are dropped.
func (g *gatherer) reply(m *nats.Msg) {
	g.mu.Lock()
	serial, number, _ := strings.Cut(m.Subject[min(len(g.inbox), len(m.Subject)):], ".")
	w := g.open[serial]
	g.mu.Unlock()
	if w == nil {
		return
	}
	i, err := strconv.Atoi(number)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.left == 0:
		return
	case w.collects:
		w.replies = append(w.replies, m)
		if m.Header.Get("Status") == "" {
			return
		}
	case err != nil || i < 0 || i >= len(w.replies) || w.replies[i] != nil:
		return
	default:
		w.replies[i] = m
	}
	w.left--
	switch {
	case w.failed != nil:
	case w.left == 0:
		close(w.done)
	default:
		w.send(g.nc)
	}
}
