package runs

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/failpoint"
)

// process is a vendstream of a run.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	struck chan struct{} // closed when the point under test was come by
	woken  chan struct{} // closed when a pause is over

	mu    sync.Mutex
	at    time.Time // when it struck
	hits  map[string]int
	lines []string // the last of its log
	bad   string   // a point that is not registered
}

const logLines = 60

// begin starts a process. point is the one to wait for.
func begin(cmd *exec.Cmd, orders, point string) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{}), struck: make(chan struct{}), woken: make(chan struct{}), hits: map[string]int{}}
	cmd.Env = append(os.Environ(), append(cmd.Env, failpoint.Variable+"="+orders)...)
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.exited)
		p.read(log, point)
		_ = cmd.Wait() // how it ends is the test's own doing
	}()
	return p, nil
}

func (p *process) read(log io.Reader, point string) {
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadString('\n')
		p.note(strings.TrimSpace(line), point)
		if err != nil {
			return
		}
	}
}

func (p *process) note(line, point string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said, ours := strings.CutPrefix(line, "failpoint: ")
	if hit, ok := strings.CutPrefix(said, "hit "); ours && ok {
		p.hits[hit]++
		return
	}
	p.lines = append(p.lines, line)
	p.lines = p.lines[max(0, len(p.lines)-logLines):]
	what, where, _ := strings.Cut(said, " at ")
	switch {
	case !ours:
	case strings.HasPrefix(said, "there is no point "):
		p.bad = said
	case where != point || point == "":
	case what == "resumed":
		close(p.woken)
	case p.at.IsZero():
		p.at = time.Now()
		close(p.struck)
	}
}

func (p *process) hasStruck() bool {
	select {
	case <-p.struck:
		return true
	default:
		return false
	}
}

// kill ends it, whatever it is doing, and waits.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// fault is what no process of a run may say.
func (p *process) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bad != "" {
		return fmt.Errorf("%s", p.bad)
	}
	return nil
}
