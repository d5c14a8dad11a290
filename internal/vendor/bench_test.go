package vendor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Answers as the vendor gives them.
const (
	flatAnswer = `{"transactionId":"8f14e45f-ceea-4671-a2a7-0c6f0a8b1d7e","responseCode":"0","responseMessage":"Approved",` +
		`"responseDateTime":"2026-04-21T12:57:51.831786006","successful":true,` +
		`"receipt":{"token":"12341234123412341234","units":30.0000,"unitType":"kWh","meterNumber":"000001020001","taxAmount":6.52}}`
	envelopedAnswer = `{"success":true,"data":{"transactionId":"8f14e45f-ceea-4671-a2a7-0c6f0a8b1d7e","status":"COMPLETED","responseCode":0,` +
		`"responseMessage":"Approved","receipt":{"pin":"1234567890","serialNumber":"987654321"}}}`
)

func BenchmarkClassify(b *testing.B) {
	for name, body := range map[string]string{"flat": flatAnswer, "enveloped": envelopedAnswer} {
		b.Run(name, func(b *testing.B) {
			raw := []byte(body)
			b.ReportAllocs()
			for b.Loop() {
				if o := classify(http.StatusOK, raw, ref); o.Kind != purchase.Completed {
					b.Fatal(o)
				}
			}
		})
	}
}

// canned answers without a connection, so that the client's own part is seen.
type canned struct{}

func (canned) RoundTrip(r *http.Request) (*http.Response, error) {
	body := flatAnswer
	if strings.HasSuffix(r.URL.Path, tokenPath) {
		body = grantBody("a", "b")
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}

var purchaseBody = []byte(`{"productCode":"ELE-FLS-001","amount":50.00,"paymentMethod":"cash","channelId":"web","merchantReference":"REF-1","meterNumber":"000001020001"}`)

// The client without the transport below it.
func BenchmarkPurchaseWithoutTransport(b *testing.B) {
	c := benchClient(b, Config{BaseURL: "http://vendor.test/api/v1", Transport: canned{}})
	b.ReportAllocs()
	for b.Loop() {
		if o := c.Purchase(b.Context(), ref, purchaseBody); o.Kind != purchase.Completed {
			b.Fatal(o)
		}
	}
}

// The same over loopback, one after the other on one connection.
func BenchmarkPurchaseOverTCP(b *testing.B) {
	c := benchClient(b, Config{BaseURL: "http://" + plainVendor(b)})
	b.ReportAllocs()
	for b.Loop() {
		if o := c.Purchase(b.Context(), ref, purchaseBody); o.Kind != purchase.Completed {
			b.Fatal(o)
		}
	}
}

func benchClient(b testing.TB, config Config) *Client {
	b.Helper()
	config.Account, config.Username, config.Password = "acme", "user", "password"
	c, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	if err := c.Check(b.Context()); err != nil {
		b.Fatal(err)
	}
	return c
}

// plainVendor answers every request on a connection, and allocates little, so
// that what is counted is the client's.
func plainVendor(b testing.TB) (addr string) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerAll(conn)
		}
	}()
	return listener.Addr().String()
}

func answerAll(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body := flatAnswer
		if request.URL.Path == tokenPath {
			body = grantBody("a", "b")
		}
		_, _ = io.Copy(io.Discard, request.Body)
		if _, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			return
		}
	}
}

func TestAllocationBudgets(t *testing.T) {
	flat, enveloped := []byte(flatAnswer), []byte(envelopedAnswer)
	c := benchClient(t, Config{BaseURL: "http://vendor.test/api/v1", Transport: canned{}})
	for _, one := range []struct {
		name   string
		budget float64
		run    func()
	}{
		{"classify a flat answer", 7, func() { _ = classify(http.StatusOK, flat, ref) }},
		{"classify an enveloped answer", 10, func() { _ = classify(http.StatusOK, enveloped, ref) }},
		{"Purchase without its transport", 34, func() { _ = c.Purchase(t.Context(), ref, purchaseBody) }},
	} {
		got := testing.AllocsPerRun(100, one.run)
		t.Logf("%s: %v allocations, budget %v", one.name, got, one.budget)
		if got > one.budget*raceFactor {
			t.Errorf("%s makes %v allocations, at most %v", one.name, got, one.budget*raceFactor)
		}
	}
}
