package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// weather is what a proxy does to what passes. The zero value lets all pass.
type weather struct {
	// cut is the chance, for each piece of a request or an answer, that half of it
	// passes and the connection is reset.
	cut float64
	// delay, and up to jitter more, is added to each piece.
	delay, jitter time.Duration
}

// proxy passes a server's connections on, so that they can be cut and slowed in
// the middle of requests and answers.
type proxy struct {
	listener net.Listener
	target   string
	weather  atomic.Pointer[weather]
	cuts     atomic.Int64
	running  sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	links  map[*link]struct{}
	closed bool
}

// link is one connection, in both halves.
type link struct {
	client, server net.Conn
	once           sync.Once
	done           chan struct{}
}

// reset ends both halves at once; data that was not sent is dropped.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.done)
		for _, half := range []net.Conn{l.client, l.server} {
			if tcp, ok := half.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // it then ends with RST; without, it only ends less rudely
			}
			_ = half.Close()
		}
	})
}

// newProxy listens on a port of loopback and passes connections on to target.
func newProxy(port int, target string, seed uint64) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", loopback(port))
	if err != nil {
		return nil, fmt.Errorf("chaos: listen for %s: %w", target, err)
	}
	p := &proxy{
		listener: listener, target: target,
		random: rand.New(rand.NewPCG(seed, uint64(port))),
		links:  map[*link]struct{}{},
	}
	p.weather.Store(&weather{})
	p.running.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	server, err := dialer.Dial("tcp", p.target)
	if err != nil {
		l := &link{client: client, server: client, done: make(chan struct{})}
		l.reset() // as a port that nobody listens on
		return
	}
	l := &link{client: client, server: server, done: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		l.reset()
		return
	}
	p.links[l] = struct{}{}
	p.mu.Unlock()
	var halves sync.WaitGroup
	halves.Go(func() { p.pass(l, client, server) })
	halves.Go(func() { p.pass(l, server, client) })
	halves.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// pass copies one direction, piece by piece.
func (p *proxy) pass(l *link, from, to net.Conn) {
	defer l.reset()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.piece(l, to, buffer[:n]) {
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) piece(l *link, to net.Conn, data []byte) bool {
	w := p.weather.Load()
	if w.cut > 0 || w.delay > 0 {
		p.mu.Lock()
		chance, extra := p.random.Float64(), time.Duration(p.random.Float64()*float64(w.jitter))
		p.mu.Unlock()
		if w.delay > 0 {
			timer := time.NewTimer(w.delay + extra)
			select {
			case <-timer.C:
			case <-l.done:
				timer.Stop()
				return false
			}
		}
		if chance < w.cut {
			_, _ = to.Write(data[:len(data)/2]) // cut off either way
			p.cuts.Add(1)
			return false
		}
	}
	_, err := to.Write(data)
	return err == nil
}

// set changes the weather, also for connections that are open.
func (p *proxy) set(w weather) { p.weather.Store(&w) }

// cutAll resets every connection.
func (p *proxy) cutAll() int {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	for _, l := range links {
		l.reset()
	}
	p.cuts.Add(int64(len(links)))
	return len(links)
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.cutAll()
	p.running.Wait()
}
