package main

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/valyala/fasthttp"
)

// Limits and time-outs of vendstream (internal/vendor), by default.
const (
	callTimeout       = 30 * time.Second
	dialTimeout       = 10 * time.Second
	idleTimeout       = 30 * time.Second
	maxAnswer         = 512 << 10
	maxResponseHeader = 64 << 10
)

// newFastHTTP is the counterpart of vendor.NewTransport, as far as there is one: it
// does not repeat, waits for a free connection, and has the same limits. The limit of
// the header is the size of a buffer that each call under way has.
func newFastHTTP(inFlight int, trusted *tls.Config) *fasthttp.Client {
	dialer := &fasthttp.TCPDialer{}
	return &fasthttp.Client{
		Name: "vendstream",
		Dial: func(addr string) (net.Conn, error) {
			return dialer.DialDualStackTimeout(addr, dialTimeout)
		},
		TLSConfig:                 trusted,
		MaxConnsPerHost:           2 * inFlight,
		MaxConnWaitTimeout:        callTimeout,
		MaxIdleConnDuration:       idleTimeout,
		MaxIdemponentCallAttempts: 1,
		ReadTimeout:               callTimeout,
		WriteTimeout:              callTimeout,
		MaxResponseBodySize:       maxAnswer,
		ReadBufferSize:            maxResponseHeader,
	}
}

// postFast buys by fasthttp and hands use the answer, which is valid until use returns.
func postFast(client *fasthttp.Client, url string, body []byte, use func(answer []byte) error) error {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI(url)
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType("application/json")
	request.Header.Set("Authorization", "Bearer lean")
	request.SetBodyRaw(body)
	if err := client.DoTimeout(request, response, callTimeout); err != nil {
		return err
	}
	if response.StatusCode() != fasthttp.StatusOK {
		return errAnswer
	}
	return use(response.Body())
}

// runFastHTTP is the bare loop of `vendlab bench` with fasthttp instead of net/http.
func runFastHTTP(ctx context.Context, s settings) error {
	nc, js, err := connect(s)
	if err != nil {
		return err
	}
	defer nc.Close()
	consumer, err := js.Consumer(ctx, s.subjects.RequestsStream(), account)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(max(2, s.inFlight)))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	client := newFastHTTP(s.inFlight, nil)
	defer client.CloseIdleConnections()
	url := s.vendorURL + "/purchase"
	work := make(chan jetstream.Msg)
	go func() {
		defer close(work)
		for {
			m, err := messages.Next()
			if err != nil {
				return // stopped, or the server is gone; the one who measures will see
			}
			select {
			case work <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	return crew(ctx, s.inFlight, func(ctx context.Context) error {
		for m := range work {
			ref, err := reference(m.Data())
			if err != nil {
				return err
			}
			err = postFast(client, url, m.Data(), func(answer []byte) error {
				_, err := js.Publish(ctx, s.subjects.Result(account, ref), answer)
				return err
			})
			if err != nil {
				return err
			}
			if err := m.Ack(); err != nil {
				return err
			}
		}
		return nil
	})
}
