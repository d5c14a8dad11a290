package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// client keeps no connections, whose goroutines would outlive a test.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// serve runs a server until the test ends.
func serve(t *testing.T, checks ...Check) *Server {
	t.Helper()
	reg := NewRegistry()
	NewMetrics(reg).AddAccount("acme")
	s, err := NewServer("127.0.0.1:0", reg, checks, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestServer(t *testing.T) {
	var down atomic.Bool
	s := serve(t, Check{"redis", func(context.Context) error {
		if down.Load() {
			return errors.New("connection refused")
		}
		return nil
	}})
	base := "http://" + s.Addr()
	if code, body := get(t, base+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("%d %q", code, body)
	}
	if code, body := get(t, base+"/metrics"); code != 200 || !strings.Contains(body, `vendstream_in_flight{account="acme"} 0`) {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := get(t, base+"/"); code != 404 {
		t.Errorf("/ gives %d", code)
	}
	s.AddCheck(Check{"nats", func(context.Context) error { return nil }})
	const both = `{"ready":true,"checks":[{"name":"nats","ok":true},{"name":"redis","ok":true}]}`
	if code, body := get(t, base+"/readyz"); code != 200 || strings.TrimSpace(body) != both {
		t.Errorf("%d %s", code, body)
	}
	down.Store(true)
	const one = `{"ready":false,"checks":[{"name":"nats","ok":true},{"name":"redis","ok":false,"error":"connection refused"}]}`
	if code, body := get(t, base+"/readyz"); code != 503 || strings.TrimSpace(body) != one {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := get(t, base+"/healthz"); code != 200 {
		t.Error("not ready counts as dead")
	}
	s.AddCheck(Check{"redis", func(context.Context) error { panic("no") }})
	if code, body := get(t, base+"/readyz"); code != 503 || !strings.Contains(body, "the check panicked: no") {
		t.Errorf("%d %s", code, body)
	}
}

func TestReadyWithoutChecks(t *testing.T) {
	s := serve(t)
	code, body := get(t, "http://"+s.Addr()+"/readyz")
	var answer readyAnswer
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != 200 || !answer.Ready || answer.Checks == nil {
		t.Errorf("%d %s", code, body)
	}
}

func TestProbeThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r readiness
		var asked atomic.Int32
		release := make(chan struct{})
		defer close(release)
		r.add(Check{"deaf", func(context.Context) error { asked.Add(1); <-release; return nil }})
		r.add(Check{"slow", func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }})
		r.add(Check{"well", func(context.Context) error { return nil }})
		for range 3 {
			start := time.Now()
			answer := r.run(t.Context())
			if took := time.Since(start); took != probeTimeout {
				t.Errorf("took %v", took)
			}
			if answer.Ready || answer.Checks[0].Error != "no answer within 2s" || answer.Checks[1].OK || !answer.Checks[2].OK {
				t.Errorf("%+v", answer)
			}
			synctest.Wait()
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the probe that hangs runs %d times", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if answer := r.run(ctx); answer.Ready {
			t.Error("ready, though nobody waited for the answer")
		}
		<-time.After(2 * probeTimeout) // the bubble's clock stops with this function, and "slow" waits for it
	})
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = NewServer(taken.Addr().String(), NewRegistry(), nil, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestServerTurnedOff(t *testing.T) {
	for name, end := range map[string]func(s *Server, cancel func()) error{
		"context": func(_ *Server, cancel func()) error { cancel(); return nil },
		"close":   func(s *Server, _ func()) error { return errors.Join(s.Close(), s.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewServer("", NewRegistry(), nil, zerolog.Nop())
			if err != nil || s.Addr() != "" {
				t.Fatalf("%v %q", err, s.Addr())
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			if err := end(s, cancel); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCloseBeforeRun(t *testing.T) {
	s, err := NewServer("127.0.0.1:0", NewRegistry(), nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	again, err := net.Listen("tcp", s.Addr())
	if err != nil {
		t.Fatalf("the address is still taken: %v", err)
	}
	again.Close()
	if err := s.Run(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestAnswersUnderWayFinish(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	reg := NewRegistry()
	s, err := NewServer("127.0.0.1:0", reg, []Check{{"slow", func(context.Context) error { close(asked); <-release; return nil }}}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	code := make(chan int, 1)
	go func() {
		answer, err := client.Get("http://" + s.Addr() + "/readyz")
		if err != nil {
			t.Error(err)
			code <- 0
			return
		}
		answer.Body.Close()
		code <- answer.StatusCode
	}()
	<-asked
	cancel()
	close(release)
	if got := <-code; got != 200 {
		t.Errorf("got %d", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
