package vendor

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// mostSpent bounds all that client and server together allocate for one answer, in
// bytes: the largest limit of an answer is 8 MiB, and reading doubles its buffer.
const mostSpent = 64 << 20

// raw takes the connection of a request from its handler and lets write answer on
// it, until that returns or the client has closed the connection.
func raw(t *testing.T, w http.ResponseWriter, write func(io.Writer) error) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_ = write(connection) // it fails where the client has had enough
	_ = connection.Close()
}

// forever writes a text again and again, after a beginning.
func forever(beginning, text string) func(io.Writer) error {
	block := []byte(strings.Repeat(text, 1+32<<10/len(text)))
	return func(w io.Writer) error {
		_, err := io.WriteString(w, beginning)
		for err == nil {
			_, err = w.Write(block)
		}
		return err
	}
}

// once writes a text and waits until the client closes the connection, so that
// nothing but the text can end the reading.
func once(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, w.(net.Conn))
		return err
	}
}

// Whatever a vendor writes on its connection, as much of it as it likes, costs
// bounded memory, is read once, and proves nothing.
func TestHostileWire(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	chunked := fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", ok, len(completedBody), completedBody)
	for name, write := range map[string]func(io.Writer) error{
		"status line without an end":     forever("HTTP/1.1 200 ", "x"),
		"header without an end":          forever(ok+"X: ", "x"),
		"header name without an end":     forever(ok, "x"),
		"headers without an end":         forever(ok, "X-Some-Header: value\r\n"),
		"empty headers without an end":   forever(ok, "a:\r\n"),
		"continued header without end":   forever(ok+"X: y\r\n", " y\r\n"),
		"early hints without an end":     forever("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
		"100 without an end":             forever("", "HTTP/1.1 100 Continue\r\n\r\n"),
		"early hints with large headers": forever("", "HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 30<<10)+"\r\n\r\n"),
		"unasked switch of protocols":    forever("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "x"),
		"body without an end":            forever(ok+"\r\n", "x"),
		"white space without an end":     forever(ok+"\r\n"+completedBody, " "),
		"chunks without an end":          forever(ok+"Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"),
		"chunk size without an end":      forever(ok+"Transfer-Encoding: chunked\r\n\r\n", "0"),
		"chunk extension without an end": forever(ok+"Transfer-Encoding: chunked\r\n\r\n1;", "x"),
		"chunk of any size":              forever(ok+"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", "x"),
		"trailers without an end":        forever(chunked+"0\r\n", "X-Some-Trailer: value\r\n"),
		"trailer without an end":         forever(chunked+"0\r\nX: ", "x"),
		"length of any size":             forever(ok+"Content-Length: 9223372036854775807\r\n\r\n", "x"),
		"length below zero":              once(ok + "Content-Length: -1\r\n\r\n" + completedBody),
		"length that is none":            once(ok + "Content-Length: 0x10\r\n\r\n" + completedBody),
		"two lengths":                    once(ok + fmt.Sprintf("Content-Length: 2\r\nContent-Length: %d\r\n\r\n%s", len(completedBody), completedBody)),
		"length that is too small":       once(ok + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(completedBody)-1, completedBody)),
		"encoding that nobody asked for": once(ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			server := newSockets(t, func(w http.ResponseWriter, _ *http.Request) { raw(t, w, write) })
			c := server.client(t, long)
			if spent := spentBy(func() { buy(t, c, purchase.Unknown) }); spent > mostSpent {
				t.Errorf("%d MiB for one purchase", spent>>20)
			}
			if n := server.calls.Load(); n != 1 {
				t.Errorf("the purchase was sent %d times", n)
			}
		})
	}
	// What is odd and still whole is taken.
	for name, text := range map[string]string{
		"trailers": chunked + "0\r\nX-Some-Trailer: value\r\n\r\n",
		"a hint":   "HTTP/1.1 103 Early Hints\r\n\r\n" + chunked + "0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			server := newSockets(t, func(w http.ResponseWriter, _ *http.Request) { raw(t, w, once(text)) })
			c := server.client(t, long)
			buy(t, c, purchase.Completed)
			c.owned.CloseIdleConnections() // once waits for it
		})
	}
}

// spentBy is how many bytes are allocated while f runs.
func spentBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A few hundred kilobytes of gzip that stand for half a gigabyte: this client asks
// for no compression and undoes none. A transport of the caller's that does is held
// to the limit of what comes out.
func TestCompressedAnswers(t *testing.T) {
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	if _, err := z.Write(bytes.Repeat([]byte(" "), 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	const members = 60
	if member.Len()*members > maxPurchaseAnswer {
		t.Fatalf("%d bytes are refused for their size alone", member.Len()*members)
	}
	bomb := bytes.Repeat(member.Bytes(), members)
	for name, transport := range map[string]http.RoundTripper{
		"our transport":          nil,
		"one that asks for gzip": &http.Transport{},
	} {
		t.Run(name, func(t *testing.T) {
			server := newSockets(t, func(w http.ResponseWriter, r *http.Request) {
				if asked := r.Header.Get("Accept-Encoding"); (asked != "") != (transport != nil) {
					t.Errorf("Accept-Encoding %q", asked)
				}
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(bomb)
			})
			if own, ok := transport.(*http.Transport); ok {
				defer own.CloseIdleConnections()
			}
			c := newClient(t, Config{BaseURL: server.URL, Timeout: long, Transport: transport})
			if err := c.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if spent := spentBy(func() { buy(t, c, purchase.Unknown) }); spent > mostSpent {
				t.Errorf("%d MiB", spent>>20)
			}
		})
	}
}

// The time-out is for the entire answer: one that comes a byte at a time, without
// an end, does not hold a purchase.
func TestTricklingAnswers(t *testing.T) {
	for name, beginning := range map[string]string{
		"status line": "HTTP/1.1 200 ",
		"header":      "HTTP/1.1 200 OK\r\nX: ",
		"body":        "HTTP/1.1 200 OK\r\n\r\n",
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
		"chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
		"hints":       "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 ",
	} {
		t.Run(name, func(t *testing.T) {
			server := newSockets(t, func(w http.ResponseWriter, _ *http.Request) {
				raw(t, w, func(w io.Writer) error {
					_, err := io.WriteString(w, beginning)
					tick := time.NewTicker(5 * time.Millisecond)
					defer tick.Stop()
					for err == nil {
						<-tick.C
						_, err = io.WriteString(w, "1")
					}
					return err
				})
			})
			c := server.client(t, 300*time.Millisecond)
			if err := c.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := buy(t, c, purchase.Unknown); !errors.Is(got.Cause, context.DeadlineExceeded) {
				t.Errorf("cause %v", got.Cause)
			}
			if n := server.calls.Load(); n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

// A redirect to another host takes neither the purchase nor the token nor the
// password there, whichever call meets it.
func TestRedirectToAnotherHost(t *testing.T) {
	var visits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		away := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL+r.URL.Path, status) }
		server := newSockets(t, away)
		c := newClient(t, Config{BaseURL: server.URL, Timeout: long, MerchantID: "1"})
		buy(t, c, purchase.Unknown)
		if got := c.Transaction(t.Context(), "T1", ref); got.Kind != purchase.Unknown {
			t.Errorf("%d: %+v", status, got)
		}
		if got, _ := c.Lookup(t.Context(), purchase.LookupElectricity, []byte(`{}`)); got.Kind != purchase.Unknown {
			t.Errorf("%d: %+v", status, got)
		}
		if _, err := c.Products(t.Context()); err == nil {
			t.Errorf("%d: products", status)
		}
		if n := server.calls.Load(); n != 4 {
			t.Errorf("%d: 4 calls were sent %d times", status, n)
		}
		login := httptest.NewServer(http.HandlerFunc(away))
		if err := newClient(t, Config{BaseURL: login.URL, Timeout: long}).Check(t.Context()); err == nil {
			t.Errorf("%d: a login", status)
		}
		login.Close()
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d calls went to another host", n)
	}
}
