package vendor

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	// idleTimeout is below the 60 s after which load balancers commonly close: a
	// purchase written to a connection that is being closed is an unknown outcome.
	idleTimeout       = 30 * time.Second
	maxResponseHeader = 64 << 10 // bytes
)

// NewTransport makes the account's own pool of connections. It keeps as many
// alive as there may be purchases at once, and opens at most twice that, so that
// polls and logins do not wait behind purchases.
func NewTransport(maxInFlight int) *http.Transport {
	// HTTP/1.1 alone: one purchase has one connection, so that what is lost with a
	// connection is one outcome, and what was written can be proven (see trace).
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		Protocols:              protocols,
		MaxIdleConns:           maxInFlight,
		MaxIdleConnsPerHost:    maxInFlight,
		MaxConnsPerHost:        2 * maxInFlight,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		// Answers are small, and a size limit should hold for what was sent.
		DisableCompression: true,
	}
}
