package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// LedgerOptions are what RunLedger needs.
type LedgerOptions struct {
	Study
	Results int // in the stream
	Lookups int // of each kind
}

// The two ways to see that a result is there already.
const (
	// bySubject is the pipeline's: a subject for each result, one message for each
	// subject, no message expected on it, and a message id as well.
	bySubject = "subject each"
	// byID is the least that could do: all on one subject, and a message id alone,
	// which the server remembers for two minutes.
	byID = "message id"
)

// Measures of the ledger.
const (
	measurePublish      = "publish_rate"
	measurePublishFirst = "publish_first"
	measurePublishLast  = "publish_last"
	measurePublishCPU   = "publish_cpu"
	measureDisk         = "disk"
	measureFilled       = "memory_filled"
	measureStarted      = "memory_started"
	measureMemoryEach   = "memory_each"
	measureDiskEach     = "disk_each"
	measureHitP50       = "hit_p50"
	measureHitP99       = "hit_p99"
	measureRecentP50    = "recent_p50"
	measureRecentP99    = "recent_p99"
	measureMissP50      = "miss_p50"
	measureMissP99      = "miss_p99"
	measureRestart      = "restart"
	measureCrash        = "restart_killed"
)

var ledgerMeasures = []measure{
	{measurePublish, "results/s", 0},
	{measurePublishFirst, "results/s", 0}, // the first tenth of them
	{measurePublishLast, "results/s", 0},  // the last tenth
	{measurePublishCPU, "µs/result", 1},   // of nats-server
	{measureDisk, "MB", 1},
	{measureDiskEach, "B/result", 0},
	{measureFilled, "MB", 1},           // of nats-server, once all are published
	{measureStarted, "MB", 1},          // of one that was started with them
	{measureMemoryEach, "B/result", 0}, // of that, beyond an empty server
	{measureRecentP50, "ms", 3},        // a look-up of one of the last results
	{measureRecentP99, "ms", 3},
	{measureHitP50, "ms", 3}, // of any of them
	{measureHitP99, "ms", 3},
	{measureMissP50, "ms", 3}, // of one that is not there
	{measureMissP99, "ms", 3},
	{measureRestart, "ms", 0}, // until the stream answers, stopped well before
	{measureCrash, "ms", 0},   // killed before
}

// resultRoom is more than a result takes on disk, in bytes.
const resultRoom = 2 << 10

// RunLedger measures what results cost nats-server that have a subject each, beside
// the same results with a message id alone, and prints the report. Only one of the
// streams is there at a time.
func RunLedger(ctx context.Context, o LedgerOptions) (failed error) {
	p, leave, err := o.begin(ctx, int64(o.Results)*resultRoom, false)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, leave()) }()
	report := cases{measures: ledgerMeasures}
	for round := range o.Rounds {
		for _, name := range turn(round, []string{bySubject, byID}) {
			o.say("round %d of %d: %d results, %s", round+1, o.Rounds, o.Results, name)
			f, err := o.run(ctx, p, name)
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				return report.spoiled(err, o.Stdout, o.Format)
			}
			report.add(name, map[string]string{bySubject: byID}[name], f)
		}
	}
	return report.print(o.Stdout, o.Format)
}

// run is one of them in one round.
func (o LedgerOptions) run(ctx context.Context, p place, name string) (_ figures, failed error) {
	l := &ledger{dir: filepath.Join(p.dir, "nats"), place: p, byID: name == byID, study: o.Study, size: o.Results}
	defer func() { failed = errors.Join(failed, l.close()) }()
	if _, err := l.start(ctx); err != nil {
		return nil, err
	}
	empty, err := memoryOf(l.server.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	f := figures{}
	if err := l.publish(ctx, f); err != nil {
		return nil, err
	}
	if err := l.weigh(f, measureFilled); err != nil {
		return nil, err
	}
	o.say("  restarting it after a kill")
	l.server.kill()
	took, err := l.start(ctx)
	if err != nil {
		return nil, err
	}
	f[measureCrash] = milliseconds(took)
	o.say("  looking up")
	if err := l.lookups(ctx, o.Lookups, f); err != nil {
		return nil, err
	}
	o.say("  restarting it after a stop")
	if err := l.server.stopWithin(recoverWait); err != nil {
		return nil, err
	}
	if took, err = l.start(ctx); err != nil {
		return nil, err
	}
	f[measureRestart] = milliseconds(took)
	err = l.weigh(f, measureStarted)
	f[measureMemoryEach] = max(0, f[measureStarted]-megabytes(empty)) * 1e6 / float64(o.Results)
	f[measureDiskEach] = f[measureDisk] * 1e6 / float64(o.Results)
	return f, err
}

// weigh notes memory and disk.
func (l *ledger) weigh(f figures, memory string) error {
	used, err := memoryOf(l.server.cmd.Process.Pid)
	if err != nil {
		return err
	}
	f[memory] = megabytes(used)
	size, err := diskOf(l.dir)
	f[measureDisk] = megabytes(size)
	return err
}

// rates notes how fast results were stored, from the times at which each tenth was.
func rates(n int, began time.Time, tenths []time.Time, f figures) {
	if len(tenths) != 10 {
		return
	}
	speed := func(count int, from, to time.Time) float64 { return float64(count) / max(to.Sub(from).Seconds(), 1e-9) }
	f[measurePublish] = speed(n, began, tenths[9])
	f[measurePublishFirst] = speed(n/10, began, tenths[0])
	f[measurePublishLast] = speed(n-9*n/10, tenths[8], tenths[9])
}

var errRefused = errors.New("bench: the server refused a result")

// said is the error of an answer of the server's, which bears one or not.
type said struct {
	Error *struct {
		Code        int    `json:"code"`
		ErrCode     int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

// noMessage is the server's code for a message that is not there.
const noMessage = 10037

func (s said) check(there bool) error {
	switch {
	case s.Error == nil && there, s.Error != nil && !there && s.Error.ErrCode == noMessage:
		return nil
	case s.Error == nil:
		return errors.New("bench: found a result that was never stored")
	default:
		return fmt.Errorf("bench: look up: %s (%d)", s.Error.Description, s.Error.ErrCode)
	}
}
