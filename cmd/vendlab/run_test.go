package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runCommand runs the program to its end, as main does.
func runCommand(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = conclude(&errs, run(t.Context(), args, env{Stdout: &out, Stderr: &errs}))
	return out.String(), errs.String(), code
}

// running is a command that keeps running.
type running struct {
	started
	t      *testing.T
	end    context.CancelCauseFunc
	code   chan int
	stderr *shared
}

// startCommand returns when the command can be used.
func startCommand(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, end := context.WithCancelCause(context.Background())
	r := &running{t: t, end: end, code: make(chan int, 1), stderr: &shared{}}
	begun := make(chan started, 1)
	go func() {
		r.code <- conclude(r.stderr, run(ctx, args, env{
			Stdout: r.stderr, Stderr: r.stderr,
			Started: func(s started) { begun <- s },
		}))
	}()
	select {
	case r.started = <-begun:
	case code := <-r.code:
		t.Fatalf("%v ended with %d:\n%s", args, code, r.stderr)
	}
	t.Cleanup(func() { end(nil) })
	return r
}

// stop sends the signal and gives the exit code.
func (r *running) stop() int {
	r.t.Helper()
	r.end(&lifecycle.Stopped{Signal: os.Interrupt})
	select {
	case code := <-r.code:
		return code
	case <-time.After(30 * time.Second):
		r.t.Fatalf("does not stop:\n%s", r.stderr)
		return 0
	}
}

// shared is a buffer for many writers.
type shared struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func TestUsage(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("no_such_key: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "needs a command"},
		{[]string{"demonstrate"}, "unknown command"},
		{[]string{"demo", "extra"}, "unknown command"},
		{[]string{"demo", "--purchases", "0"}, "--purchases must be 1 to"},
		{[]string{"demo", "--timeout", "10ms"}, "--timeout must be 1s to 1m"},
		{[]string{"demo", "--purchases", "many"}, "invalid argument"},
		{[]string{"demo", "--output", "xml"}, "must be table, json, jsonl or csv"},
		{[]string{"demo", "--no-such-flag"}, "unknown flag"},
		{[]string{"dev", "--nats-port", "65536"}, "--nats-port must be"},
		{[]string{"dev", "--data-dir", ""}, "--data-dir must not be empty"},
		{[]string{"simulator", "--config", missing}, "--config"},
		{[]string{"simulator", "--config", wrong}, "no_such_key"},
		{[]string{"bench", "--purchases", "1"}, "--purchases must be"},
		{[]string{"bench", "--latency", "-1s"}, "--latency must be"},
		{[]string{"bench", "--in-flight", "8,0"}, "--in-flight must be"},
		{[]string{"bench", "--rounds", "0"}, "--rounds must be"},
		{[]string{"bench", "--light", "-1"}, "--light must be"},
		{[]string{"bench", "--light-for", "0s"}, "--light-for must be"},
		{[]string{"bench", "--vendstream", missing}, "--vendstream"},
		{[]string{"bench", "--vendstream", filepath.Dir(missing)}, "is a directory"},
	} {
		stdout, stderr, code := runCommand(t, c.args...)
		if code != lifecycle.Usage || !strings.Contains(stderr, c.says) || stdout != "" {
			t.Errorf("%v: code %d\n%s%s", c.args, code, stdout, stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"--help"}, []string{"demo", "dev", "simulator", "bench", "130 interrupted"}},
		{[]string{"simulator", "--help"}, []string{"pending-failed", "reset-after", "truncated", "--addr"}},
		{[]string{"bench", "--help"}, []string{"--purchases", "--latency", "--in-flight", "--rounds", "--light", "--output", "--plot", "light_p99"}},
		{[]string{"demo", "--help"}, []string{"--purchases", "--seed", "--output", "--keep", "--verbose"}},
		{[]string{"dev", "--help"}, []string{"--data-dir", "--nats-port", "--redis-port", "--vendor-port", "--http-port", "--no-daemons"}},
	} {
		stdout, stderr, code := runCommand(t, c.args...)
		for _, want := range c.says {
			if code != lifecycle.Done || !strings.Contains(stdout, want) {
				t.Errorf("%v: code %d, no %q in\n%s%s", c.args, code, want, stdout, stderr)
			}
		}
	}
}

func TestSimulator(t *testing.T) {
	config := filepath.Join(t.TempDir(), "vendor.yaml")
	if err := os.WriteFile(config, []byte("base_path: /v2/\naccounts: [{username: shop, password: key}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startCommand(t, "simulator", "--addr", "127.0.0.1:0", "--config", config)
	if !strings.HasSuffix(r.Vendor, "/v2") || !strings.Contains(r.stderr.String(), r.Vendor) {
		t.Errorf("base URL %s\n%s", r.Vendor, r.stderr)
	}
	if strings.Contains(r.stderr.String(), "WARNING") {
		t.Errorf("warns on loopback:\n%s", r.stderr)
	}
	answer := post(t, r.Vendor+"/auth/token", `{"username":"shop","password":"key"}`)
	if answer["successful"] != true {
		t.Errorf("login answered %v", answer)
	}
	_, stderr, code := runCommand(t, "simulator", "--addr", strings.TrimSuffix(strings.TrimPrefix(r.Vendor, "http://"), "/v2"))
	if code != lifecycle.Failed || !strings.Contains(stderr, "cannot listen on --addr 127.0.0.1:") {
		t.Errorf("port in use: code %d\n%s", code, stderr)
	}
	if code := r.stop(); code != lifecycle.Done {
		t.Errorf("code %d\n%s", code, r.stderr)
	}
}

func TestSimulatorWarns(t *testing.T) {
	r := startCommand(t, "simulator", "--addr", "0.0.0.0:0")
	if !strings.Contains(r.stderr.String(), "WARNING: others can reach it") {
		t.Errorf("no warning:\n%s", r.stderr)
	}
	if code := r.stop(); code != lifecycle.Done {
		t.Errorf("code %d\n%s", code, r.stderr)
	}
}

// post posts JSON and reads JSON.
func post(t *testing.T, url, body string) map[string]any {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// taken is a port of loopback that somebody listens on until the end of the test.
func taken(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
