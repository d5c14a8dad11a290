package publisher_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// proxy stands between a client and the server and can lose an answer: it cuts
// the connection in the place of the next data from the server that hold a text.
type proxy struct {
	listener net.Listener
	server   string
	lose     atomic.Pointer[string]
	lost     atomic.Int32
	open     sync.WaitGroup
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: strings.TrimPrefix(server, "nats://")}
	p.open.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.open.Wait()
	})
	return p
}

func (p *proxy) connect(t *testing.T) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("nats://"+p.listener.Addr().String(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// loseNext cuts the connection once, where text comes from the server.
func (p *proxy) loseNext(text string) { p.lose.Store(&text) }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		closeBoth := func() { _, _ = client.Close(), server.Close() }
		p.open.Go(func() { defer closeBoth(); _, _ = io.Copy(server, client) })
		p.open.Go(func() { defer closeBoth(); p.answers(client, server) })
	}
}

func (p *proxy) answers(client io.Writer, server io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		if text := p.lose.Load(); text != nil && bytes.Contains(buffer[:n], []byte(*text)) {
			p.lose.Store(nil)
			p.lost.Add(1)
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
