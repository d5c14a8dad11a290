package servertest

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

// do sends one command and returns all lines of a short answer.
func do(t *testing.T, s *RedisServer, command string, lines int) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	var answer []string
	for range lines {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		answer = append(answer, strings.TrimSpace(line))
	}
	return strings.Join(answer, " ")
}

func TestRedisKeepsNothingByDefault(t *testing.T) {
	s := Redis(t)
	if want := "redis://" + s.Addr() + "/0"; s.URL() != want {
		t.Errorf("URL is %q, want %q", s.URL(), want)
	}
	for _, stop := range []func(){s.Stop, s.Kill} {
		addr := s.Addr()
		do(t, s, "SET k v", 1)
		if got := do(t, s, "GET k", 2); got != "$1 v" {
			t.Fatalf("GET before the end: %q", got)
		}
		stop()
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Fatal("it answers after its end")
		}
		stop() // once more is nothing
		s.Start()
		if s.Addr() != addr {
			t.Fatalf("moved from %s to %s", addr, s.Addr())
		}
		if got := do(t, s, "GET k", 1); got != "$-1" {
			t.Fatalf("GET after the end: %q", got)
		}
	}
}

func TestRedisFlush(t *testing.T) {
	s := Redis(t)
	do(t, s, "SET k v", 1)
	s.Flush()
	if got := do(t, s, "DBSIZE", 1); got != ":0" {
		t.Errorf("keys after a flush: %s", got)
	}
}

func TestRedisAOFSurvivesACrash(t *testing.T) {
	s := Redis(t, RedisAOF())
	do(t, s, "SET k v", 1)
	s.Kill()
	s.Start()
	if got := do(t, s, "GET k", 2); got != "$1 v" {
		t.Errorf("GET after a crash: %q", got)
	}
}

func TestRedisServersAreApart(t *testing.T) {
	a, b := Redis(t), Redis(t)
	do(t, a, "SET k v", 1)
	if got := do(t, b, "GET k", 1); got != "$-1" {
		t.Errorf("the other server has it too: %q", got)
	}
}

func TestRedisMissingSaysHowToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := findRedis()
	if err == nil {
		t.Fatal("found redis-server in an empty directory")
	}
	for _, want := range []string{"redis-server", "apt-get install redis-server", "brew install redis"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestRedisBadArgumentsEndTheStart(t *testing.T) {
	path, err := findRedis()
	if err != nil {
		t.Fatal(err)
	}
	s := &RedisServer{tb: t, path: path, dir: t.TempDir(), args: []string{"--no-such-setting", "1"}}
	if s.port, err = freePort(); err != nil {
		t.Fatal(err)
	}
	if err := s.start(); err == nil {
		s.kill()
		t.Fatal("started with an unknown setting")
	}
	if !strings.Contains(s.log(), "no-such-setting") {
		t.Errorf("the log does not name the setting: %q", s.log())
	}
}
