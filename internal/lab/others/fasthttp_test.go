package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/vendstream/vendstream/internal/vendor"
)

// What docs/decisions/0019-http-client.md says of fasthttp. A test that fails after a
// new version takes a reason away.

// tcpVendor gives every connection, with its number from 1 on, to talk.
func tcpVendor(t *testing.T, talk func(number int, conn net.Conn, in *bufio.Reader)) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talking sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		talking.Wait()
	})
	talking.Go(func() {
		for number := 1; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talking.Go(func() {
				defer func() { _ = conn.Close() }()
				talk(number, conn, bufio.NewReader(conn))
			})
		}
	})
	return "http://" + listener.Addr().String()
}

// read reads a request and returns its body.
func read(in *bufio.Reader) (string, error) {
	request, err := http.ReadRequest(in)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(request.Body)
	return string(body), err
}

func answer(conn net.Conn, body string) {
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// unasked is a vendor that sends, on its first connection and once told to, an answer
// to nothing. closed is closed when that connection has ended.
func unasked(t *testing.T) (url string, send func(), closed chan struct{}) {
	t.Helper()
	tell, told := make(chan struct{}), make(chan struct{})
	closed = make(chan struct{})
	url = tcpVendor(t, func(number int, conn net.Conn, in *bufio.Reader) {
		if number == 1 {
			defer close(closed)
		}
		for {
			body, err := read(in)
			if err != nil {
				return
			}
			answer(conn, "answer to "+body)
			if number == 1 && body == "first" {
				<-tell
				answer(conn, "answer to first, sent again")
				close(told)
			}
		}
	})
	return url, func() { close(tell); <-told }, closed
}

// fasthttp takes what came unasked on a kept connection for the answer to the next
// call: a purchase gets another one's outcome.
func TestFastHTTPTakesAnUnaskedAnswerForTheNext(t *testing.T) {
	url, send, _ := unasked(t)
	client := newFastHTTP(1, nil)
	defer client.CloseIdleConnections()
	var got []string
	keep := func(answer []byte) error { got = append(got, string(answer)); return nil }
	if err := postFast(client, url, []byte("first"), keep); err != nil {
		t.Fatal(err)
	}
	send()
	if err := postFast(client, url, []byte("second"), keep); err != nil {
		t.Fatal(err)
	}
	if want := "answer to first|answer to first, sent again"; strings.Join(got, "|") != want {
		t.Errorf("fasthttp gives %q: the decision's reason is gone", got)
	}
}

// net/http reads connections also while they are idle, and ends one on which
// something comes unasked.
func TestNetHTTPEndsAConnectionWithAnUnaskedAnswer(t *testing.T) {
	url, send, closed := unasked(t)
	transport := vendor.NewTransport(1)
	defer transport.CloseIdleConnections()
	var got []string
	keep := func(answer []byte) error { got = append(got, string(answer)); return nil }
	if err := postNetHTTP(t.Context(), transport, url, []byte("first"), keep); err != nil {
		t.Fatal(err)
	}
	send()
	<-closed // by the client: the vendor only reads on
	if err := postNetHTTP(t.Context(), transport, url, []byte("second"), keep); err != nil {
		t.Fatal(err)
	}
	if want := "answer to first|answer to second"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
}

// fasthttp does not notice that a kept connection was closed meanwhile: the next call
// fails without a word on whether it was sent, which is an unknown outcome.
func TestFastHTTPUsesAConnectionThatWasClosed(t *testing.T) {
	closed := make(chan struct{})
	url := tcpVendor(t, func(number int, conn net.Conn, in *bufio.Reader) {
		for {
			body, err := read(in)
			if err != nil {
				return
			}
			answer(conn, "answer to "+body)
			if number == 1 {
				_ = conn.Close()
				close(closed)
				return
			}
		}
	})
	client := newFastHTTP(1, nil)
	defer client.CloseIdleConnections()
	ignore := func([]byte) error { return nil }
	if err := postFast(client, url, []byte("first"), ignore); err != nil {
		t.Fatal(err)
	}
	<-closed
	if err := postFast(client, url, []byte("second"), ignore); err == nil {
		t.Error("fasthttp made another connection: the decision's reason is gone")
	}
}

// Unless it is told not to, fasthttp makes a GET five times, and a POST once.
func TestFastHTTPRepeatsByDefault(t *testing.T) {
	var asked atomic.Int32
	url := tcpVendor(t, func(_ int, _ net.Conn, in *bufio.Reader) {
		if _, err := read(in); err == nil {
			asked.Add(1) // and hangs up
		}
	})
	for method, want := range map[string]int32{fasthttp.MethodGet: 5, fasthttp.MethodPost: 1} {
		asked.Store(0)
		request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		request.SetRequestURI(url)
		request.Header.SetMethod(method)
		if err := (&fasthttp.Client{}).Do(request, response); !errors.Is(err, fasthttp.ErrConnectionClosed) {
			t.Errorf("%s: %v", method, err)
		}
		if got := asked.Load(); got != want {
			t.Errorf("%s was sent %d times, not %d", method, got, want)
		}
	}
}

// The first failure of a crew is its end, and a context that ends is none.
func TestCrew(t *testing.T) {
	wrong := errors.New("no disk")
	if err := crew(t.Context(), 8, func(ctx context.Context) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return wrong
	}); !errors.Is(err, wrong) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := crew(ctx, 2, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }); err != nil {
		t.Error(err)
	}
}
