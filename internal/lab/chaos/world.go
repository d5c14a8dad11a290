package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/app"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lab"
)

// world is everything that runs.
type world struct {
	dir     string
	nats    *natsCluster
	redis   *redisGroup
	vendor  *vendorSide
	daemons []*daemon
	config  *config.Config
	disk    string // of the last nats-server, where it has one of its own
	noDisk  string // why it has none

	watchers []*nats.Conn
	mu       sync.Mutex
	handoffs map[uint64]Stored // by sequence
}

// Stored is a hand-off that was seen as it was stored.
type Stored struct {
	At    time.Time // by the server
	Key   lab.Key
	State string
}

// newWorld starts the servers, makes the streams, and starts the daemons.
func newWorld(ctx context.Context, o Options, dir, program string) (_ *world, err error) {
	w := &world{dir: dir, handoffs: map[uint64]Stored{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	servers := 3
	if o.Simple {
		servers = 1
	}
	natsDir := filepath.Join(dir, "nats")
	small := filepath.Join(natsDir, fmt.Sprintf("nats-%d", servers))
	if err := os.MkdirAll(small, 0o700); err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	if o.NoDisk {
		w.noDisk = "turned off"
	} else if err := mountDisk(small); err != nil {
		w.noDisk = err.Error()
	} else {
		w.disk = small
	}
	if w.nats, err = newNATSCluster(natsDir, servers, o.NATSServer, o.NATSEnv, o.Seed); err != nil {
		return nil, err
	}
	if w.redis, err = newRedisGroup(filepath.Join(dir, "redis"), o.Simple, o.Seed); err != nil {
		return nil, err
	}
	if w.vendor, err = newVendorSide(); err != nil {
		return nil, err
	}
	if err := w.nats.start(ctx); err != nil {
		return nil, err
	}
	if err := w.redis.start(ctx); err != nil {
		return nil, err
	}
	if err := w.prepareDaemons(o, program, servers); err != nil {
		return nil, err
	}
	if err := w.makeStreams(ctx); err != nil {
		return nil, err
	}
	if err := w.watch(); err != nil {
		return nil, err
	}
	for _, d := range w.daemons {
		if err := d.start(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *world) prepareDaemons(o Options, program string, replicas int) error {
	dir := filepath.Join(w.dir, "daemons")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("chaos: %w", err)
	}
	for i := range o.Consumers + o.Pollers {
		role, number := "consumer", i+1
		if i >= o.Consumers {
			role, number = "poller", i+1-o.Consumers
		}
		vendor, err := w.vendor.listen(fmt.Sprintf("%s-%d", role, number), o.Seed)
		if err != nil {
			return err
		}
		text := daemonConfig(w.nats.proxied(), w.redis.url(), vendor.addr(), replicas, o.DueIndex)
		if w.config, err = readConfig(text); err != nil {
			return err
		}
		d, err := newDaemon(dir, program, role, number, text, vendor)
		if err != nil {
			return err
		}
		w.daemons = append(w.daemons, d)
	}
	return nil
}

// republished is where hand-offs can be seen as they are stored: on a work queue
// they are gone when the run is over.
const republished = "chaos.stored.>"

// makeStreams makes them as `vendstream provision` does, and has the server tell
// of each hand-off, which changes nothing for the daemons.
func (w *world) makeStreams(ctx context.Context) error {
	topology := app.Topology(w.config)
	return again(ctx, time.Minute, "the streams are made", func(ctx context.Context) error {
		if _, err := broker.Provision(ctx, w.nats.js, topology, false); err != nil {
			return err
		}
		stream, err := w.nats.js.Stream(ctx, topology.Subjects.PendingStream())
		if err != nil {
			return err
		}
		c := stream.CachedInfo().Config
		c.RePublish = &jetstream.RePublish{Source: ">", Destination: republished}
		_, err = w.nats.js.UpdateStream(ctx, c)
		return err
	})
}

// watch notes every hand-off, on a connection to each server: what one misses
// because it is killed another sees.
func (w *world) watch() error {
	for _, node := range w.nats.nodes {
		nc, err := nats.Connect("nats://"+node.addr, nats.Name("chaos watcher"), nats.MaxReconnects(-1),
			nats.ReconnectWait(100*time.Millisecond), nats.IgnoreDiscoveredServers())
		if err != nil {
			return fmt.Errorf("chaos: connect a watcher: %w", err)
		}
		w.watchers = append(w.watchers, nc)
		if _, err := nc.Subscribe(republished, w.noteHandoff); err != nil {
			return fmt.Errorf("chaos: watch the hand-offs: %w", err)
		}
	}
	return nil
}

// close ends everything, in the order in which nothing complains.
func (w *world) close() error {
	for _, d := range w.daemons {
		d.signal(thaw)
		d.kill()
	}
	for _, nc := range w.watchers {
		nc.Close()
	}
	if w.vendor != nil {
		w.vendor.close()
	}
	if w.redis != nil {
		w.redis.close()
	}
	if w.nats != nil {
		w.nats.close()
	}
	if w.disk == "" {
		return nil
	}
	if err := unmountDisk(w.disk); err != nil {
		return fmt.Errorf("chaos: unmount %s: %w", w.disk, err)
	}
	return nil
}

// stopDaemons ends them as an operator would and tells which did not end well.
func (w *world) stopDaemons() []string {
	var wrong []string
	for _, d := range w.daemons {
		code, err := d.stop(stopWithin)
		switch {
		case err != nil:
			wrong = append(wrong, err.Error())
		case code != 0:
			wrong = append(wrong, fmt.Sprintf("%s ended with %d at SIGTERM", d.name, code))
		}
	}
	return wrong
}

// buildProgram builds cmd/vendstream of the module that the driver is run in.
func buildProgram(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "vendstream")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/vendstream/vendstream/cmd/vendstream")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("chaos: build vendstream, which takes the source's directory and Go, or a program that is built: %w\n%s", err, out)
	}
	return path, nil
}
