package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/publisher"
)

// account is the one that buys.
const account = "bench"

// world is the servers of all runs, and this program's connections to them.
type world struct {
	dir      string
	self     string // path of vendlab
	nats     *process
	others   []*process // of the cluster, where there is one
	redis    *process
	natsURL  string
	redisURL string
	nc       *nats.Conn
	js       jetstream.JetStream
	client   redis.UniversalClient
	replicas int // of the streams
}

func newWorld(ctx context.Context, dir, self string) (_ *world, err error) {
	w := &world{dir: dir, self: self, replicas: 1}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.nats, w.natsURL, err = beginServer(ctx, "nats-server", w.file("nats.log"), self, "bench", "nats-server", "--dir", w.file("nats"))
	if err != nil {
		return nil, err
	}
	if w.nc, err = nats.Connect(w.natsURL); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if w.js, err = jetstream.New(w.nc); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return w, w.startRedis(ctx)
}

var errNoRedis = errors.New(`redis-server is not in the PATH: install it with "apt-get install redis-server" or "brew install redis"`)

func (w *world) startRedis(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	w.redis, err = begin("redis-server", w.file("redis.log"), nil, "redis-server", "--bind", "127.0.0.1",
		"--port", strconv.Itoa(port), "--dir", w.dir, "--save", "", "--appendonly", "no", "--daemonize", "no")
	if err != nil {
		return &lifecycle.Exit{Code: lifecycle.Failed, Err: errors.Join(errNoRedis, err)}
	}
	w.redisURL = "redis://127.0.0.1:" + strconv.Itoa(port) + "/0"
	if w.client, err = dedupe.Open(w.redisURL); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	for range int(readyWait / (50 * time.Millisecond)) {
		if err = w.client.Ping(ctx).Err(); err == nil {
			return nil
		}
		if err := errors.Join(w.redis.ended(), sleep(ctx, 50*time.Millisecond)); err != nil {
			return err
		}
	}
	return w.redis.explain(err)
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

// close ends the servers.
func (w *world) close() {
	if w.client != nil {
		_ = w.client.Close()
	}
	if w.nc != nil {
		w.nc.Close()
	}
	w.redis.kill()
	w.nats.kill()
	for _, p := range w.others {
		p.kill()
	}
}

// prepare makes the streams and consumers of one run, which has a prefix of its own.
func (w *world) prepare(ctx context.Context, prefix string) error {
	_, err := broker.Ensure(ctx, w.js, broker.Topology{
		Subjects: publisher.Subjects{Prefix: prefix},
		Replicas: w.replicas,
		AckWait:  dedupe.DefaultLease,
		Results:  90 * 24 * time.Hour,
		Accounts: []string{account},
	})
	return err
}

// clear removes what a run has left, so that the next finds the servers empty.
func (w *world) clear(ctx context.Context, prefix string) error {
	s := publisher.Subjects{Prefix: prefix}
	for _, stream := range []string{s.RequestsStream(), s.PendingStream(), s.ResultsStream(), s.DeadStream()} {
		if err := w.js.DeleteStream(ctx, stream); err != nil {
			return fmt.Errorf("bench: remove %s: %w", stream, err)
		}
	}
	if err := w.client.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("bench: empty Redis: %w", err)
	}
	return nil
}

// configure writes the configuration of `vendstream consumer`: the defaults, and an
// account without a purchase limit.
func (w *world) configure(prefix, vendorURL, httpAddr string, inFlight int) (string, error) {
	text := fmt.Sprintf("nats: {url: %q}\nredis: {url: %q}\nhttp: {addr: %q}\nsubjects: {prefix: %s}\n"+
		"accounts:\n  - {name: %s, base_url: %q, username: bench, password: bench-secret, user_type_id: \"1001\", purchase_limit: {requests: 0}, max_in_flight: %d}\n",
		w.natsURL, w.redisURL, httpAddr, prefix, account, vendorURL, inFlight)
	name := w.file(prefix + ".yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	return name, nil
}

func freePort() (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("bench: find a free port: %w", err)
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// sleep waits, and fails where ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
