package runs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/servertest"
)

// rig is what all runs share: the servers and the program. Each run has a prefix,
// and so streams and keys, of its own.
type rig struct {
	program string // vendstream, built with the points in it
	dir     string
	natsURL string
	redis   string // URL
	nc      *nats.Conn
	js      jetstream.JetStream
	keys    redis.UniversalClient
	serial  atomic.Int64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	r.program = filepath.Join(r.dir, "vendstream")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "failpoint", "-o", r.program, "github.com/vendstream/vendstream/cmd/vendstream")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program with its points: %v\n%s", err, out)
	}
	server := servertest.NATS(t)
	r.natsURL = server.URL()
	r.nc, r.js = server.Connect()
	r.redis = servertest.Redis(t).URL()
	keys, err := dedupe.Open(r.redis)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	r.keys = keys
	return r
}

// write puts a file of a run into the rig's directory.
func (r *rig) write(name, text string) (string, error) {
	path := filepath.Join(r.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// remove deletes a run's streams, so that the server does not fill up.
func (r *rig) remove(ctx context.Context, streams ...string) error {
	for _, name := range streams {
		if err := r.js.DeleteStream(ctx, name); err != nil {
			return fmt.Errorf("delete %s: %w", name, err)
		}
	}
	return nil
}
