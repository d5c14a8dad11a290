package vendor

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
)

const (
	ref          = "REF-1"
	tokenPath    = "/auth/token"
	refreshPath  = "/auth/token/refresh"
	purchasePath = "/purchase"
	listPath     = "/transactions"

	completedBody = `{"transactionId":"T1","responseCode":"0","responseMessage":"ok","successful":true}`
	secretToken   = "token-secret"
)

// errDial stands for a connection that could not be made.
var errDial = errors.New("scripted dial failure")

// seen is one request as the fake vendor saw it.
type seen struct {
	method, path, escaped, query, token, body string
	header                                    http.Header
}

// fake is a vendor without sockets, so that it can live in a synctest bubble. It
// calls the httptrace hooks as net/http does.
type fake struct {
	answer func(seen) (status int, body string, err error)

	mu    sync.Mutex
	calls []seen
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	call := seen{
		method: r.Method, path: r.URL.Path, escaped: r.URL.EscapedPath(), query: r.URL.RawQuery, body: string(body), header: r.Header,
		token: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "),
	}
	f.mu.Lock()
	f.calls = append(f.calls, call)
	f.mu.Unlock()
	hooks := httptrace.ContextClientTrace(r.Context())
	hooks.GetConn(r.URL.Host)
	status, answer, err := f.answer(call)
	if errors.Is(err, errDial) {
		return nil, err
	}
	hooks.GotConn(httptrace.GotConnInfo{})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(answer)),
	}, nil
}

// count is how many calls were made to a path.
func (f *fake) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, call := range f.calls {
		if call.path == path {
			n++
		}
	}
	return n
}

func (f *fake) last() seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[len(f.calls)-1]
}

// newFake makes a client in front of a fake vendor.
func newFake(t *testing.T, answer func(seen) (int, string, error)) (*Client, *fake) {
	t.Helper()
	f := &fake{answer: answer}
	return newClient(t, Config{BaseURL: "http://vendor.test", Transport: f}), f
}

func newClient(t *testing.T, config Config) *Client {
	t.Helper()
	if config.Username == "" {
		config.Username, config.Password = "user-secret", "password-secret"
	}
	config.Account = "acme"
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// grantBody is a token answer in the documented shape.
func grantBody(token, refresh string) string {
	return `{"successful":true,"data":{"token":"` + token + `","refreshToken":"` + refresh + `","expiresIn":1800,"userTypeId":"77"}}`
}
