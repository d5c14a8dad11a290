package dedupe

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Defaults of a client, for what its URL leaves out. Redis is asked before and
// after every vendor call; one that does not answer in these times is away, and
// the callers wait and come back.
const (
	defaultDialTimeout = 2 * time.Second
	defaultTimeout     = 3 * time.Second // of one write and of one read
	defaultPoolSize    = 32
	// Every script may be sent twice (see the package's comment), so a lost
	// answer is asked for again; callers retry on a larger scale themselves.
	defaultMaxRetries = 2
	// A refused connection is retried by the command, not by the dialler too.
	dialAttempts = 1
)

// ErrURL is returned for a Redis URL that cannot be used.
var ErrURL = errors.New("redis url")

var quiet = sync.OnceFunc(logging.Disable)

// Option changes a client that Open makes.
type Option func(*settings)

type settings struct{ name string }

// WithName names the client's connections, as CLIENT LIST shows them.
func WithName(name string) Option { return func(s *settings) { s.name = name } }

// Open makes a client. It sends nothing: a Redis that is away shows at the first
// command. The caller closes the client.
//
// The URL is redis:// or, with TLS, rediss://:
//
//	redis://[user:password@]host:port/db           one server
//	redis+sentinel://[…@]host:port/db?master_name=…  found through Sentinel
//	redis+cluster://[…@]host:port                  Redis Cluster
//
// More addresses of sentinels or cluster nodes are given as addr=host:port, and
// options as go-redis names them (pool_size, dial_timeout, read_timeout,
// write_timeout, max_retries …). Defaults: 2 s to connect, 3 s to write and to
// read, 32 connections, 2 retries. Deadlines of contexts are obeyed. User and
// password are the data servers'; sentinels are asked without.
//
// An error wraps ErrURL and never shows the password.
// The library's own log, which every failed dial writes to standard error as
// plain text, is turned off for the whole process: what goes wrong is returned.
func Open(rawURL string, options ...Option) (redis.UniversalClient, error) {
	quiet()
	var s settings
	for _, option := range options {
		option(&s)
	}
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, fmt.Errorf("%w: want redis://host:port/db", ErrURL)
	}
	base, kind, _ := strings.Cut(scheme, "+")
	if base != "redis" && base != "rediss" {
		// Not quoted: what stands before "://" may be part of anything.
		return nil, fmt.Errorf("%w: the scheme must be redis or rediss, with +sentinel or +cluster where needed", ErrURL)
	}
	plain := base + "://" + rest
	parsed, err := url.Parse(plain)
	if err != nil {
		// The parser's error quotes the URL, and with it the password.
		return nil, fmt.Errorf("%w: it cannot be read; escape special characters in the password with %%", ErrURL)
	}
	switch kind {
	case "":
		return s.single(plain, parsed)
	case "sentinel":
		return s.sentinel(plain, parsed)
	case "cluster":
		return s.cluster(plain, parsed)
	default:
		return nil, fmt.Errorf("%w: the scheme must be redis or rediss, with +sentinel or +cluster where needed", ErrURL)
	}
}

func (s settings) single(plain string, parsed *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(plain)
	if err != nil {
		return nil, urlError(parsed, plain, err)
	}
	o.ClientName = s.name
	o.ContextTimeoutEnabled = true
	o.DialTimeout = orDefault(o.DialTimeout, defaultDialTimeout)
	o.ReadTimeout = orDefault(o.ReadTimeout, defaultTimeout)
	o.WriteTimeout = orDefault(o.WriteTimeout, defaultTimeout)
	o.PoolSize = orDefault(o.PoolSize, defaultPoolSize)
	o.MaxRetries = orDefault(o.MaxRetries, defaultMaxRetries)
	o.DialerRetries = dialAttempts
	o.MaintNotificationsConfig = noNotifications()
	return redis.NewClient(o), nil
}

func (s settings) sentinel(plain string, parsed *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseFailoverURL(plain)
	if err != nil {
		return nil, urlError(parsed, plain, err)
	}
	if o.MasterName == "" {
		return nil, fmt.Errorf("%w: +sentinel needs master_name", ErrURL)
	}
	if o.Username != "" || o.Password != "" {
		// Whoever masks the URL in a log looks for a password before the "@".
		return nil, fmt.Errorf("%w: user and password belong before the host", ErrURL)
	}
	// go-redis takes them for the sentinels'.
	o.Username, o.Password = o.SentinelUsername, o.SentinelPassword
	o.SentinelUsername, o.SentinelPassword = "", ""
	o.ClientName = s.name
	o.ContextTimeoutEnabled = true
	o.DialTimeout = orDefault(o.DialTimeout, defaultDialTimeout)
	o.ReadTimeout = orDefault(o.ReadTimeout, defaultTimeout)
	o.WriteTimeout = orDefault(o.WriteTimeout, defaultTimeout)
	o.PoolSize = orDefault(o.PoolSize, defaultPoolSize)
	o.MaxRetries = orDefault(o.MaxRetries, defaultMaxRetries)
	o.DialerRetries = dialAttempts
	return redis.NewFailoverClient(o), nil
}

func (s settings) cluster(plain string, parsed *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(plain)
	if err != nil {
		return nil, urlError(parsed, plain, err)
	}
	o.ClientName = s.name
	o.ContextTimeoutEnabled = true
	o.DialTimeout = orDefault(o.DialTimeout, defaultDialTimeout)
	o.ReadTimeout = orDefault(o.ReadTimeout, defaultTimeout)
	o.WriteTimeout = orDefault(o.WriteTimeout, defaultTimeout)
	o.PoolSize = orDefault(o.PoolSize, defaultPoolSize)
	o.MaxRetries = orDefault(o.MaxRetries, defaultMaxRetries)
	o.DialerRetries = dialAttempts
	o.MaintNotificationsConfig = noNotifications()
	return redis.NewClusterClient(o), nil
}

// noNotifications turns off a handshake that only Redis's own managed service
// answers.
func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// urlError tells why go-redis refused the URL, unless the reason might quote a
// piece of the password: one with an unescaped "/" or "?" in it ends up in the
// path or the query.
func urlError(parsed *url.URL, plain string, err error) error {
	marks := strings.Count(plain, "@")
	if marks > 1 || (marks == 1 && parsed.User == nil) {
		return fmt.Errorf("%w: it cannot be used; escape special characters in the password with %%", ErrURL)
	}
	return fmt.Errorf("%w: %w", ErrURL, err)
}
