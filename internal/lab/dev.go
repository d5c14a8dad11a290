package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/internal/telemetry"
)

// DevOptions are what RunDev needs.
type DevOptions struct {
	Dir       string // made where it is missing; what NATS holds survives in it
	Ports     Ports
	NoDaemons bool
	Stderr    io.Writer
	// Started, where set, is called once when everything works.
	Started func(Dev)
}

// Dev is where everything is.
type Dev struct {
	ConfigFile string // for `vendstream --config`
	VendorURL  string // base URL of the vendor's API
	HTTPAddr   string // of the daemons; "" without them
}

// RunDev keeps the servers and the daemons running until ctx ends, and then stops
// them gracefully. A port in use is named with its flag.
func RunDev(ctx context.Context, o DevOptions) (failed error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("lab: make the data directory: %w", err)
	}
	if o.Ports.HTTP != 0 && !o.NoDaemons {
		if err := free(o.Ports.HTTP); err != nil {
			return portError(err, o.Ports.HTTP, "the daemons' HTTP server", "--http-port")
		}
	}
	servers, err := StartServers(filepath.Join(o.Dir, "nats"), o.Ports, simulator.Config{
		Accounts:     vendorAccounts(),
		Transactions: simulator.Transactions{BearReference: true, FilterByReference: true, Receipts: true},
	})
	if err != nil {
		return err
	}
	defer servers.Close()
	text := "# Written by `vendlab dev` at every start.\n" +
		serversYAML(servers, net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Ports.HTTP))) +
		"vendor: {timeout: 10s}\npoller: {schedule: [{until: 1m, every: 1s}, {every: 5s}]}\n" +
		accountsYAML(servers.Vendor.URL(), nil, true)
	cfg, err := loadConfig(text)
	if err != nil {
		return err
	}
	dev := Dev{ConfigFile: filepath.Join(o.Dir, "vendstream.yaml"), VendorURL: servers.Vendor.URL() + basePath}
	if err := os.WriteFile(dev.ConfigFile, []byte(text), 0o600); err != nil {
		return fmt.Errorf("lab: write the configuration: %w", err)
	}
	var ended <-chan struct{} // never, where there are no daemons
	if !o.NoDaemons {
		log, err := telemetry.Logger(o.Stderr, "info", telemetry.FormatConsole)
		if err != nil {
			return err
		}
		running, err := startDaemons(ctx, cfg, log)
		if err != nil {
			return stoppedWell(ctx, err)
		}
		defer func() { failed = errors.Join(failed, running.stop()) }()
		dev.HTTPAddr, ended = running.addr, running.ended
	}
	fmt.Fprint(o.Stderr, dev.help(servers, filepath.Join(o.Dir, "nats")))
	if o.Started != nil {
		o.Started(dev)
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(o.Stderr, "stopping")
		return nil
	case <-ended:
		return stoppedWell(ctx, errEnded)
	}
}

// stoppedWell is nil where ctx has ended, which is how a stop is asked for.
func stoppedWell(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// absolute is a path that works from any folder, where it can be told.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// help says where everything is and what to type.
func (d Dev) help(s *Servers, data string) string {
	daemons := "http://" + d.HTTPAddr + "/metrics, and /readyz"
	start := ""
	if d.HTTPAddr == "" {
		daemons = "not running"
		start = "  go run ./cmd/vendstream serve\n"
	}
	return fmt.Sprintf(`
NATS      %s, data in %s
Redis     %s, in memory
vendor    %s, its ledger at %s/_simulator/ledger
daemons   %s
accounts  %s, %s

In another terminal:

  export VENDSTREAM_CONFIG=%s
%s  go run ./cmd/vendstream submit --account %s --wait --product-code AIR-VOD-001 --amount 20.00 \
      --payment-method CASH --channel-id WEB --mobile-number +27820000000
  go run ./cmd/vendstream results watch

A merchantReference with "sim-" in it orders a fault, such as my-1-sim-pending;
`+"`go run ./cmd/vendlab simulator --help`"+` lists them. Ctrl-C stops.

`, s.NATSURL, data, s.RedisURL, d.VendorURL, s.Vendor.URL(), daemons, acme, beta, absolute(d.ConfigFile), start, acme)
}
