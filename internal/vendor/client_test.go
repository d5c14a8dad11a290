package vendor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

var httptraceInfo httptrace.GotConnInfo

func TestNewRefuses(t *testing.T) {
	good := Config{Account: "acme", BaseURL: "https://vendor.test/api/v1", Username: "u", Password: "p"}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no URL":        {func(c *Config) { c.BaseURL = "" }, "BaseURL"},
		"no host":       {func(c *Config) { c.BaseURL = "https:///x" }, "BaseURL"},
		"other scheme":  {func(c *Config) { c.BaseURL = "ftp://x" }, "BaseURL"},
		"not a URL":     {func(c *Config) { c.BaseURL = "http://u:secret@x:port" }, "BaseURL"},
		"user in URL":   {func(c *Config) { c.BaseURL = "http://u:secret@x" }, "BaseURL"},
		"query in URL":  {func(c *Config) { c.BaseURL = "http://x?a=secret" }, "BaseURL"},
		"no username":   {func(c *Config) { c.Username = "" }, "Username"},
		"no password":   {func(c *Config) { c.Password = "" }, "Password"},
		"user type":     {func(c *Config) { c.UserType = "ADMIN" }, "UserType"},
		"timeout":       {func(c *Config) { c.Timeout = -1 }, "Timeout"},
		"max in flight": {func(c *Config) { c.MaxInFlight = -1 }, "MaxInFlight"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			c.change(&config)
			_, err := New(config)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "acme") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
		})
	}
	_, err := New(Config{Timeout: -1, MaxInFlight: -1})
	for _, field := range []string{"BaseURL", "Username", "Timeout", "MaxInFlight"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	c := newClient(t, Config{BaseURL: "https://vendor.test/api/v1//"})
	if c.timeout != 30*time.Second || c.userType != "MERCHANT" || c.baseURL != "https://vendor.test/api/v1" {
		t.Errorf("%+v", c)
	}
	own := c.owned
	if own.MaxIdleConnsPerHost != 64 || own.MaxConnsPerHost != 128 || own.TLSClientConfig.MinVersion != tls.VersionTLS12 || own.Protocols.HTTP2() {
		t.Errorf("%+v", own)
	}
}

func TestObserve(t *testing.T) {
	var mu sync.Mutex
	var told []string
	v := &issuer{revoked: 1}
	f := &fake{answer: v.answer}
	c := newClient(t, Config{BaseURL: "http://vendor.test", Transport: f, Observe: func(c Call) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf("%s %s %d", c.Endpoint, c.Kind, c.Status))
		if c.Duration < 0 {
			t.Errorf("%+v", c)
		}
	}})
	buy(t, c, purchase.Completed)
	if got, _ := c.Lookup(t.Context(), purchase.LookupBillPayment, []byte(`{}`)); got.Kind != purchase.Completed {
		t.Errorf("%+v", got)
	}
	c.Transaction(t.Context(), "T1", ref)
	want := "token ok 200, purchase unauthorized 401, token_refresh ok 200, purchase completed 200, lookup_bill-payment completed 200, transactions unknown 200"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("observed %s\nwant     %s", got, want)
	}
}

func TestLookup(t *testing.T) {
	const data = `{"customerName":"N","outstanding":30.0000}`
	for _, kind := range []purchase.LookupKind{purchase.LookupElectricity, purchase.LookupBillPayment, purchase.LookupMoneyTransfer} {
		c, f := newFake(t, func(s seen) (int, string, error) {
			if s.path == tokenPath {
				return 200, grantBody("a", "r"), nil
			}
			return 200, `{"responseCode":"0","data":` + data + `}`, nil
		})
		got, raw := c.Lookup(t.Context(), kind, []byte(`{"meterNumber":"000001020001"}`))
		if got.Kind != purchase.Completed || string(raw) != data {
			t.Errorf("%+v, %s", got, raw)
		}
		if f.last().path != "/lookup/"+string(kind) || f.last().body != `{"meterNumber":"000001020001"}` {
			t.Errorf("%+v", f.last())
		}
	}
	c, f := newFake(t, func(seen) (int, string, error) { return 0, "", errDial })
	if got, raw := c.Lookup(t.Context(), "../purchase", nil); got.Kind != purchase.Unknown || raw != nil || !errors.Is(got.Cause, errLookupKind) {
		t.Errorf("%+v", got)
	}
	if len(f.calls) != 0 {
		t.Error("an unknown lookup was asked for")
	}
	if got, raw := c.Lookup(t.Context(), purchase.LookupElectricity, nil); got.Kind != purchase.Unreachable || raw != nil {
		t.Errorf("%+v", got)
	}
}

func TestPurchaseTransportErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want purchase.OutcomeKind
	}{
		"dial":                 {errDial, purchase.Unreachable},
		"reset":                {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, purchase.Unknown},
		"dial error, too late": {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, purchase.Unknown},
		"end of file":          {io.EOF, purchase.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			v := &issuer{purchase: func(seen) (int, string, error) { return 0, "", c.err }}
			client, f := newFake(t, v.answer)
			buy(t, client, c.want)
			if n := f.count(purchasePath); n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

func TestPublicCause(t *testing.T) {
	const secret = "PIN-1234"
	for _, c := range []struct {
		err  error
		want string
	}{
		{&url.Error{Op: "Post", URL: "http://x?merchantReference=" + secret, Err: io.EOF}, "EOF"},
		{errors.New("malformed HTTP response " + secret), "an error of type *errors.errorString"},
		{&url.Error{URL: secret, Err: fmt.Errorf("%s: %w", secret, io.ErrUnexpectedEOF)}, "unexpected EOF"},
		{fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), "context deadline exceeded"},
		{&net.OpError{Op: "read", Net: "tcp", Err: fmt.Errorf("%s: %w", secret, syscall.ECONNRESET)}, "read: connection reset by peer"},
		{fmt.Errorf("%s: %w", secret, syscall.EPIPE), "broken pipe"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "vendor.test"}}, "lookup vendor.test: no such host"},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(40)}, "tls: handshake failure"},
		{fmt.Errorf("%s: %w", secret, tls.RecordHeaderError{Msg: "not a TLS handshake"}), "tls: not a TLS handshake"},
		{&net.OpError{Op: "proxyconnect", Err: errors.New(secret)}, "an error of type *net.OpError"},
	} {
		if got := publicCause(c.err); got.Error() != c.want {
			t.Errorf("%v: %v, want %s", c.err, got, c.want)
		}
	}
}
