package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/internal/telemetry"
)

// DemoOptions are what Demo needs. Stdout gets data, Stderr the progress.
type DemoOptions struct {
	Purchases      int
	Seed           uint64
	Format         output.Format
	Timeout        time.Duration // of a call to the vendor; 0 means DemoTimeout
	DueIndex       bool          // poller.due_index
	Keep           bool          // keeps the data directory and says where it is
	Verbose        bool          // shows the daemons' logs on Stderr
	Stdout, Stderr io.Writer

	// Faults are ordered of the vendor beside those of the plan, and Tamper may
	// change what was seen before it is checked. Tests use them to show that a
	// demo can fail; the program sets neither.
	Faults []simulator.Fault
	Tamper func(*Evidence)
}

// ErrBroken is wrapped where a promise of the contract did not hold.
var ErrBroken = errors.New("a promise of the contract did not hold")

// DemoTimeout is how long a call to the demo's vendor may take. A machine that
// stands still for longer loses answers that the vendor gave, and then what the
// vendor counts is not what the caller knows: see the flag --timeout.
const DemoTimeout = 3 * time.Second

const (
	// openFor is how long the vendor keeps a purchase open, where it does.
	openFor = 600 * time.Millisecond
	// patience is how long nothing may come to its end before a wave is given up.
	// A call that runs into its time-out is not counted in it.
	patience = time.Minute
	// look is the time between looks at what is done.
	look = 50 * time.Millisecond
)

// betaLimit is beta's purchase limit, which both sides enforce. acme has none.
const betaLimit = 40

// demoConfig makes retries, polls and leases fast enough to watch.
func demoConfig(timeout time.Duration, dueIndex bool) string {
	return fmt.Sprintf(`
dedupe: {lease: %s}
retry: {base: 50ms, max: 1s, attempts: 5}
poller: {schedule: [{until: 2s, every: 150ms}, {every: 400ms}], escalate_after: 30s, due_index: %t}
vendor: {timeout: %s}
`, 2*timeout, dueIndex, timeout)
}

func demoVendor(faults []simulator.Fault) simulator.Config {
	cfg := simulator.Config{
		Accounts: vendorAccounts(),
		OpenFor:  simulator.Duration(openFor),
		Faults:   faults,
		Transactions: simulator.Transactions{
			BearReference: true, FilterByReference: true, Receipts: true,
		},
	}
	for i := range cfg.Accounts {
		if cfg.Accounts[i].Username == beta {
			cfg.Accounts[i].PurchaseLimit = &simulator.Limit{Requests: betaLimit, Per: simulator.Duration(time.Second)}
		}
	}
	return cfg
}

// Demo vends a batch that meets every kind of outcome, prints what came of it,
// and checks the run against the contract. The error wraps ErrBroken where a
// promise did not hold; where ctx ended first it is ctx's cause.
func Demo(ctx context.Context, o DemoOptions) (err error) {
	start := time.Now()
	if o.Timeout == 0 {
		o.Timeout = DemoTimeout
	}
	p, err := newPlan(o.Purchases, o.Seed)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vendlab-demo-")
	if err != nil {
		return fmt.Errorf("lab: make the data directory: %w", err)
	}
	defer func() {
		if o.Keep {
			fmt.Fprintf(o.Stderr, "data kept in %s\n", dir)
		} else if gone := os.RemoveAll(dir); gone != nil {
			err = errors.Join(err, fmt.Errorf("lab: remove the data directory: %w", gone))
		}
	}()
	d := &demo{options: o, plan: p}
	if err := d.run(ctx, filepath.Join(dir, "nats")); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("lab: demo: %w", context.Cause(ctx))
		}
		return err
	}
	report := newReport(p, d.sent, d.evidence)
	report.took = time.Since(start)
	if err := report.print(o); err != nil {
		return err
	}
	if len(report.breaches) > 0 {
		for _, b := range report.breaches {
			fmt.Fprintln(o.Stderr, "BROKEN "+output.Printable(b.String()))
		}
		return fmt.Errorf("%w: %d breaches", ErrBroken, len(report.breaches))
	}
	return nil
}

// demo is one run.
type demo struct {
	options  DemoOptions
	plan     *plan
	servers  *Servers
	config   *config.Config
	js       jetstream.JetStream
	sender   *sender
	sent     sent
	evidence Evidence
	daemons  *daemons
}

// run brings the world up, works through the plan, stops the daemons and collects
// the evidence.
func (d *demo) run(ctx context.Context, dir string) (err error) {
	d.servers, err = StartServers(dir, Ports{}, demoVendor(d.options.Faults))
	if err != nil {
		return err
	}
	defer d.servers.Close()
	d.config, err = loadConfig(serversYAML(d.servers, "") + demoConfig(d.options.Timeout, d.options.DueIndex) +
		accountsYAML(d.servers.Vendor.URL(), map[string]string{beta: fmt.Sprintf("{requests: %d, per: 1s}", betaLimit)}, false))
	if err != nil {
		return err
	}
	log := zerolog.Nop()
	if d.options.Verbose {
		if log, err = telemetry.Logger(d.options.Stderr, "info", telemetry.FormatConsole); err != nil {
			return err
		}
	}
	if d.daemons, err = startDaemons(ctx, d.config, log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.daemons.stop()) }()
	nc, err := nats.Connect(d.servers.NATSURL)
	if err != nil {
		return fmt.Errorf("lab: connect to the nats-server: %w", err)
	}
	defer nc.Close()
	if d.js, err = jetstream.New(nc); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if d.sender, err = newSender(nc, d.js, &d.sent); err != nil {
		return err
	}
	if err := d.work(ctx); err != nil {
		return err
	}
	if err := d.daemons.stop(); err != nil {
		return err
	}
	d.evidence, err = collect(ctx, d.js, d.servers.Simulator, d.config)
	if err != nil {
		return err
	}
	d.evidence.Acknowledged = d.sent.sequences
	d.evidence.Limited = d.plan.limited()
	if d.options.Tamper != nil {
		d.options.Tamper(&d.evidence)
	}
	return nil
}

// work sends both waves and waits for the end of each.
func (d *demo) work(ctx context.Context) error {
	bar := newProgress(d.options.Stderr, d.options.Verbose, d.options.Purchases)
	defer bar.close()
	for i, wave := range d.plan.waves {
		bar.say(fmt.Sprintf("wave %d: %d messages", i+1, len(wave)))
		if err := d.sender.send(ctx, wave); err != nil {
			return err
		}
		if done, err := d.settle(ctx, bar); err != nil || !done {
			return err
		}
	}
	return nil
}

// settle waits until nothing is left to do, or nothing ends any more. The latter is
// no error here: the check says what is missing.
func (d *demo) settle(ctx context.Context, bar *progress) (done bool, err error) {
	wait := patience + d.options.Timeout
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	ended := 0
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		results, done, err := idle(ctx, d.js, d.config, d.sent.strays)
		if err != nil {
			return false, err
		}
		bar.set(results)
		if done {
			return true, nil
		}
		if results > ended {
			ended = results
			deadline.Reset(wait)
		}
		select {
		case <-tick.C:
		case <-d.daemons.ended:
			return false, errEnded
		case <-deadline.C:
			bar.say(fmt.Sprintf("nothing ended for %s; a slow machine may need a longer --timeout than %s", wait, d.options.Timeout))
			return false, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}
