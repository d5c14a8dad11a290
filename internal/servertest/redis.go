package servertest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	redisProgram = "redis-server"
	// redisWait is how long the server may take to start, and to stop, before
	// the test fails. It takes some ten milliseconds.
	redisWait = 20 * time.Second
	// redisPoll is how often a starting server is asked.
	redisPoll = 5 * time.Millisecond
	// redisPorts is how many ports are tried: between finding a free one and
	// using it another program may have taken it.
	redisPorts = 5
)

// RedisServer is a real redis-server of one test. Its methods fail the test
// where they cannot do what they say, so they are called from the test's own
// goroutine.
type RedisServer struct {
	tb   testing.TB
	path string
	dir  string
	port int
	args []string

	process *exec.Cmd     // nil while stopped
	exited  chan struct{} // closed when process has ended
}

// RedisOption changes how the server is started.
type RedisOption func(*RedisServer)

// RedisAOF makes the server keep what it acknowledged in an append-only file,
// written through at every command.
func RedisAOF() RedisOption {
	return RedisArgs("--appendonly", "yes", "--appendfsync", "always")
}

// RedisArgs adds arguments to the server's command line, after those given here.
func RedisArgs(args ...string) RedisOption {
	return func(s *RedisServer) { s.args = append(s.args, args...) }
}

// Redis starts redis-server from the PATH on a free port of the loopback
// interface, with its files in a directory of the test, and waits until it
// answers. It keeps nothing on disk unless RedisAOF says so. The test's cleanup
// stops it. Where redis-server is not installed the test fails.
func Redis(tb testing.TB, options ...RedisOption) *RedisServer {
	tb.Helper()
	path, err := findRedis()
	if err != nil {
		tb.Fatal(err)
	}
	s := &RedisServer{tb: tb, path: path, dir: tb.TempDir()}
	for _, option := range options {
		option(s)
	}
	tb.Cleanup(s.kill)
	for tried := 1; ; tried++ {
		if s.port, err = freePort(); err != nil {
			tb.Fatalf("redis-server: find a free port: %v", err)
		}
		if err = s.start(); err == nil {
			return s
		}
		if tried == redisPorts {
			tb.Fatalf("redis-server: %v\n%s", err, s.log())
		}
	}
}

// findRedis is the path of redis-server, or an error that says how to get it.
func findRedis() (string, error) {
	path, err := exec.LookPath(redisProgram)
	if err != nil {
		return "", fmt.Errorf("%w: this test needs a real Redis; install it with "+
			"\"apt-get install redis-server\" or \"brew install redis\"", err)
	}
	return path, nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}

// Addr is the server's host:port. It stays the same over Stop and Start.
func (s *RedisServer) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is the server's address as a redis:// URL of database 0.
func (s *RedisServer) URL() string { return "redis://" + s.Addr() + "/0" }

// Start starts a stopped server again, on the same port and directory: empty,
// unless it was started with RedisAOF.
func (s *RedisServer) Start() {
	s.tb.Helper()
	if s.process != nil {
		s.tb.Fatal("redis-server: started while it runs")
	}
	if err := s.start(); err != nil {
		s.tb.Fatalf("redis-server: %v\n%s", err, s.log())
	}
}

// Stop ends the server in good order and waits for its end. A stopped server
// stays stopped.
func (s *RedisServer) Stop() {
	s.tb.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.tb.Fatalf("redis-server: stop: %v", err)
	}
	select {
	case <-s.exited:
		s.process = nil
	case <-time.After(redisWait):
		s.tb.Fatalf("redis-server: did not stop in %v\n%s", redisWait, s.log())
	}
}

// Kill ends the server at once, as a crash does, and waits for its end.
func (s *RedisServer) Kill() {
	s.tb.Helper()
	s.kill()
}

func (s *RedisServer) kill() {
	if s.process == nil {
		return
	}
	// The only error is that it has ended already.
	_ = s.process.Process.Kill()
	<-s.exited
	s.process = nil
}

// Flush empties every database (FLUSHALL). Loaded scripts stay.
func (s *RedisServer) Flush() {
	s.tb.Helper()
	if answer, err := s.ask("FLUSHALL"); err != nil || answer != "+OK" {
		s.tb.Fatalf("redis-server: flush: %q, %v", answer, err)
	}
}

// start runs the server and waits until it answers.
func (s *RedisServer) start() error {
	output, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer output.Close() // the process holds its own
	args := append([]string{
		"--bind", "127.0.0.1",
		"--port", strconv.Itoa(s.port),
		"--dir", s.dir,
		"--save", "",
		"--appendonly", "no",
		"--daemonize", "no",
	}, s.args...)
	process := exec.Command(s.path, args...)
	process.Stdout, process.Stderr = output, output
	if err := process.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = process.Wait() // how it ended is in its log
	}()
	s.process, s.exited = process, exited
	if err := s.ready(); err != nil {
		s.kill()
		return err
	}
	return nil
}

// ready asks the server until it answers, ends, or takes too long.
func (s *RedisServer) ready() error {
	poll := time.NewTicker(redisPoll)
	defer poll.Stop()
	late := time.After(redisWait)
	for {
		if answer, err := s.ask("PING"); err == nil && answer == "+PONG" && s.ours() {
			return nil
		}
		select {
		case <-poll.C:
		case <-s.exited:
			return errors.New("ended while it started")
		case <-late:
			return fmt.Errorf("not ready in %v", redisWait)
		}
	}
}

// ours reports whether it is this process that answers, and not another test's
// server that took the port first: ours ends then, and another port is tried.
func (s *RedisServer) ours() bool {
	answer, err := s.ask("EVAL \"return string.match(redis.call('INFO', 'server'), 'process_id:(%d+)')+0\" 0")
	return err == nil && answer == ":"+strconv.Itoa(s.process.Process.Pid)
}

// ask sends one command on a connection of its own and returns the first line
// of the answer.
func (s *RedisServer) ask(command string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr(), redisWait)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(redisWait)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(conn)
	if !lines.Scan() {
		return "", errors.Join(io.ErrUnexpectedEOF, lines.Err())
	}
	return lines.Text(), nil
}

func (s *RedisServer) logFile() string { return filepath.Join(s.dir, "redis.log") }

// log is what the server has said, for the message of a failed test.
func (s *RedisServer) log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}
