package chaos

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// say sends text through the proxy on a connection of its own and reads as much.
func say(t *testing.T, p *proxy, text string) ([]byte, error) {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return nil, err
	}
	answer := make([]byte, len(text))
	n, err := io.ReadFull(conn, answer)
	return answer[:n], err
}

func TestProxy(t *testing.T) {
	p, err := newProxy(0, echo(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if answer, err := say(t, p, "fair weather"); err != nil || string(answer) != "fair weather" {
		t.Errorf("%q, %v", answer, err)
	}
	p.set(weather{delay: 50 * time.Millisecond})
	start := time.Now()
	if answer, err := say(t, p, "slow"); err != nil || string(answer) != "slow" || time.Since(start) < 100*time.Millisecond {
		t.Errorf("%q, %v, after %s", answer, err, time.Since(start))
	}
	p.set(weather{cut: 1})
	// Half of the request may reach the server, and half of what it says to that the client.
	if answer, err := say(t, p, "cut off"); err == nil || len(answer) > len("cut off")/2 || p.cuts.Load() == 0 {
		t.Errorf("%q, %v, %d cuts", answer, err, p.cuts.Load())
	}
	p.set(weather{})
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	if _, err := io.ReadFull(conn, one); err != nil || !bytes.Equal(one, []byte("x")) {
		t.Fatal(err)
	}
	// The connections before it are at their end; the proxy learns of it a little later.
	open := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.links)
	}
	for deadline := time.Now().Add(20 * time.Second); open() > 1 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if n := p.cutAll(); n != 1 {
		t.Errorf("%d connections were cut", n)
	}
	if _, err := conn.Read(one); err == nil {
		t.Error("the connection is open")
	}
}

// A server that is away looks like one.
func TestProxyWithoutServer(t *testing.T) {
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProxy(0, loopback(ports[0]), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if answer, err := say(t, p, "anybody?"); err == nil {
		t.Errorf("%q", answer)
	}
}
