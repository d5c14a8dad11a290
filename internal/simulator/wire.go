package simulator

import (
	"io"
	"net"
	"net/http"
	"strconv"
)

// send puts an answer on a real connection.
func (rep reply) send(w http.ResponseWriter) {
	if rep.wire == wireReset || rep.wire == wireNone {
		reset(w)
	}
	rep.setHeader(w.Header())
	body, length := rep.content()
	// An announced length that is not reached makes net/http close the
	// connection, and the caller sees an unexpected end.
	if rep.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	}
	w.WriteHeader(rep.status)
	if rep.wire == wireTruncated {
		body = io.LimitReader(body, length/2)
	}
	// A write that fails means that the caller has gone, which is its right.
	_, _ = io.Copy(w, body)
}

// reset ends the connection with a TCP RST, so that the caller reads "connection
// reset by peer", and ends the handler. It does not return.
func reset(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if conn, _, err := hijacker.Hijack(); err == nil {
			raw := conn
			if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
				raw = secured.NetConn() // the TCP connection below TLS
			}
			if tcp, ok := raw.(*net.TCPConn); ok {
				// With a linger of 0 unsent data is dropped and an RST is sent. The
				// error is that of a connection which has gone already.
				_ = tcp.SetLinger(0)
			}
			_ = raw.Close()
			panic(http.ErrAbortHandler)
		}
	}
	// HTTP/2 has no hijacking: the stream is reset instead.
	panic(http.ErrAbortHandler)
}
