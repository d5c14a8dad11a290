package lab

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/simulator"
)

// taken is a port of loopback that somebody listens on until the end of the test.
func taken(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}

func TestPortInUse(t *testing.T) {
	port := taken(t)
	for flag, ports := range map[string]Ports{
		"--nats-port":   {NATS: port},
		"--redis-port":  {Redis: port},
		"--vendor-port": {Vendor: port},
		"--http-port":   {HTTP: port},
	} {
		var stderr strings.Builder
		err := RunDev(t.Context(), DevOptions{Dir: t.TempDir(), Ports: ports, Stderr: &stderr})
		if !errors.Is(err, ErrPort) || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// The embedded Redis keeps time: TIME is right, and keys expire by the clock.
func TestRedisKeepsTime(t *testing.T) {
	servers, err := StartServers(t.TempDir(), Ports{}, simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	options, err := redis.ParseURL(servers.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	before := time.Now().Add(-time.Second)
	if now, err := client.Time(ctx).Result(); err != nil || now.Before(before) || now.After(time.Now().Add(time.Second)) {
		t.Errorf("TIME is %v, %v", now, err)
	}
	if err := client.Set(ctx, "lease", "mine", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := client.Exists(ctx, "lease").Result()
		if err != nil {
			t.Fatal("the key does not expire: ", err)
		}
		if n == 0 {
			return
		}
		<-tick.C
	}
}

func TestServersTwiceClosed(t *testing.T) {
	servers, err := StartServers(t.TempDir(), Ports{}, simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	servers.Close()
	servers.Close()
	if _, err := StartServers(t.TempDir(), Ports{}, simulator.Config{OpenFor: 1, MaxEntries: -1}); err == nil {
		t.Error("a vendor that cannot be made is no error")
	}
}
