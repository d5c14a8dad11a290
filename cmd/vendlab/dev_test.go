package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/vendstream/vendstream/internal/app"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

func startDev(t *testing.T, dir string, more ...string) *running {
	t.Helper()
	return startCommand(t, append([]string{
		"dev", "--data-dir", dir, "--nats-port", "0", "--redis-port", "0", "--vendor-port", "0", "--http-port", "0",
	}, more...)...)
}

// connect reads the configuration that dev wrote, as vendstream would.
func connect(t *testing.T, file string) (*config.Config, *nats.Conn) {
	t.Helper()
	cfg, _, err := config.Load(config.Options{Environ: []string{"VENDSTREAM_CONFIG=" + file}})
	if err != nil {
		t.Fatal(err)
	}
	nc, _, err := app.ConnectNATS(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return cfg, nc
}

// result waits for the result of a purchase.
func result(t *testing.T, nc *nats.Conn, account, reference string) *purchase.Result {
	t.Helper()
	store, err := publisher.NewStore(nc, publisher.Subjects{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := store.Result(ctx, account, reference)
		if err != nil {
			t.Fatal("no result: ", err)
		}
		if r != nil {
			return r
		}
		<-tick.C
	}
}

func submit(t *testing.T, nc *nats.Conn, account, reference string) publisher.Submitted {
	t.Helper()
	p, err := publisher.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	request, err := publisher.Purchase{
		ProductCode: "ATP-100", Amount: "10.00", PaymentMethod: "CASH", ChannelID: "APP", MerchantReference: reference,
	}.Request(account)
	if err != nil {
		t.Fatal(err)
	}
	done, err := p.Submit(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// What was settled before a restart is known after it, though Redis and the
// vendor begin anew.
func TestDevSurvivesARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := startDev(t, dir)
	for _, want := range []string{"go run ./cmd/vendstream submit", "export VENDSTREAM_CONFIG=" + r.Config, r.Vendor, r.HTTP, "acme, beta"} {
		if !strings.Contains(r.stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, r.stderr)
		}
	}
	_, nc := connect(t, r.Config)
	submit(t, nc, "acme", "before")
	first := result(t, nc, "acme", "before")
	nc.Close()
	if first.Status != purchase.StatusCompleted {
		t.Errorf("result %+v", first)
	}
	if code := r.stop(); code != lifecycle.Done {
		t.Errorf("code %d\n%s", code, r.stderr)
	}

	r = startDev(t, dir)
	_, nc = connect(t, r.Config)
	defer nc.Close()
	again := result(t, nc, "acme", "before")
	if again.TransactionID != first.TransactionID || !again.ResolvedAt.Equal(first.ResolvedAt) {
		t.Errorf("result %+v became %+v", first, again)
	}
	submit(t, nc, "beta", "after-sim-pending")
	if later := result(t, nc, "beta", "after-sim-pending"); later.Status != purchase.StatusCompleted || later.Source != purchase.SourcePoll {
		t.Errorf("result %+v", later)
	}
	if code := r.stop(); code != lifecycle.Done {
		t.Errorf("code %d\n%s", code, r.stderr)
	}
}

// Without daemons the servers alone are there, and `vendstream serve` can use them
// with the configuration that was written.
func TestDevWithoutDaemons(t *testing.T) {
	dir := t.TempDir()
	r := startDev(t, dir, "--no-daemons")
	if r.HTTP != "" || !strings.Contains(r.stderr.String(), "go run ./cmd/vendstream serve") {
		t.Errorf("http %q\n%s", r.HTTP, r.stderr)
	}
	if info, err := os.Stat(r.Config); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("configuration: %v, %v", info, err)
	}
	cfg, nc := connect(t, r.Config)
	nc.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cfg.HTTP.Addr = ""
	err := app.Run(ctx, cfg, app.Options{
		Roles: app.Roles{Consumer: true, Poller: true}, Log: zerolog.Nop(),
		Started: func(string) { cancel() },
	})
	if err != nil {
		t.Error(err)
	}
	if code := r.stop(); code != lifecycle.Done {
		t.Errorf("code %d\n%s", code, r.stderr)
	}
}

func TestDevPortInUse(t *testing.T) {
	for _, flag := range []string{"--nats-port", "--redis-port", "--vendor-port", "--http-port"} {
		port := taken(t)
		args := []string{"dev", "--data-dir", t.TempDir(), "--nats-port", "0", "--redis-port", "0", "--vendor-port", "0", "--http-port", "0", flag, port}
		_, stderr, code := runCommand(t, args...)
		if code != lifecycle.Failed || !strings.Contains(stderr, flag) || !strings.Contains(stderr, "port "+port) {
			t.Errorf("%s: code %d\n%s", flag, code, stderr)
		}
	}
}
