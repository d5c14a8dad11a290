package vendor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// sockets is a vendor on a real socket: it gives tokens on connections that it
// closes, and leaves all else to handle.
type sockets struct {
	*httptest.Server
	calls atomic.Int32 // of handle
}

func newSockets(t *testing.T, handle http.HandlerFunc) *sockets {
	t.Helper()
	s := &sockets{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == tokenPath {
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, grantBody(secretToken, "refresh-secret"))
			return
		}
		s.calls.Add(1)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("the request did not arrive whole: %v", err)
		}
		handle(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *sockets) client(t *testing.T, timeout time.Duration) *Client {
	t.Helper()
	return newClient(t, Config{BaseURL: s.URL, Timeout: timeout, MaxInFlight: 2})
}

// cut ends the connection under a handler, with a reset, after having written raw.
func cut(t *testing.T, w http.ResponseWriter, raw string) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	if raw != "" {
		if _, err := io.WriteString(connection, raw); err != nil {
			t.Error(err)
		}
	} else if err := connection.(*net.TCPConn).SetLinger(0); err != nil {
		t.Error(err)
	}
	if err := connection.Close(); err != nil {
		t.Error(err)
	}
}

const long = 10 * time.Second // never waited for

func TestOverSockets(t *testing.T) {
	const pin = "PIN-9876"
	whole := fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(completedBody), completedBody)
	for name, c := range map[string]struct {
		raw  string // what is written before the connection is cut; empty: reset
		want purchase.OutcomeKind
		err  error
	}{
		"whole":                    {"HTTP/1.1 200 OK\r\n" + whole, purchase.Completed, nil},
		"reset after the request":  {"", purchase.Unknown, errNoAnswer},
		"half a status line":       {"HTTP/1.1 2", purchase.Unknown, errNoAnswer},
		"half the headers":         {"HTTP/1.1 200 OK\r\nContent-Le", purchase.Unknown, errNoAnswer},
		"headers alone":            {"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n", purchase.Unknown, errNoAnswer},
		"half the body":            {"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + completedBody, purchase.Unknown, errNoAnswer},
		"half the chunks":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":", purchase.Unknown, errNoAnswer},
		"half the JSON, no length": {"HTTP/1.0 200 OK\r\n\r\n" + completedBody[:20], purchase.Unknown, errNotJSON},
		"empty":                    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", purchase.Unknown, errEmpty},
		"no HTTP at all":           {pin + " " + pin + "\r\n\r\n", purchase.Unknown, errNoAnswer},
		"a header that is none":    {"HTTP/1.1 200 OK\r\n" + pin + "\r\n\r\n", purchase.Unknown, errNoAnswer},
		"too many headers":         {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxResponseHeader) + "\r\n" + whole, purchase.Unknown, errNoAnswer},
		"a 202 that breaks off":    {"HTTP/1.1 202 Accepted\r\nContent-Length: 900\r\n\r\n{", purchase.InFlight, nil},
		"a 403 that breaks off":    {"HTTP/1.1 403 Forbidden\r\nContent-Length: 900\r\n\r\n{", purchase.Forbidden, statusError(403)},
		"a 429 that breaks off":    {"HTTP/1.1 429 Too Many\r\nContent-Length: 900\r\n\r\n{", purchase.Limited, statusError(429)},
		"a 500 that breaks off":    {"HTTP/1.1 500 Error\r\nContent-Length: 900\r\n\r\n{", purchase.Unknown, statusError(500)},
		"too large":                {"HTTP/1.1 200 OK\r\n\r\n" + completedBody + strings.Repeat(" ", maxPurchaseAnswer), purchase.Unknown, errTooLarge},
		"as large as allowed":      {"HTTP/1.1 200 OK\r\n\r\n" + completedBody + strings.Repeat(" ", maxPurchaseAnswer-len(completedBody)), purchase.Completed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server := newSockets(t, func(w http.ResponseWriter, _ *http.Request) { cut(t, w, c.raw) })
			got := buy(t, server.client(t, long), c.want)
			if !errors.Is(got.Cause, c.err) {
				t.Errorf("cause %v, want %v", got.Cause, c.err)
			}
			if n := server.calls.Load(); n != 1 {
				t.Errorf("the purchase was sent %d times", n)
			}
			if got.Cause != nil && (strings.Contains(got.Cause.Error(), pin) || strings.Contains(got.Cause.Error(), "secret")) {
				t.Errorf("the cause tells too much: %v", got.Cause)
			}
		})
	}
}

func TestTimeoutAfterSendingIsUnknown(t *testing.T) {
	release := make(chan struct{})
	server := newSockets(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	c := server.client(t, 200*time.Millisecond)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := buy(t, c, purchase.Unknown); !errors.Is(got.Cause, context.DeadlineExceeded) {
		t.Errorf("cause %v", got.Cause)
	}
	if n := server.calls.Load(); n != 1 {
		t.Errorf("sent %d times", n)
	}
}

func TestCallerThatGivesUpAfterSendingLeavesItUnknown(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	server := newSockets(t, func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	got := server.client(t, long).Purchase(ctx, ref, []byte(`{}`))
	if got.Kind != purchase.Unknown || !errors.Is(got.Cause, context.Canceled) {
		t.Errorf("%+v", got)
	}
}

func TestClosedPortIsUnreachable(t *testing.T) {
	server := newSockets(t, func(http.ResponseWriter, *http.Request) {})
	c := server.client(t, long)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if got := buy(t, c, purchase.Unreachable); !errors.Is(got.Cause, errNotConnected) || !errors.Is(got.Cause, syscall.ECONNREFUSED) {
		t.Errorf("cause %v", got.Cause)
	}
	// The same where it is the login that finds nobody.
	buy(t, newClient(t, Config{BaseURL: server.URL}), purchase.Unreachable)
}

func TestFailedHandshakeIsUnreachable(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	c := newClient(t, Config{BaseURL: server.URL})
	if got := buy(t, c, purchase.Unreachable); !errors.Is(got.Cause, errNotConnected) || !strings.Contains(got.Cause.Error(), "certificate") {
		t.Errorf("cause %v", got.Cause)
	}
}

func TestNoConnectionToBeHadIsUnreachable(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 4)
	server := newSockets(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = io.WriteString(w, completedBody)
	})
	c := server.client(t, long)
	var wg sync.WaitGroup
	for range 4 { // twice MaxInFlight: as many connections as there may be
		wg.Go(func() { buy(t, c, purchase.Completed) })
	}
	for range 4 {
		<-arrived
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := c.Purchase(ctx, ref, []byte(`{}`)); got.Kind != purchase.Unreachable || !errors.Is(got.Cause, context.DeadlineExceeded) {
		t.Errorf("%+v", got)
	}
	close(release)
	wg.Wait()
	if n := server.calls.Load(); n != 4 {
		t.Errorf("%d purchases were sent, want 4", n)
	}
}

func TestCancelledBeforehandIsUnreachable(t *testing.T) {
	server := newSockets(t, func(http.ResponseWriter, *http.Request) {})
	c := server.client(t, long)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.Purchase(ctx, ref, nil); got.Kind != purchase.Unreachable || !errors.Is(got.Cause, context.Canceled) {
		t.Errorf("%+v", got)
	}
	if server.calls.Load() != 0 {
		t.Error("sent")
	}
}

// A connection that is kept alive and then dies under the second purchase, after
// that was read: net/http must not send it again by itself.
func TestPurchaseIsNotReplayedOnADeadConnection(t *testing.T) {
	var first atomic.Bool
	server := newSockets(t, func(w http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			_, _ = io.WriteString(w, completedBody)
			return
		}
		cut(t, w, "")
	})
	c := server.client(t, long)
	buy(t, c, purchase.Completed)
	buy(t, c, purchase.Unknown)
	if n := server.calls.Load(); n != 2 {
		t.Errorf("2 purchases were sent %d times", n)
	}
}

// A connection that the vendor closed while it was idle is no hindrance.
func TestIdleConnectionsThatWereClosed(t *testing.T) {
	server := newSockets(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, completedBody) })
	c := server.client(t, long)
	const rounds = 20
	for range rounds {
		server.CloseClientConnections()
		got := c.Purchase(t.Context(), ref, []byte(`{}`))
		// The purchase may have been written while the connection was being closed;
		// then nothing is proven, and nothing was sent a second time either.
		if got.Kind != purchase.Completed && got.Kind != purchase.Unknown {
			t.Errorf("%+v", got)
		}
	}
	if n := server.calls.Load(); n > rounds {
		t.Errorf("%d purchases were sent %d times", rounds, n)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := newSockets(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere?token=secret", status)
		})
		if got := buy(t, server.client(t, long), purchase.Unknown); !errors.Is(got.Cause, statusError(status)) {
			t.Errorf("%d: cause %v", status, got.Cause)
		}
		if n := server.calls.Load(); n != 1 {
			t.Errorf("%d: %d calls", status, n)
		}
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var seen sync.Map
	server := newSockets(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.RemoteAddr, true)
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("Accept-Encoding %q", got)
		}
		w.WriteHeader(503)
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000)) // drained
	})
	c := server.client(t, long)
	for range 10 {
		buy(t, c, purchase.Unknown)
	}
	n := 0
	seen.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("10 purchases one after another took %d connections", n)
	}
}

func TestTransactionErrorsDoNotShowTheQuery(t *testing.T) {
	const phone = "+27821234567"
	server := newSockets(t, func(w http.ResponseWriter, _ *http.Request) { cut(t, w, "") })
	c := server.client(t, long)
	got := c.Transaction(t.Context(), "", phone)
	if got.Kind != purchase.Unknown || strings.Contains(got.Cause.Error(), "27821234567") || strings.Contains(got.Cause.Error(), "http://") {
		t.Errorf("%+v", got)
	}
	server.Close()
	if got := c.Transaction(t.Context(), "", phone); got.Kind != purchase.Unreachable || strings.Contains(got.Cause.Error(), "27821234567") {
		t.Errorf("%+v", got)
	}
}

func TestTransactionsMayBeLargerThanAPurchase(t *testing.T) {
	item := `{"status":{"code":0},"transactionId":"T1"}`
	for size, want := range map[int]purchase.OutcomeKind{
		2 * maxPurchaseAnswer: purchase.Completed, maxTransactionsAnswer: purchase.Completed, maxTransactionsAnswer + 1: purchase.Unknown,
	} {
		server := newSockets(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "["+strings.Repeat(" ", size-len(item)-2)+item+"]")
		})
		if got := server.client(t, long).Transaction(t.Context(), "T1", ref); got.Kind != want {
			t.Errorf("%d bytes: %+v, want %s", size, got, want)
		}
	}
}

// bare is a RoundTripper that calls no hooks.
type bare struct{ error }

func (b bare) RoundTrip(r *http.Request) (*http.Response, error) { return nil, b.error }

func TestTransportWithoutHooksProvesNothing(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	c := newClient(t, Config{BaseURL: "http://vendor.test", Transport: bare{dial}})
	got := c.do(t.Context(), call{path: purchasePath}, "")
	if !errors.Is(got.err, errNoAnswer) || errors.Is(got.err, errNotConnected) || !errors.Is(got.err, syscall.ECONNREFUSED) {
		t.Errorf("%+v", got)
	}
}

// A second try of net/http's own that finds no connection follows a first one
// that wrote nothing.
func TestTraceOfASecondTry(t *testing.T) {
	var sent trace
	hooks := sent.hooks()
	if sent.provesNothingSent() {
		t.Error("nothing is proven before anything was asked")
	}
	hooks.GetConn("a")
	hooks.GotConn(httptraceInfo)
	if sent.provesNothingSent() {
		t.Error("a connection was had")
	}
	hooks.GetConn("a")
	if !sent.provesNothingSent() {
		t.Error("the second try had no connection")
	}
}
