package deploy_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/dedupe"
)

const startWait = 20 * time.Second

func itoa(n int) string { return strconv.Itoa(n) }

func redisPort(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^port ([0-9]+)$`).FindStringSubmatch(read(t, "deploy/redis.conf"))
	if m == nil {
		t.Fatal("deploy/redis.conf names no port")
	}
	return m[1]
}

// TestNATS reads nats.conf with the server's own reader, starts it on another
// port, and provisions it with the configuration of the compose file.
func TestNATS(t *testing.T) {
	c, _ := composed(t)
	if want := "nats:" + required(t, "github.com/nats-io/nats-server/v2"); !strings.HasPrefix(c.Services["nats"].Image, want) {
		t.Errorf("image %s, tested with %s", c.Services["nats"].Image, want)
	}
	opts, err := server.ProcessConfigFile(filepath.Join(root, "deploy/nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !opts.JetStream || !opts.SyncAlways || opts.StoreDir != "/data" {
		t.Errorf("JetStream %v, sync always %v, store %q", opts.JetStream, opts.SyncAlways, opts.StoreDir)
	}
	if opts.MaxPayload < 1<<20 {
		t.Errorf("max_payload %d: a result may need 1 MiB", opts.MaxPayload)
	}
	opts.Host, opts.Port, opts.HTTPPort = "127.0.0.1", server.RANDOM_PORT, 0
	opts.StoreDir, opts.NoLog, opts.NoSigs = t.TempDir(), true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(startWait) {
		t.Fatal("did not get ready")
	}
	env := append(environ(c.Services["provision"].Environment),
		"VENDSTREAM_CONFIG="+configFile, "VENDSTREAM_NATS_URL="+s.ClientURL())
	for _, want := range []string{"create", "keep"} {
		out, err := program(t, env, "vendstream", c.Services["provision"].Command...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("provision: %v, want %q\n%s", err, want, out)
		}
	}
}

// TestRedis starts the real redis-server with redis.conf, on another port.
func TestRedis(t *testing.T) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	// Redis enters the directory as it reads the line, and here there is none.
	dir := t.TempDir()
	text := read(t, "deploy/redis.conf")
	if !strings.Contains(text, "\ndir /data\n") {
		t.Error("deploy/redis.conf does not write to the volume /data")
	}
	conf := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(conf, []byte(strings.Replace(text, "\ndir /data\n", "\ndir "+dir+"\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd := exec.Command(path, conf, "--bind", "127.0.0.1", "--port", port(t, addr))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	for late := time.Now().Add(startWait); client.Ping(t.Context()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			stop()
			stopped = true
			t.Fatalf("redis-server did not start:\n%s", said.String())
		}
	}
	if warning, err := dedupe.New(client, dedupe.Config{}).CheckPolicy(t.Context()); warning != "" || err != nil {
		t.Errorf("policy: %q, %v", warning, err)
	}
	for name, want := range map[string]string{"appendonly": "yes", "save": "", "maxmemory-policy": "noeviction"} {
		if got := client.ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
