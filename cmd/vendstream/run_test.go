package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runCommand runs the program to its end, as main does. e.Stdout and e.Stderr,
// where set, get a copy while it runs.
func runCommand(t *testing.T, e env, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runUntil(t.Context(), e, args...)
}

// runUntil is runCommand with a context that stands for the signal.
func runUntil(ctx context.Context, e env, args ...string) (stdout, stderr string, code int) {
	out, errs := &shared{copy: e.Stdout}, &shared{copy: e.Stderr}
	e.Stdout, e.Stderr = out, errs
	code = conclude(errs, run(ctx, args, e))
	return out.String(), errs.String(), code
}

// shared is a buffer for many writers, with a copy for a reader.
type shared struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	copy io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.copy != nil {
		if n, err := s.copy.Write(p); err != nil {
			return n, err
		}
	}
	return s.buf.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// acme is an environment with one account, and NATS where s is given.
func acme(s *servertest.NATSServer) env {
	e := env{Environ: []string{
		"VENDSTREAM_ACCOUNT=acme", "PAGAMIO_USERNAME=buyer", "PAGAMIO_PASSWORD=quite secret",
		"PAGAMIO_BASE_URL=http://127.0.0.1:1/api/v1", "VENDSTREAM_HTTP_ADDR=127.0.0.1:0",
	}}
	if s != nil {
		e.Environ = append(e.Environ, "VENDSTREAM_NATS_URL="+s.URL())
	}
	return e
}

// with is the environment with more variables.
func (e env) with(variables ...string) env {
	e.Environ = append(append([]string{}, e.Environ...), variables...)
	return e
}

// on is a signal-like writer: it closes seen when what was written holds text.
type on struct {
	text string
	all  string
	once sync.Once
	seen chan struct{}
}

func when(text string) *on { return &on{text: text, seen: make(chan struct{})} }

func (o *on) Write(p []byte) (int, error) {
	if o.all += string(p); strings.Contains(o.all, o.text) {
		o.once.Do(func() { close(o.seen) })
	}
	return len(p), nil
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want string // part of standard error
	}{
		{"", "needs a command: accounts, audit, batch, completion, config, consumer"},
		{"nosuch", `unknown command "nosuch" for "vendstream"; see`},
		{"sumbit", "Did you mean this? submit; see"},
		{"--nope", "unknown flag: --nope; see `vendstream --help`"},
		{"results", "vendstream results needs a command: get, watch"},
		{"results wach", `unknown command "wach" for "vendstream results" (did you mean watch?)`},
		{"dead", "needs a command: list, redrive, show"},
		{"config", "needs a command: check, show"},
		{"help nosuch", `unknown command "nosuch"`},
		{"help results nosuch", `unknown command "nosuch" for "vendstream results"`},
		{"serve now", `unknown command "now" for "vendstream serve"`},
		{"results get", "vendstream results get takes REF, and 0 arguments were given"},
		{"results get a b", "takes REF, and 2 arguments"},
		{"results get --output xml a", "must be table, json, jsonl or csv; see `vendstream results get --help`"},
		{"config show -o xml", "must be table, json, jsonl, csv or yaml"},
		{"results get a --account A", `--account: "A" is no account's name`},
		{"results watch --since yesterday", `--since: "yesterday" is neither`},
		{"results watch --since -1h", `--since: "-1h" is neither`},
		{"results watch --count -1", "--count"},
		{"results watch --account ,", "is no account's name"},
		{"dead list --reason late", `--reason: "late" must be one of too_large, malformed`},
		{"dead list --account >", "is no account's name"},
		{"dead show x", `SEQUENCE: "x" is not a whole number`},
		{"dead show 0", `SEQUENCE: "0" is not a whole number`},
		{"submit", "no purchase is given: use --body, --file, or --product-code"},
		{"submit --amount 5", "--product-code and --amount are needed"},
		{"submit --product-code X --amount 5,00", `--amount: "5,00" is not a decimal`},
		{"submit --product-code X --amount 1e3", `--amount: "1e3" is not a decimal`},
		{"submit --product-code X --amount 5 --additional-info {", "--additional-info: is not valid JSON"},
		{"submit --product-code X\xff --amount 5", "--product-code: is not valid UTF-8"},
		{"submit --body {} --amount 5", "--body, --amount cannot be given together"},
		{"submit --body {} --file -", "--body, --file cannot be given together"},
		{"submit --file /nosuch/file", "--file: open /nosuch/file"},
		{"submit --file /", "--file: cannot read /"},
		{"submit --body {} --timeout 1s", "--timeout must be above zero and needs --wait"},
		{"submit --body {} --wait --timeout 0s", "--timeout must be above zero"},
		{"submit --body {} --expires-in 0s", "--expires-in: must be above zero"},
		{"submit --body {} --expires-in 1s --expires-at 2030-01-01T00:00:00Z", "cannot be given together"},
		{"submit --body {} --expires-at tomorrow", `--expires-at: "tomorrow" is not an RFC 3339 time`},
		{"submit --body {} --expires-at ", `--expires-at: "" is not`},
		{"submit --body {} --traceparent 00-1", "--traceparent"},
		{"submit --body {} --traceparent 00-00000000000000000000000000000000-b7ad6b7169203331-01", "is not a W3C traceparent"},
	} {
		args := strings.Split(c.args, " ")
		if c.args == "" {
			args = nil
		}
		stdout, stderr, code := runCommand(t, acme(nil), args...)
		if code != lifecycle.Usage || stdout != "" || !strings.HasPrefix(stderr, "vendstream: ") || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: code %d, stdout %q, stderr %q; want 2 and %q", c.args, code, stdout, stderr, c.want)
		}
		if strings.Count(stderr, "vendstream: ") != 1 {
			t.Errorf("%q: the error is not printed once: %q", c.args, stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--help", "help", "help results watch", "submit --help", "results -h"} {
		stdout, stderr, code := runCommand(t, env{}, strings.Split(args, " ")...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "Usage:") {
			t.Errorf("%s: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestNotConnected(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"serve", "consumer", "poller", "provision", "results get a", "results watch", "dead list", "dead show 1",
		"submit --wait --product-code X --amount 5 --reference r",
	} {
		// Nobody listens on port 1.
		stdout, stderr, code := runCommand(t, acme(nil).with("VENDSTREAM_NATS_URL=nats://user:hidden@127.0.0.1:1"), strings.Split(args, " ")...)
		if code != lifecycle.NotConnected || stdout != "" || !strings.Contains(stderr, "could not connect to NATS at nats://***@127.0.0.1:1") {
			t.Errorf("%s: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
		if strings.Contains(stderr, "hidden") {
			t.Errorf("%s: the password is shown", args)
		}
	}
}

func TestJetStreamMissing(t *testing.T) {
	t.Parallel()
	e := acme(servertest.NATS(t))
	for _, args := range []string{"results get a", "results watch", "dead list", "dead show 1", "submit --product-code X --amount 5"} {
		stdout, stderr, code := runCommand(t, e, strings.Split(args, " ")...)
		if code != lifecycle.Failed || stdout != "" || !strings.Contains(stderr, "is missing: run `vendstream provision`") {
			t.Errorf("%s: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestForeignTextInErrors(t *testing.T) {
	t.Parallel()
	_, stderr, code := runCommand(t, env{}, "results", "\x1b[2J")
	if code != lifecycle.Usage || strings.Contains(stderr, "\x1b") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}
