package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/simulator"
)

// asProgram makes the test binary the program itself, for tests that kill it.
const asProgram = "VENDSTREAM_TEST_AS_PROGRAM"

func init() {
	if os.Getenv(asProgram) != "" {
		main()
	}
}

// process starts a daemon as a process of its own.
func (s *stack) process(name string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.CommandContext(context.Background(), os.Args[0], name, "--config", s.config)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = s.logs, s.logs
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func (s *stack) calls(endpoint simulator.Endpoint, atLeast int64) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d calls of %s", atLeast, endpoint), func() error {
		if n := s.vendor.Stats().Total(endpoint); n < atLeast {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
}

// A consumer killed in the middle of its calls: another takes over, and every
// purchase is vended once.
func TestKilledConsumer(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	if err := s.vendor.Order(simulator.Fault{
		Match: simulator.Match{Prefix: "k-"}, Times: -1,
		Steps: []simulator.Step{{Latency: simulator.Duration(100 * time.Millisecond)}},
	}); err != nil {
		t.Fatal(err)
	}
	s.daemon("poller") // makes the streams
	var refs []string
	for i := range 300 {
		refs = append(refs, fmt.Sprintf("k-%d", i))
		s.publish("acme", electricity(refs[i]))
	}
	for kill := range 3 {
		consumer := s.process("consumer")
		s.calls(simulator.EndpointPurchase, int64(40*(kill+1)))
		if err := consumer.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	s.process("consumer")
	s.process("consumer")
	for _, ref := range refs {
		s.result("acme", ref)
	}
	s.settled()
	s.noDeadLetters()
}

// A poller killed while purchases are open.
func TestKilledPoller(t *testing.T) {
	eachPoller(t, simulator.Config{OpenFor: simulator.Duration(2 * time.Second)}, killedPoller)
}

func killedPoller(t *testing.T, s *stack) {
	s.daemon("consumer")
	var refs []string
	for i := range 60 {
		refs = append(refs, fmt.Sprintf("sim-pending-%d", i))
		s.publish("acme", electricity(refs[i]))
	}
	poller := s.process("poller")
	s.calls(simulator.EndpointTransactions, 50)
	if err := poller.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.process("poller")
	// Two at work are safe, also one of each kind, as while a fleet is changed.
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	s.config += ".other"
	if err := os.WriteFile(s.config, bytes.ReplaceAll(text, []byte(dueIndex.on), []byte(dueIndex.off)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.process("poller")
	for _, ref := range refs {
		s.result("acme", ref)
	}
	s.settled()
	for _, ref := range refs {
		if e := s.entry("acme", ref); e.RepostedWhileOpen > 0 || e.Calls > 3 {
			t.Errorf("%s: %+v", ref, e)
		}
	}
}

// SIGTERM ends a process with 0, and a second one at once.
func TestSignals(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	idle := s.process("serve")
	eventually(t, "the process works", func() error {
		_, err := s.js.Consumer(t.Context(), s.subjects.RequestsStream(), "acme")
		return err
	})
	s.publish("acme", electricity("before"))
	s.result("acme", "before")
	if err := idle.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if err := s.vendor.Order(simulator.Fault{Times: -1, Steps: []simulator.Step{{Answer: simulator.AnswerHang}}}); err != nil {
		t.Fatal(err)
	}
	busy := s.process("serve")
	before := s.vendor.Stats().Total(simulator.EndpointPurchase)
	s.publish("acme", electricity("hangs"))
	s.calls(simulator.EndpointPurchase, before+1)
	if err := busy.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Signals of one kind may be taken together: the second one follows when the
	// first has shown.
	eventually(t, "the stop has begun", func() error {
		if strings.Count(s.logs.String(), `"message":"stopping"`) < 2 { // the first process's is one
			return fmt.Errorf("no sign of it")
		}
		return nil
	})
	start := time.Now()
	if err := busy.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = busy.Wait()
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("the second signal took %s", took)
	}
	if code := busy.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d after two signals", code)
	}
}
