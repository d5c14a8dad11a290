package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vendstream/vendstream/internal/vendor"
)

// clientOptions are what an HTTP client is told.
type clientOptions struct {
	client   string
	url, ca  string
	inFlight int
	calls    int
}

// call posts a body and hands use the answer, which is valid until use returns.
type call func(ctx context.Context, url string, body []byte, use func(answer []byte) error) error

// newCall makes the client of that name.
func newCall(name string, inFlight int, trusted *tls.Config) (call, error) {
	switch name {
	case "net/http HTTP/1.1", "net/http HTTP/2":
		transport := vendor.NewTransport(inFlight)
		transport.TLSClientConfig.RootCAs = trusted.RootCAs
		if name == "net/http HTTP/2" {
			protocols := new(http.Protocols)
			protocols.SetHTTP2(true)
			transport.Protocols = protocols
		}
		return func(ctx context.Context, url string, body []byte, use func([]byte) error) error {
			return postNetHTTP(ctx, transport, url, body, use)
		}, nil
	case "fasthttp HTTP/1.1":
		client := newFastHTTP(inFlight, trusted)
		return func(_ context.Context, url string, body []byte, use func([]byte) error) error {
			return postFast(client, url, body, use)
		}, nil
	default:
		return nil, fmt.Errorf("%q is no client", name)
	}
}

var errTooLarge = errors.New("the answer is too large")

// postNetHTTP makes a call as vendstream does (internal/vendor), but without its
// httptrace.
func postNetHTTP(ctx context.Context, transport *http.Transport, url string, body []byte, use func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"vendstream"}, "Content-Type": {"application/json"}, "Authorization": {"Bearer lean"}}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return errAnswer
	}
	size := min(max(response.ContentLength, 0), maxAnswer)
	answer := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := answer.ReadFrom(io.LimitReader(response.Body, maxAnswer+1)); err != nil {
		return err
	}
	if answer.Len() > maxAnswer {
		return errTooLarge
	}
	return use(answer.Bytes())
}

// figures are what a client says of its calls, as `vendlab bench http` reads them.
type figures struct {
	Calls   int64   `json:"calls"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	Objects uint64  `json:"objects"`
}

func runClient(ctx context.Context, o clientOptions, out io.Writer) error {
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()
	pem, err := os.ReadFile(o.ca)
	if err != nil {
		return err
	}
	trusted := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !trusted.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", o.ca)
	}
	do, err := newCall(o.client, o.inFlight, trusted)
	if err != nil {
		return err
	}
	// One first, so that HTTP/2 has a connection for the others to share.
	for _, n := range []int{1, o.inFlight} {
		if _, err := makeCalls(ctx, do, o.url+"/warm", n, n); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
	}
	runtime.GC()
	before, heap := usage(), objects()
	began := time.Now()
	good, err := makeCalls(ctx, do, o.url+"/purchase", o.inFlight, o.calls)
	took := time.Since(began)
	if err != nil {
		return err
	}
	line, err := json.Marshal(figures{good, took.Seconds(), (usage() - before).Seconds(), objects() - heap})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
		return err
	}
	<-ctx.Done() // the one who measures looks at the memory first
	return nil
}

// makeCalls makes n calls, as many at once as are to be in flight, and counts those
// whose answer names what was asked for.
func makeCalls(ctx context.Context, do call, url string, inFlight, n int) (int64, error) {
	var next, good atomic.Int64
	err := crew(ctx, inFlight, func(ctx context.Context) error {
		var body, ref []byte
		check := func(answer []byte) error {
			if !bytes.Contains(answer, ref) {
				return errors.New("the answer to another call came back")
			}
			good.Add(1)
			return nil
		}
		for {
			i := next.Add(1)
			if i > int64(n) || ctx.Err() != nil {
				return nil
			}
			ref = strconv.AppendInt(append(ref[:0], "call-"...), i, 10)
			ref = append(ref, '-')
			body = append(append(append(body[:0], bodyHead...), ref...), bodyTail...)
			if err := do(ctx, url, body, check); err != nil {
				return err
			}
		}
	})
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return good.Load(), err
}

// A body is as large as those of `vendlab bench`.
const (
	bodyHead = `{"productCode":"AIR-VOD-001","amount":50.00,"paymentMethod":"cash","channelId":"web","merchantReference":"`
	bodyTail = `","mobileNumber":"+27821234567","additionalInfo":{"till":7,"operator":"bench"}}`
)

// usage is the processor time of this process so far, all threads, user and system.
func usage() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // the arguments are constants
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
