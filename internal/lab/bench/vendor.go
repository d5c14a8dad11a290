package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxRequest bounds what the lean vendor reads of a body.
const maxRequest = 1 << 20

// leanVendor answers every purchase with success from a template, after its
// latency. It speaks just enough HTTP/1.1 for a client that keeps its connections,
// reads nothing but the reference and remembers nothing, so that it costs as little
// as a vendor in another place would. It is no oracle: internal/simulator is.
type leanVendor struct {
	latency time.Duration
	book    *pollBook    // answers /transactions; nil: nobody asks
	calls   atomic.Int64 // of /purchase
	first   atomic.Int64 // when the first of them came, in Unix nanoseconds

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// serve answers until ctx ends, and then cuts the connections off.
func (v *leanVendor) serve(ctx context.Context, listener net.Listener) error {
	v.conns = map[net.Conn]struct{}{}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer context.AfterFunc(ctx, func() {
		_ = listener.Close() // Accept then fails, which is the way out
		v.mu.Lock()
		defer v.mu.Unlock()
		for conn := range v.conns {
			_ = conn.Close()
		}
	})()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("bench: the vendor: %w", err)
		}
		v.mu.Lock()
		v.conns[conn] = struct{}{}
		v.mu.Unlock()
		serving.Go(func() {
			v.talk(conn)
			v.mu.Lock()
			delete(v.conns, conn)
			v.mu.Unlock()
			_ = conn.Close()
		})
	}
}

// talk answers the requests of one connection, until it ends or something is not
// understood.
func (v *leanVendor) talk(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 8<<10)
	var body, head, answer []byte
	for {
		path, length, ok := readHead(in)
		if !ok {
			return
		}
		if cap(body) < length {
			body = make([]byte, length)
		}
		body = body[:length]
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		answer = v.answer(answer[:0], path, body)
		head = append(head[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
		head = strconv.AppendInt(head, int64(len(answer)), 10)
		head = append(append(head, "\r\n\r\n"...), answer...)
		if _, err := conn.Write(head); err != nil {
			return
		}
	}
}

// readHead reads the request line and the headers, of which only the length of
// the body counts.
func readHead(in *bufio.Reader) (path string, length int, ok bool) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", 0, false
	}
	_, rest, _ := strings.Cut(string(line), " ")
	path, _, _ = strings.Cut(rest, " ")
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", 0, false
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return path, length, true
		}
		const name = "content-length:"
		if len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):])))
			if err != nil || length < 0 || length > maxRequest {
				return "", 0, false
			}
		}
	}
}

// answer appends the answer to a request.
func (v *leanVendor) answer(dst []byte, path string, body []byte) []byte {
	switch path {
	case "/purchase":
		v.first.CompareAndSwap(0, time.Now().UnixNano())
		v.calls.Add(1)
		if v.latency > 0 {
			time.Sleep(v.latency)
		}
		dst = append(dst, `{"transactionId":"VAS-`...)
		dst = append(dst, referenceOf(body)...)
		return append(dst, `","responseCode":"0","responseMessage":"Approved","responseDateTime":"2026-04-21T12:57:51.831786006",`+
			`"successful":true,"receipt":{"pin":"1234 5678 9012 3456","serialNumber":"98765432101234","expiryDate":"2027-04-21"}}`...)
	case "/auth/token", "/auth/token/refresh":
		return append(dst, `{"successful":true,"data":{"token":"lean","refreshToken":"lean","expiresIn":86400,"userTypeId":"1001"}}`...)
	case "/stats":
		return fmt.Appendf(dst, `{"calls":%d,"first":%d}`, v.calls.Load(), v.first.Load())
	default:
		if v.book != nil {
			return v.book.answer(dst, path, v.latency)
		}
		return append(dst, `{}`...)
	}
}

// referenceOf finds the merchantReference of a body as the bench writes it: no
// white space around the colon, no escape in the value.
func referenceOf(body []byte) []byte {
	const field = `"merchantReference":"`
	at := bytes.Index(body, []byte(field))
	if at < 0 {
		return nil
	}
	rest := body[at+len(field):]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return nil
	}
	return rest[:end]
}
