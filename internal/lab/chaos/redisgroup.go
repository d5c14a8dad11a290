package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// masterName is what the sentinels call the primary.
const masterName = "vend"

// redisNode is one redis-server that holds data.
type redisNode struct {
	process
	addr  string
	proxy *proxy
}

// redisGroup is a primary and a replica with three sentinels, or one server alone.
type redisGroup struct {
	nodes     []*redisNode
	sentinels []*process
	watchers  []string // the sentinels' addresses
}

// newRedisGroup prepares the servers. All traffic, the sentinels' and the replica's
// too, goes through the proxies.
func newRedisGroup(dir string, alone bool, seed uint64) (_ *redisGroup, err error) {
	logging.Disable()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("chaos: this needs a real Redis; install it with \"apt-get install redis-server\" or \"brew install redis\": %w", err)
	}
	nodes, sentinels := 2, 3
	if alone {
		nodes, sentinels = 1, 0
	}
	ports, err := freePorts(2*nodes + sentinels)
	if err != nil {
		return nil, err
	}
	g := &redisGroup{}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	for i := range nodes {
		name := fmt.Sprintf("redis-%d", i+1)
		node := &redisNode{addr: loopback(ports[2*i])}
		if node.proxy, err = newProxy(ports[2*i+1], node.addr, seed); err != nil {
			return nil, err
		}
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %q\nsave \"\"\nappendonly yes\nappendfsync everysec\n"+
			"replica-announce-ip 127.0.0.1\nreplica-announce-port %d\nrepl-diskless-sync-delay 0\nrepl-ping-replica-period 1\nrepl-timeout 5\n",
			ports[2*i], filepath.Join(dir, name), ports[2*i+1])
		if i > 0 {
			text += fmt.Sprintf("replicaof 127.0.0.1 %d\n", ports[1])
		}
		if err := g.prepare(&node.process, dir, name, text, path); err != nil {
			return nil, err
		}
		g.nodes = append(g.nodes, node)
	}
	for i := range sentinels {
		name, port := fmt.Sprintf("sentinel-%d", i+1), ports[2*nodes+i]
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %q\nsentinel monitor %s 127.0.0.1 %d 2\n"+
			"sentinel down-after-milliseconds %s 1500\nsentinel failover-timeout %s 6000\nsentinel parallel-syncs %s 1\n",
			port, filepath.Join(dir, name), masterName, ports[1], masterName, masterName, masterName)
		s := &process{}
		if err := g.prepare(s, dir, name, text, path, "--sentinel"); err != nil {
			return nil, err
		}
		g.sentinels = append(g.sentinels, s)
		g.watchers = append(g.watchers, loopback(port))
	}
	return g, nil
}

func (g *redisGroup) prepare(p *process, dir, name, config, path string, args ...string) error {
	if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
		return fmt.Errorf("chaos: %w", err)
	}
	file := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return fmt.Errorf("chaos: %w", err)
	}
	p.name, p.log = name, filepath.Join(dir, name+".log")
	p.argv = append([]string{path, file}, args...)
	return nil
}

// start runs the servers and waits until they know each other.
func (g *redisGroup) start(ctx context.Context) error {
	for _, node := range g.nodes {
		if err := node.start(); err != nil {
			return err
		}
	}
	// A sentinel asks who the replicas are when it starts, and then every ten seconds.
	if err := again(ctx, 30*time.Second, "Redis has its replica", func(ctx context.Context) error {
		return g.replicated(ctx, g.nodes[0])
	}); err != nil {
		return err
	}
	for _, s := range g.sentinels {
		if err := s.start(); err != nil {
			return err
		}
	}
	return g.healthy(ctx, 30*time.Second)
}

// replicated reports why a node is not a primary with its replica.
func (g *redisGroup) replicated(ctx context.Context, primary *redisNode) error {
	client := redis.NewClient(&redis.Options{Addr: primary.addr, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	info, err := client.Info(ctx, "replication").Result()
	switch {
	case err != nil:
		return err
	case !strings.Contains(info, "role:master"):
		return errors.New("the primary is none yet")
	case len(g.nodes) > 1 && !strings.Contains(info, "state=online"):
		return errors.New("the replica is not online")
	default:
		return nil
	}
}

// url is what the daemons are given.
func (g *redisGroup) url() string {
	if len(g.sentinels) == 0 {
		return "redis://" + g.nodes[0].proxy.addr() + "/0"
	}
	return fmt.Sprintf("redis+sentinel://%s/0?master_name=%s&addr=%s", g.watchers[0], masterName, strings.Join(g.watchers[1:], "&addr="))
}

// primary is the node that most sentinels that answer take for the primary.
func (g *redisGroup) primary(ctx context.Context) (*redisNode, error) {
	if len(g.sentinels) == 0 {
		return g.nodes[0], nil
	}
	votes := map[string]int{}
	for _, addr := range g.watchers {
		client := redis.NewSentinelClient(&redis.Options{Addr: addr, MaxRetries: -1})
		at, err := client.GetMasterAddrByName(ctx, masterName).Result()
		_ = client.Close()
		if err == nil && len(at) == 2 {
			votes[net.JoinHostPort(at[0], at[1])]++
		}
	}
	for _, node := range g.nodes {
		if votes[node.proxy.addr()] >= 2 {
			return node, nil
		}
	}
	return nil, errors.New("the sentinels do not agree on a primary")
}

// replica is the node that is not the primary.
func (g *redisGroup) replica(ctx context.Context) (*redisNode, error) {
	primary, err := g.primary(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range g.nodes {
		if node != primary {
			return node, nil
		}
	}
	return nil, errors.New("there is no replica")
}

// healthy waits until the primary has its replica and the sentinels know both.
func (g *redisGroup) healthy(ctx context.Context, within time.Duration) error {
	return again(ctx, within, "Redis has its primary and replica", func(ctx context.Context) error {
		primary, err := g.primary(ctx)
		if err != nil {
			return err
		}
		if err := g.replicated(ctx, primary); err != nil {
			return err
		}
		if len(g.sentinels) == 0 {
			return nil
		}
		known := 0
		for _, addr := range g.watchers {
			sentinel := redis.NewSentinelClient(&redis.Options{Addr: addr, MaxRetries: -1})
			replicas, err := sentinel.Replicas(ctx, masterName).Result()
			others, errOthers := sentinel.Sentinels(ctx, masterName).Result()
			_ = sentinel.Close()
			if err == nil && errOthers == nil && len(replicas) > 0 && len(others) == len(g.watchers)-1 &&
				!strings.Contains(replicas[0]["flags"], "down") {
				known++
			}
		}
		if known < len(g.watchers) {
			return fmt.Errorf("%d of %d sentinels know the replica and each other", known, len(g.watchers))
		}
		return nil
	})
}

// flush empties the primary, and by it the replica.
func (g *redisGroup) flush(ctx context.Context) error {
	primary, err := g.primary(ctx)
	if err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: primary.addr})
	defer func() { _ = client.Close() }()
	return client.FlushAll(ctx).Err()
}

func (g *redisGroup) close() {
	for _, s := range g.sentinels {
		s.kill()
	}
	for _, node := range g.nodes {
		node.signal(thaw)
		node.kill()
		node.proxy.close()
	}
}
