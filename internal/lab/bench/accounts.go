package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// AccountsOptions are what RunAccounts needs.
type AccountsOptions struct {
	Study
	Accounts []int         // in the configuration
	For      time.Duration // how long they are watched
}

// Measures of idle accounts.
const (
	measureReady       = "ready"
	measureReadyAgain  = "ready_again"
	measureIdleMemory  = "memory"
	measureIdleCPU     = "cpu"
	measureIdleCPUNATS = "cpu_nats"
	measureIdleRedis   = "cpu_redis"
	measureIdleMemNATS = "memory_nats"
	measurePulls       = "pulls"
	measureCommands    = "redis"
	measureGoroutines  = "goroutines"
	measureFiles       = "files"
)

var accountMeasures = []measure{
	{measureReady, "s", 1},      // from the start until the process is ready; consumers are made, and it logs in
	{measureReadyAgain, "s", 1}, // a second start, which finds the consumers
	{measureIdleMemory, "MB", 1},
	{measureIdleCPU, "% of a core", 1},
	{measureGoroutines, "goroutines", 0},
	{measureFiles, "files", 0}, // and connections
	{measurePulls, "pulls/s", 0},
	{measureCommands, "commands/s", 0}, // those within scripts too
	{measureIdleCPUNATS, "% of a core", 1},
	{measureIdleMemNATS, "MB", 1},
	{measureIdleRedis, "% of a core", 1},
}

const (
	// readyEach is what an account may take until it is ready.
	readyEach = 500 * time.Millisecond
	// calm is left between being ready and being watched.
	calm = 3 * time.Second
	// accountsRoom is what an account's files take on disk at most, in bytes.
	accountsRoom = 64 << 10
)

// RunAccounts measures what accounts cost that have nothing to do, and prints the
// report: `vendstream serve`, which is consumer and poller, with all of them.
func RunAccounts(ctx context.Context, o AccountsOptions) (failed error) {
	most := 0
	for _, n := range o.Accounts {
		most = max(most, n)
	}
	p, leave, err := o.begin(ctx, int64(most)*accountsRoom, true)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, leave()) }()
	report := cases{measures: accountMeasures}
	name := func(n int) string { return fmt.Sprintf("%d accounts", n) }
	for round := range o.Rounds {
		for _, n := range o.Accounts {
			o.say("round %d of %d: %d accounts", round+1, o.Rounds, n)
			f, err := o.run(ctx, p, n)
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				return report.spoiled(err, o.Stdout, o.Format)
			}
			to := ""
			if n != o.Accounts[0] {
				to = name(o.Accounts[0])
			}
			report.add(name(n), to, f)
		}
	}
	return report.print(o.Stdout, o.Format)
}

// run measures one number of accounts.
func (o AccountsOptions) run(ctx context.Context, p place, n int) (_ figures, failed error) {
	dir := filepath.Join(p.dir, "world")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { failed = errors.Join(failed, os.RemoveAll(dir)) }()
	w, err := newWorld(ctx, dir, p.self)
	if err != nil {
		return nil, err
	}
	defer w.close()
	r := &running{one: one{prefix: "idle", binary: p.binary}, w: w, client: plainClient()}
	defer r.kill()
	if r.vendor, r.url, err = beginServer(ctx, "the vendor", w.file("vendor.log"), p.self, "bench", "vendor"); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	r.metrics = "http://" + addr + "/metrics"
	config, err := w.configureAccounts(r.prefix, r.url, addr, n)
	if err != nil {
		return nil, err
	}
	f := figures{}
	for _, start := range []string{measureReady, measureReadyAgain} {
		if r.program != nil {
			if err := r.program.stop(); err != nil {
				return nil, err
			}
		}
		if r.program, err = begin("vendstream", w.file("vendstream.log"), nil, p.binary, "serve", "--config", config); err != nil {
			return nil, err
		}
		if err := o.ready(ctx, r, "http://"+addr+"/readyz", n); err != nil {
			return nil, err
		}
		f[start] = time.Since(r.program.begun).Seconds()
	}
	if err := sleep(ctx, calm); err != nil {
		return nil, err
	}
	if err := o.idle(ctx, r, f); err != nil {
		return nil, err
	}
	return f, r.finish()
}

// ready waits until the process says that it is.
func (o AccountsOptions) ready(ctx context.Context, r *running, url string, n int) error {
	told := time.Now()
	return until(ctx, readyWait+time.Duration(n)*readyEach, 50*time.Millisecond, "the process is ready", func() (bool, error) {
		if time.Since(told) > progressPeriod {
			told = time.Now()
			o.say("  not ready after %s", time.Since(r.program.begun).Round(time.Second))
		}
		if err := r.program.ended(); err != nil {
			return false, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, fmt.Errorf("bench: %w", err)
		}
		response, err := r.client.Do(request)
		if err != nil {
			return false, nil // it does not listen yet
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
}

// idle watches the process while it has nothing to do.
func (o AccountsOptions) idle(ctx context.Context, r *running, f figures) error {
	var pulls atomic.Int64
	listener, err := nats.Connect(r.w.natsURL)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer listener.Close()
	if _, err := listener.Subscribe("$JS.API.CONSUMER.MSG.NEXT.>", func(*nats.Msg) { pulls.Add(1) }); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := listener.Flush(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	before, err := r.sample()
	if err != nil {
		return err
	}
	commands, err := r.w.redisInfo(ctx, "stats", "total_commands_processed")
	if err != nil {
		return err
	}
	pulls.Store(0)
	if err := sleep(ctx, o.For); err != nil {
		return err
	}
	asked := pulls.Load()
	after, err := r.sample()
	if err != nil {
		return err
	}
	took := after.at.Sub(before.at).Seconds()
	f[measurePulls] = float64(asked) / took
	now, err := r.w.redisInfo(ctx, "stats", "total_commands_processed")
	if err != nil {
		return err
	}
	f[measureCommands] = float64(now-commands) / took
	for name, which := range map[string]int{measureIdleCPU: ofProgram, measureIdleCPUNATS: ofNATS, measureIdleRedis: ofRedis} {
		f[name] = 100 * (after.cpu[which] - before.cpu[which]).Seconds() / took
	}
	for name, p := range map[string]*process{measureIdleMemory: r.program, measureIdleMemNATS: r.w.nats} {
		used, err := memoryOf(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		f[name] = megabytes(used)
	}
	files, err := filesOf(r.program.cmd.Process.Pid)
	if err != nil {
		return err
	}
	f[measureFiles] = float64(files)
	f[measureGoroutines], err = r.metric(ctx, "go_goroutines")
	return err
}

// configureAccounts writes the configuration of `vendstream serve` with that many
// accounts, and without the audit, which comes now and then.
func (w *world) configureAccounts(prefix, vendorURL, httpAddr string, n int) (string, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "nats: {url: %q}\nredis: {url: %q}\nhttp: {addr: %q}\nsubjects: {prefix: %s}\naudit: {every: 0s}\naccounts:\n",
		w.natsURL, w.redisURL, httpAddr, prefix)
	for i := range n {
		fmt.Fprintf(&text, "  - {name: idle-%d, base_url: %q, username: bench-%d, password: bench-secret, user_type_id: \"1001\"}\n", i+1, vendorURL, i+1)
	}
	name := w.file(prefix + ".yaml")
	if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	return name, nil
}
