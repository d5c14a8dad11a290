package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// clusterWait is how long a cluster may take to choose its leaders.
const clusterWait = time.Minute

// newCluster is a world with that many nats-servers, which write through to the disk
// before they acknowledge (sync_interval: always); streams have a replica on each.
func newCluster(ctx context.Context, dir, self string, nodes int) (_ *world, err error) {
	w := &world{dir: dir, self: self, replicas: nodes}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	configs, err := w.nodeConfigs(nodes)
	if err != nil {
		return nil, err
	}
	var urls []string
	for i, config := range configs {
		name := fmt.Sprintf("nats-server %d", i+1)
		node, url, err := beginServer(ctx, name, w.file(fmt.Sprintf("nats-%d.log", i+1)), self, "bench", "nats-server", "--config", config)
		if err != nil {
			return nil, err
		}
		if urls = append(urls, url); i == 0 {
			w.nats = node
		} else {
			w.others = append(w.others, node)
		}
	}
	w.natsURL = strings.Join(urls, ",")
	if w.nc, err = nats.Connect(w.natsURL); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if w.js, err = jetstream.New(w.nc); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if err := until(ctx, clusterWait, 100*time.Millisecond, "the nats-servers are a cluster", func() (bool, error) {
		call, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := w.js.AccountInfo(call)
		return err == nil, ctx.Err()
	}); err != nil {
		return nil, err
	}
	return w, w.startRedis(ctx)
}

// nodeConfigs writes the configuration of each server.
func (w *world) nodeConfigs(nodes int) ([]string, error) {
	ports := make([]string, nodes)
	var routes []string
	for i := range ports {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		ports[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		routes = append(routes, strconv.Quote("nats-route://"+ports[i]))
	}
	var names []string
	for i := range nodes {
		text := fmt.Sprintf("server_name: bench-%d\nlisten: \"127.0.0.1:-1\"\njetstream: {store_dir: %q, sync_interval: always}\n",
			i+1, w.file(fmt.Sprintf("nats-%d", i+1)))
		if nodes > 1 {
			text += fmt.Sprintf("cluster: {name: bench, listen: %q, routes: [%s]}\n", ports[i], strings.Join(routes, ", "))
		}
		name := w.file(fmt.Sprintf("nats-%d.conf", i+1))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		names = append(names, name)
	}
	return names, nil
}

// servers are all nats-servers.
func (w *world) servers() []*process { return append([]*process{w.nats}, w.others...) }
