package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// restartAfter is how long a program that ended by itself waits to be started
// again, as whatever runs programs in production would do.
const restartAfter = 500 * time.Millisecond

// process is a program that is kept running: it is started again when it ends by
// itself, and only then or when it is told to.
type process struct {
	name string
	argv []string
	env  []string // beside the driver's own
	log  string   // path; what it writes is appended

	mu     sync.Mutex
	wanted bool // it is to run
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	falls  []string      // how it ended by itself
	starts int
}

// start begins to keep the process running.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && p.cmd != nil {
		return nil
	}
	p.wanted = true
	return p.launch()
}

// launch runs the program once. p.mu must be held.
func (p *process) launch() error {
	if err := os.MkdirAll(filepath.Dir(p.log), 0o700); err != nil {
		return fmt.Errorf("chaos: %s: %w", p.name, err)
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("chaos: %s: %w", p.name, err)
	}
	defer func() { _ = out.Close() }() // the process holds its own
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("chaos: start %s: %w", p.name, err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	p.starts++
	go func() {
		_ = cmd.Wait() // how it ended is in its state
		close(exited)
		p.ended(cmd)
	}()
	return nil
}

// ended starts a program again that was to go on.
func (p *process) ended(cmd *exec.Cmd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != cmd {
		return
	}
	p.cmd = nil
	if !p.wanted {
		return
	}
	p.falls = append(p.falls, cmd.ProcessState.String())
	time.AfterFunc(restartAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.wanted && p.cmd == nil {
			if err := p.launch(); err != nil {
				p.falls = append(p.falls, err.Error())
			}
		}
	})
}

// kill ends the process at once and waits for its end. It stays down until start.
func (p *process) kill() {
	p.end(func(cmd *exec.Cmd) error { return cmd.Process.Kill() })
}

// stop asks the process to end and gives its exit code; one that does not end in
// time is killed. It stays down until start.
func (p *process) stop(within time.Duration) (code int, err error) {
	code = -1
	state := p.end(func(cmd *exec.Cmd) error {
		if err := terminate(cmd.Process); err != nil {
			return err
		}
		p.mu.Lock()
		exited := p.exited
		p.mu.Unlock()
		select {
		case <-exited:
			return nil
		case <-time.After(within):
			err = fmt.Errorf("chaos: %s did not end within %s of SIGTERM", p.name, within)
			return cmd.Process.Kill()
		}
	})
	if state != nil {
		code = state.ExitCode()
	}
	return code, err
}

func (p *process) end(how func(*exec.Cmd) error) *os.ProcessState {
	p.mu.Lock()
	p.wanted = false
	cmd, exited := p.cmd, p.exited
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := how(cmd); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = cmd.Process.Kill() // nothing may outlive the driver
	}
	<-exited
	return cmd.ProcessState
}

// signal does something to the running process; false where there is none.
func (p *process) signal(do func(*os.Process) error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil && do(p.cmd.Process) == nil
}

func (p *process) fallen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.falls...)
}
