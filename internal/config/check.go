package config

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Values below which Load warns.
const (
	minTTL     = time.Hour   // of dedupe.ttl
	minRefresh = time.Minute // of catalog.refresh
)

// checkNATS takes a list separated by commas. Errors of net/url quote the
// address and its password, so none is passed on.
func checkNATS(text string) string {
	sockets, plain := false, false
	for _, part := range strings.Split(text, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Host == "" || u.Hostname() == "" {
			return "must be addresses such as nats://host:4222, separated by commas"
		}
		switch u.Scheme {
		case "nats", "tls":
			plain = true
		case "ws", "wss":
			sockets = true
		default:
			return "must begin with nats://, tls://, ws:// or wss://"
		}
	}
	if sockets && plain {
		return "must not mix ws:// and wss:// with nats:// and tls://"
	}
	return ""
}

func checkRedis(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "must be an address such as redis://host:6379/0"
	}
	switch u.Scheme {
	case "redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster":
		if u.Hostname() == "" {
			return "must name a host, such as redis://host:6379/0"
		}
		if database := strings.Trim(u.Path, "/"); database != "" {
			if n, err := strconv.Atoi(database); err != nil || n < 0 {
				return "must end with the number of the database, such as redis://host:6379/0"
			}
		}
	default:
		return "must begin with redis:// or, for TLS, rediss://, with +sentinel or +cluster behind it where needed"
	}
	return ""
}

func checkAddr(text string) string {
	if text == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return `must be host:port, such as 127.0.0.1:8080 or :8080, or "" for no server`
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "must have a port from 0 to 65535"
	}
	return ""
}

// maxPrefix leaves room in a stream's name, which JetStream also makes a
// directory of.
const maxPrefix = 64

var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

func checkPrefix(text string) string {
	if len(text) > maxPrefix || !prefixPattern.MatchString(text) {
		return "must be at most 64 letters, digits, _ and -, in parts joined by dots, such as purchases or shop.purchases"
	}
	return ""
}

func checkBaseURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return "must be an address such as " + sandboxURL
	case u.User != nil:
		return "must not hold a user or password: use username and password"
	case u.RawQuery != "" || u.Fragment != "" || strings.Contains(text, "#"):
		return "must not hold a query or a fragment"
	default:
		return ""
	}
}
