package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// readyWait is how long a process may take to say where it is.
	readyWait = 30 * time.Second
	// stopWait is how long a process may take to end when it is asked to.
	stopWait = 20 * time.Second
)

// process is a program that was started for a run.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer // closed at the end: the child then knows that it is an orphan
	log    *os.File  // what it says on standard error
	exited chan struct{}
	err    error // of Wait; valid once exited is closed
	begun  time.Time
	peak   int64 // bytes; valid after stop
}

// begin starts a program. out gets its standard output; nil: the log.
func begin(name, log string, out io.Writer, path string, args ...string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	p := &process{name: name, cmd: exec.Command(path, args...), log: file, exited: make(chan struct{})}
	p.cmd.Stderr = file
	if p.cmd.Stdout = out; out == nil {
		p.cmd.Stdout = file
	}
	// What is set for this program's user must not bear on the daemons' configuration.
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "VENDSTREAM_") && !strings.HasPrefix(variable, "PAGAMIO_") {
			p.cmd.Env = append(p.cmd.Env, variable)
		}
	}
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		p.begun = time.Now()
		err = p.cmd.Start()
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("bench: start %s: %w", name, err)
	}
	go func() {
		defer close(p.exited)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// beginServer starts a program of this package that says where it is.
func beginServer(ctx context.Context, name, log, path string, args ...string) (*process, string, error) {
	return beginServerWithin(ctx, readyWait, name, log, path, args...)
}

func beginServerWithin(ctx context.Context, wait time.Duration, name, log, path string, args ...string) (*process, string, error) {
	var where address
	p, err := beginSaying(ctx, wait, &where, name, log, path, args...)
	return p, where.URL, err
}

// beginSaying starts a program and reads into what the line of JSON that it writes to
// standard output when it is ready.
func beginSaying(ctx context.Context, wait time.Duration, what any, name, log, path string, args ...string) (*process, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = in.Close() }()
	p, err := begin(name, log, out, path, args...)
	_ = out.Close() // the child has its own
	if err != nil {
		return nil, err
	}
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // "" where it ended instead
		said <- line
	}()
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case line := <-said:
		if json.Unmarshal([]byte(line), what) == nil {
			return p, nil
		}
		err = errors.New("it ended before it was ready")
	case <-late.C:
		err = errors.New("it did not get ready in time")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.kill()
	return nil, p.explain(err)
}

// runToEnd runs a program until it ends by itself, which it has to do well.
func runToEnd(ctx context.Context, name, log, path string, args ...string) error {
	p, err := begin(name, log, nil, path, args...)
	if err != nil {
		return err
	}
	defer p.kill()
	select {
	case <-p.exited:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if p.err != nil {
		return p.explain(p.err)
	}
	return nil
}

// explain adds what the program said last.
func (p *process) explain(err error) error {
	text, _ := os.ReadFile(p.log.Name()) // nothing is no reason for another error
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	said := strings.Join(lines[max(0, len(lines)-5):], "\n")
	if said != "" {
		return fmt.Errorf("bench: %s: %w; it said:\n%s", p.name, err, said)
	}
	return fmt.Errorf("bench: %s: %w", p.name, err)
}

// ended is an error where the program has ended by itself.
func (p *process) ended() error {
	select {
	case <-p.exited:
		if p.err != nil {
			return p.explain(p.err)
		}
		return p.explain(errors.New("it ended too soon"))
	default:
		return nil
	}
}

// used is the processor time that the program has used. Where it has ended by
// itself the error is what it said.
func (p *process) used() (time.Duration, error) {
	used, err := cpuOf(p.cmd.Process.Pid)
	if err == nil {
		return used, nil
	}
	// The system forgets a program a moment before whoever waits for its end is told.
	select {
	case <-p.exited:
	case <-time.After(stopWait):
	}
	return 0, cmp.Or(p.ended(), err)
}

// stop asks the program to end and waits for it. One that ends with an error, or
// not at all, is an error.
func (p *process) stop() error { return p.stopWithin(stopWait) }

func (p *process) stopWithin(wait time.Duration) error {
	if err := p.ended(); err != nil {
		p.kill()
		return err
	}
	peak, err := peakOf(p.cmd.Process.Pid)
	if err != nil {
		p.kill()
		return err
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only where it has ended
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-p.exited:
		err = p.err
	case <-late.C:
		err = fmt.Errorf("it did not stop within %s", wait)
	}
	p.kill()
	p.peak = max(peak, peakAtExit(p.cmd.ProcessState))
	if err != nil {
		return p.explain(err)
	}
	return nil
}

// kill ends the program at once and waits for its end. It may be called more than
// once, and on nil.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // fails only where it has ended
	<-p.exited
	_ = p.stdin.Close()
	_ = p.log.Close()
}
