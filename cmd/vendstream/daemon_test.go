package main

import (
	"context"
	"strings"
	"syscall"
	"testing"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/servertest"
)

func TestDaemonsEndWellAtASignal(t *testing.T) {
	t.Parallel()
	nats, redis := servertest.NATS(t), servertest.Redis(t, servertest.RedisArgs("--maxmemory-policy", "noeviction"))
	for _, name := range []string{"consumer", "poller", "serve"} {
		ctx, signal := context.WithCancelCause(t.Context())
		e := acme(nats).with("VENDSTREAM_REDIS_URL=" + redis.URL())
		started := false
		e.Started = func(addr string) {
			started = addr != ""
			signal(&lifecycle.Stopped{Signal: syscall.SIGTERM})
		}
		stdout, stderr, code := runUntil(ctx, e, name)
		if code != lifecycle.Done || stdout != "" || !started || strings.Contains(stderr, "vendstream: ") {
			t.Errorf("%s: code %d, started %v, stdout %q, stderr %s", name, code, started, stdout, stderr)
		}
	}
}

func TestDaemonStoppedWhileStarting(t *testing.T) {
	t.Parallel()
	nats, redis := servertest.NATS(t), servertest.Redis(t)
	ctx, signal := context.WithCancelCause(t.Context())
	signal(&lifecycle.Stopped{Signal: syscall.SIGTERM})
	_, stderr, code := runUntil(ctx, acme(nats).with("VENDSTREAM_REDIS_URL="+redis.URL()), "serve")
	if code != lifecycle.Done {
		t.Errorf("code %d, stderr %s", code, stderr)
	}
}

func TestDaemonFaults(t *testing.T) {
	t.Parallel()
	nats := servertest.NATS(t)
	for _, c := range []struct {
		name string
		env  env
		code int
		want string
	}{
		{"no account", env{Environ: []string{"VENDSTREAM_NATS_URL=" + nats.URL(), "VENDSTREAM_HTTP_ADDR=127.0.0.1:0"}}, lifecycle.Usage, "accounts: no account is configured"},
		{"no password", env{Environ: []string{"VENDSTREAM_ACCOUNT=acme", "PAGAMIO_USERNAME=buyer"}}, lifecycle.Usage, "accounts[0].password: is missing"},
		{"no Redis", acme(nats).with("VENDSTREAM_REDIS_URL=redis://127.0.0.1:1/0"), lifecycle.NotConnected, "could not connect to Redis"},
	} {
		stdout, stderr, code := runCommand(t, c.env, "serve")
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: code %d, stdout %q, stderr %q", c.name, code, stdout, stderr)
		}
	}
}
