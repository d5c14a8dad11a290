package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/config"
)

const (
	// lease is that of a claim, and how long a delivery may go without a sign.
	lease = 4 * time.Second
	// callTimeout is vendor.timeout. It is above openFor, so that a slow answer
	// still counts.
	callTimeout = 1500 * time.Millisecond
	// stopWithin is what the contract allows for a stop at SIGTERM, and a second
	// for this machine.
	stopWithin = callTimeout + 6*time.Second
)

// daemon is one consumer or poller, and its own way to the vendor.
type daemon struct {
	process
	role   string // "consumer" or "poller"
	vendor *proxy

	busy  sync.Mutex // of the fault that strikes it
	still sync.Mutex // guards spans
	spans []Span     // when it was held still or its calls were slowed
}

// Span is a time between two moments.
type Span struct{ From, To time.Time }

func (d *daemon) held(from, to time.Time) {
	d.still.Lock()
	defer d.still.Unlock()
	d.spans = append(d.spans, Span{from, to})
}

// daemonConfig makes leases, retries and polls fast enough for a test. Everything
// that bears on a promise is as in production.
func daemonConfig(natsURL, redisURL, vendorAddr string, replicas int, dueIndex bool) string {
	text := fmt.Sprintf(`nats: {url: %q, replicas: %d}
redis: {url: %q}
http: {addr: "127.0.0.1:0"}
log: {level: info}
dedupe: {lease: %s}
retry: {base: 100ms, max: 2s, attempts: 4}
poller: {schedule: [{until: 4s, every: 300ms}, {every: 1s}], escalate_after: 2m, due_index: %t}
vendor: {timeout: %s}
accounts:
`, natsURL, replicas, redisURL, lease, dueIndex, callTimeout)
	for _, name := range served {
		limit := "{requests: 0}"
		if name == beta {
			limit = "{requests: 200, per: 1s}"
		}
		text += fmt.Sprintf("  - {name: %s, base_url: %q, username: %s, password: %s-secret, channel_id: WEB, purchase_limit: %s}\n",
			name, "http://"+vendorAddr+"/api/v1", name, name, limit)
	}
	return text
}

// newDaemon prepares a process; it is not started.
func newDaemon(dir, program, role string, number int, text string, vendor *proxy) (*daemon, error) {
	d := &daemon{role: role, vendor: vendor}
	d.name = fmt.Sprintf("%s-%d", role, number)
	file := filepath.Join(dir, d.name+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	d.argv = []string{program, role, "--config", file}
	d.log = filepath.Join(dir, d.name+".log")
	return d, nil
}

// readConfig reads a daemon's configuration as it does itself.
func readConfig(text string) (*config.Config, error) {
	cfg, _, err := config.Load(config.Options{
		Environ: []string{"VENDSTREAM_CONFIG=chaos"},
		ReadFile: func(name string) ([]byte, error) {
			if name != "chaos" {
				return nil, os.ErrNotExist
			}
			return []byte(text), nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("chaos: the daemons' own configuration: %w", err)
	}
	return cfg, nil
}

// named are the daemons of one role.
func named(all []*daemon, role string) []*daemon {
	var some []*daemon
	for _, d := range all {
		if strings.HasPrefix(d.name, role) {
			some = append(some, d)
		}
	}
	return some
}
