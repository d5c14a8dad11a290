package vendor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// maxReceipt keeps a result publishable: half of what NATS takes in one message
// by default. A larger receipt leaves the purchase open, and so with somebody who
// looks at it.
const maxReceipt = 512 << 10

// Most bytes that are read of an answer. A larger one counts as unreadable.
const (
	maxPurchaseAnswer     = maxReceipt
	maxTransactionsAnswer = 8 << 20
	maxTokenAnswer        = 64 << 10
	maxProductsAnswer     = 8 << 20
	maxCategoriesAnswer   = 1 << 20 // of the list, and of one category's fields
)

var (
	errTooLarge     = errors.New("the answer is larger than allowed")
	errNotConnected = errors.New("no connection, nothing was sent")
	errNoAnswer     = errors.New("no whole answer came back")
)

// call is one HTTP exchange to be made.
type call struct {
	endpoint string // label for Observe
	method   string // "": POST, as all but the catalog's are
	path     string // below the base URL
	query    string // encoded, may be empty
	body     []byte // JSON, may be nil
	limit    int64  // most bytes of the answer
}

// exchange is what came of a call.
type exchange struct {
	status int    // 0: no answer
	body   []byte // nil where it could not be read whole
	// err explains a missing or broken answer. It is errNotConnected only where it
	// is proven that not a byte of the request left.
	err error
}

// do makes one exchange. net/http may try a second connection under it, where
// the first, kept alive and dead, took not one byte of the request
// (http.Transport, nothingWrittenError). It replays nothing that was written where
// the method is POST, as no Idempotency-Key is sent: that header would make it. A
// GET, which changes nothing, it may replay.
func (c *Client) do(ctx context.Context, call call, token string) exchange {
	if err := ctx.Err(); err != nil {
		return exchange{err: fmt.Errorf("%w: %w", errNotConnected, err)}
	}
	var sent trace
	ctx = httptrace.WithClientTrace(ctx, sent.hooks())
	request, err := http.NewRequestWithContext(ctx, cmp.Or(call.method, http.MethodPost), c.baseURL+call.path, bytes.NewReader(call.body))
	if err != nil {
		return exchange{err: fmt.Errorf("%w: %w", errNotConnected, publicCause(err))}
	}
	request.URL.RawQuery = call.query
	request.Header = header(call.body != nil, token)
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		if sent.provesNothingSent() {
			return exchange{err: fmt.Errorf("%w: %w", errNotConnected, publicCause(err))}
		}
		return exchange{err: fmt.Errorf("%w: %w", errNoAnswer, publicCause(err))}
	}
	body, err := readBody(response, call.limit)
	return exchange{status: response.StatusCode, body: body, err: err}
}

// Values of headers that all requests share; nobody changes them.
var (
	acceptJSON = []string{"application/json"}
	userAgent  = []string{"vendstream"}
)

func header(withBody bool, token string) http.Header {
	h := make(http.Header, 4)
	h["Accept"], h["User-Agent"] = acceptJSON, userAgent
	if withBody {
		h["Content-Type"] = acceptJSON
	}
	if token != "" {
		h["Authorization"] = []string{"Bearer " + token}
	}
	return h
}

// readBody reads an answer to its end, which gives the connection back to the
// pool. One that is too large or breaks off is closed unread.
func readBody(response *http.Response, limit int64) ([]byte, error) {
	body := response.Body
	defer func() { _ = body.Close() }() // nothing can be done, and nothing is lost
	room := int64(bytes.MinRead)
	if length := response.ContentLength; length >= 0 {
		room = min(length, limit) + 1 // the end shows in a read that has room
	}
	read := make([]byte, 0, room)
	for {
		n, err := body.Read(read[len(read):cap(read)])
		read = read[:len(read)+n]
		switch {
		case int64(len(read)) > limit:
			return nil, errTooLarge
		case err == io.EOF:
			return read, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errNoAnswer, publicCause(err))
		case len(read) == cap(read):
			read = append(read, 0)[:len(read)]
		}
	}
}

// trace watches one request for the proof that nothing of it was sent: a
// connection was asked for and none was had. Once there is a connection the
// writing runs in a goroutine of net/http, which may go on after the call has
// returned, so from there on there is no proof. A second try asks for a
// connection again, and is made only where the first wrote nothing.
type trace struct{ state atomic.Int32 }

const (
	traceNone int32 = iota
	traceAsked
	traceConnected
)

func (t *trace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { t.state.Store(traceAsked) },
		GotConn: func(httptrace.GotConnInfo) { t.state.Store(traceConnected) },
	}
}

// provesNothingSent is false for a RoundTripper that calls no hooks: it proves nothing.
func (t *trace) provesNothingSent() bool { return t.state.Load() == traceAsked }
