package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsNode is one nats-server of the cluster.
type natsNode struct {
	process
	addr  string // its own; the driver uses it
	proxy *proxy // what everybody else uses
	store string // its directory
}

// natsCluster are the nats-servers.
type natsCluster struct {
	nodes []*natsNode
	nc    *nats.Conn // the driver's own, past the proxies
	js    jetstream.JetStream
}

// natsConfig is the configuration of one node. With client_advertise clients only
// ever hear of the proxies.
func natsConfig(name, addr, advertised, store, cluster string, routes []string) string {
	text := fmt.Sprintf(`server_name: %q
listen: %q
client_advertise: %q
jetstream: {store_dir: %q, sync_interval: always, max_file_store: 20GB}
`, name, addr, advertised, store)
	if len(routes) > 1 {
		text += fmt.Sprintf("cluster: {name: chaos, listen: %q, routes: [%s]}\n", cluster, strings.Join(routes, ", "))
	}
	return text
}

// newNATSCluster starts n servers; program is the command that runs one, to which
// the path of the configuration is added.
func newNATSCluster(dir string, n int, program, env []string, seed uint64) (_ *natsCluster, err error) {
	ports, err := freePorts(3 * n)
	if err != nil {
		return nil, err
	}
	c := &natsCluster{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	var routes []string
	for i := range n {
		routes = append(routes, fmt.Sprintf("%q", "nats-route://"+loopback(ports[3*i+1])))
	}
	for i := range n {
		name := fmt.Sprintf("nats-%d", i+1)
		node := &natsNode{addr: loopback(ports[3*i]), store: filepath.Join(dir, name)}
		if node.proxy, err = newProxy(ports[3*i+2], node.addr, seed); err != nil {
			return nil, err
		}
		config := filepath.Join(dir, name+".conf")
		text := natsConfig(name, node.addr, node.proxy.addr(), node.store, loopback(ports[3*i+1]), routes)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("chaos: %w", err)
		}
		node.name, node.env = name, env
		node.argv = append(append([]string{}, program...), config)
		node.log = filepath.Join(dir, name+".log")
		c.nodes = append(c.nodes, node)
	}
	return c, nil
}

// start runs the servers and waits until JetStream works.
func (c *natsCluster) start(ctx context.Context) error {
	for _, node := range c.nodes {
		if err := node.start(); err != nil {
			return err
		}
	}
	var err error
	c.nc, err = nats.Connect(c.urls(func(n *natsNode) string { return n.addr }),
		nats.Name("chaos"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.IgnoreDiscoveredServers())
	if err != nil {
		return fmt.Errorf("chaos: connect to the nats-servers: %w", err)
	}
	if c.js, err = jetstream.New(c.nc, jetstream.WithDefaultTimeout(3*time.Second)); err != nil {
		return fmt.Errorf("chaos: %w", err)
	}
	return again(ctx, time.Minute, "JetStream works", func(ctx context.Context) error {
		_, err := c.js.AccountInfo(ctx)
		return err
	})
}

func (c *natsCluster) urls(of func(*natsNode) string) string {
	var urls []string
	for _, node := range c.nodes {
		urls = append(urls, "nats://"+of(node))
	}
	return strings.Join(urls, ",")
}

// proxied is the cluster as the daemons and publishers know it.
func (c *natsCluster) proxied() string {
	return c.urls(func(n *natsNode) string { return n.proxy.addr() })
}

// leader is the node that leads a stream.
func (c *natsCluster) leader(ctx context.Context, stream string) (*natsNode, error) {
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	info := s.CachedInfo()
	for _, node := range c.nodes {
		if len(c.nodes) == 1 || info.Cluster != nil && info.Cluster.Leader == node.name {
			return node, nil
		}
	}
	return nil, errors.New("no leader")
}

// healthy waits until every stream has all its replicas up to date.
func (c *natsCluster) healthy(ctx context.Context, streams []string, within time.Duration) error {
	return again(ctx, within, "all replicas are up to date", func(ctx context.Context) error {
		for _, name := range streams {
			s, err := c.js.Stream(ctx, name)
			if err != nil {
				return err
			}
			cluster := s.CachedInfo().Cluster
			if len(c.nodes) == 1 || cluster == nil {
				continue
			}
			if cluster.Leader == "" || len(cluster.Replicas) < len(c.nodes)-1 {
				return fmt.Errorf("%s has no leader or too few replicas", name)
			}
			for _, replica := range cluster.Replicas {
				if replica.Offline || !replica.Current {
					return fmt.Errorf("%s: replica %s is not up to date", name, replica.Name)
				}
			}
		}
		return nil
	})
}

func (c *natsCluster) close() {
	if c.nc != nil {
		c.nc.Close()
	}
	for _, node := range c.nodes {
		node.signal(thaw)
		node.kill()
		node.proxy.close()
	}
}

// ServeNATS runs a nats-server with a configuration file until ctx ends. It is for
// `vendlab chaos`, which runs its own program again as a server.
func ServeNATS(ctx context.Context, config string) error {
	options, err := server.ProcessConfigFile(config)
	if err != nil {
		return fmt.Errorf("chaos: nats-server: %w", err)
	}
	options.NoSigs = true
	srv, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("chaos: nats-server: %w", err)
	}
	srv.ConfigureLogger()
	srv.Start()
	<-ctx.Done()
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}

// again tries until it works; the error tells what did not come about and why.
func again(ctx context.Context, within time.Duration, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		call, end := context.WithTimeout(ctx, 3*time.Second)
		err := try(call)
		end()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("chaos: not within %s: %s: %w", within, what, err)
		}
	}
}
