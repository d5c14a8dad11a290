package simulator

import (
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
)

// transportAddress is the address that calls through Transport come from.
const transportAddress = "192.0.2.1:49152"

// Transport calls the simulator in the caller's goroutine, without sockets, so
// that a client can be tested under testing/synctest. What a connection would
// do becomes the error that net/http reports for it: a reset is a *net.OpError
// with ECONNRESET, a body that ends early reads io.ErrUnexpectedEOF, and a call
// that hangs ends with the request's context. Scheme and host are not looked at.
func (s *Simulator) Transport() http.RoundTripper { return roundTripper{s} }

type roundTripper struct{ s *Simulator }

func (t roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }() // a RoundTripper must close it
	}
	ctx := req.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in := req.WithContext(ctx) // a copy: the caller's request stays as it is
	in.RemoteAddr = transportAddress
	in.RequestURI = req.URL.RequestURI()
	if in.Header == nil {
		in.Header = make(http.Header)
	}
	var rep reply
	if isControl(req.URL.Path) {
		rep = t.s.control(in)
	} else {
		rep = t.s.answer(in)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if rep.wire == wireReset || rep.wire == wireNone {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	}
	body, length := rep.content()
	if rep.wire == wireTruncated {
		body = io.MultiReader(io.LimitReader(body, length/2), brokenOff{})
	}
	header := make(http.Header, 3)
	rep.setHeader(header)
	header.Set("Content-Length", strconv.FormatInt(length, 10))
	return &http.Response{
		Status:        strconv.Itoa(rep.status) + " " + http.StatusText(rep.status),
		StatusCode:    rep.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Request:       req,
	}, nil
}

// brokenOff ends a body before its announced length.
type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
