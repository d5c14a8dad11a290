package broker

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrConnect is wrapped where no server can be reached.
var ErrConnect = errors.New("could not connect to NATS")

var errURL = errors.New("nats.url cannot be read as a URL")

const (
	dialTimeout   = 5 * time.Second
	reconnectWait = 500 * time.Millisecond
	drainTimeout  = 5 * time.Second
)

// ConnectConfig says where NATS is. Notify, where set, is told of lost and
// regained connections; its error holds no secret.
type ConnectConfig struct {
	URL             string
	CredentialsFile string
	Name            string
	Notify          func(connected bool, err error)
}

// Connect connects and keeps the connection for as long as the program runs: the
// client's defaults would give up after 60 tries, or when the same
// authentication error comes twice. The first connection must succeed; the
// error wraps ErrConnect and shows no password.
func Connect(c ConnectConfig) (*nats.Conn, error) {
	notify := c.Notify
	if notify == nil {
		notify = func(bool, error) {}
	}
	options := []nats.Option{
		nats.Name(c.Name),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.IgnoreAuthErrorAbort(),
		nats.DrainTimeout(drainTimeout),
		// A publish while the connection is away must fail at once and be tried
		// again with its outcome read back, not wait in a buffer.
		nats.ReconnectBufSize(-1),
		// Closing it is no loss to tell of.
		nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { notify(false, err) }),
		nats.ReconnectHandler(func(*nats.Conn) { notify(true, nil) }),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) { notify(nc.IsConnected(), err) }),
	}
	if c.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(c.CredentialsFile))
	}
	nc, err := nats.Connect(c.URL, options...)
	if err != nil {
		if invalid := (*url.Error)(nil); errors.As(err, &invalid) {
			err = errURL // its own text holds the whole URL
		}
		return nil, fmt.Errorf("%w at %s: %w", ErrConnect, redact(c.URL), err)
	}
	return nc, nil
}

// redact shows the servers of a URL, or of a list of URLs, without password or
// token. Of each it keeps the scheme and the host alone: a secret with a "#" or
// "?" in it would otherwise show as the rest of the URL.
func redact(raw string) string {
	servers := strings.Split(raw, ",")
	for i, server := range servers {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server // as the client reads it
		}
		u, err := url.Parse(server)
		if err != nil || u.Host == "" {
			return "the configured nats.url"
		}
		secret := ""
		if u.User != nil {
			secret = "***@"
		}
		servers[i] = u.Scheme + "://" + secret + u.Host
	}
	return strings.Join(servers, ",")
}
