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

// gatherer sends many requests at once and waits for all their replies: one
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
	mu      sync.Mutex
	replies []*nats.Msg
	left    int
	done    chan struct{}
}

// ask returns the replies in the order of the requests. An error means that not
// all of them came; what the others said is not told.
func (g *gatherer) ask(ctx context.Context, asks []Ask) ([]*nats.Msg, error) {
	if len(asks) == 0 {
		return nil, nil
	}
	w := &gathering{replies: make([]*nats.Msg, len(asks)), left: len(asks), done: make(chan struct{})}
	inbox, serial, err := g.begin(w)
	if err != nil {
		return nil, err
	}
	defer g.end(serial)
	for i, a := range asks {
		if err := g.nc.PublishRequest(a.Subject, inbox+serial+"."+strconv.Itoa(i), a.Body); err != nil {
			return nil, fmt.Errorf("publisher: ask %s: %w", a.Subject, err)
		}
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for i, m := range w.replies {
		if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
			return nil, fmt.Errorf("publisher: ask %s: %w", asks[i].Subject, nats.ErrNoResponders)
		}
	}
	return w.replies, nil
}

// begin makes room for replies, and the subscription with the first call. The
// client subscribes again by itself where it has to connect again.
func (g *gatherer) begin(w *gathering) (inbox, serial string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inbox == "" {
		inbox := g.nc.NewInbox() + "."
		if _, err := g.nc.Subscribe(inbox+"*.*", g.reply); err != nil {
			return "", "", fmt.Errorf("publisher: subscribe to replies: %w", err)
		}
		g.inbox, g.open = inbox, map[string]*gathering{}
	}
	g.serial++
	serial = strconv.FormatUint(g.serial, 36)
	g.open[serial] = w
	return g.inbox, serial, nil
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
	if err != nil || i < 0 || i >= len(w.replies) || w.replies[i] != nil {
		return
	}
	w.replies[i] = m
	if w.left--; w.left == 0 {
		close(w.done)
	}
}
