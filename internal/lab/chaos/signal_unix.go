//go:build unix

package chaos

import (
	"os"
	"syscall"
)

// SIGSTOP holds a process still: to others it looks slow beyond every time-out.
func freeze(p *os.Process) error    { return p.Signal(syscall.SIGSTOP) }
func thaw(p *os.Process) error      { return p.Signal(syscall.SIGCONT) }
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
