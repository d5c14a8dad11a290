package simulation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/worker"
)

var (
	errFault = errors.New("simulation: a fault")
	errDead  = errors.New("simulation: the process is dead")
)

// process is one consumer or poller process: once dead it has no effects.
type process struct {
	fate *fate
	name string
	die  context.CancelFunc

	mu      sync.Mutex
	dead    bool
	stopped time.Time // until when it does nothing: SIGSTOP
	nc      *nats.Conn
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

func (p *process) kill(why string) {
	p.mu.Lock()
	was, nc := p.dead, p.nc
	p.dead = true
	p.mu.Unlock()
	if was {
		return
	}
	p.fate.note(p.name, "killed", "", why)
	p.die()
	if nc != nil {
		nc.Close()
	}
}

// stop makes the process do nothing for a while, as SIGSTOP does.
func (p *process) stop(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = time.Now().Add(d)
}

// awake waits for the end of a stop.
func (p *process) awake() {
	p.mu.Lock()
	d := time.Until(p.stopped)
	p.mu.Unlock()
	if d > 0 {
		time.Sleep(d)
	}
}

// effect carries out do as fate has it. What ctx cuts short was on its way, and
// happens all the same: do must not write what the caller reads after an error.
func (p *process) effect(ctx context.Context, what, name, key string, do func() error) error {
	p.awake()
	if p.isDead() {
		return errDead
	}
	verdict, delay := p.fate.verdict(what, p.name, name, key)
	p.fate.note(p.name, name, key, verdictNames[verdict])
	sent := time.Now()
	if !worker.Sleep(ctx, delay) {
		if verdict == happens || verdict == answerLost {
			time.AfterFunc(delay-time.Since(sent), func() { _ = do() })
		}
		return ctx.Err()
	}
	if p.isDead() {
		if verdict == happens && delay > time.Second {
			_ = do() // it had left the process
		}
		return errDead
	}
	switch verdict {
	case fails:
		return errFault
	case answerLost:
		return errors.Join(do(), errFault)
	case diesBefore:
		p.kill("before " + name + " " + key)
		return errDead
	case diesAfter:
		_ = do()
		p.kill("after " + name + " " + key)
		return errDead
	}
	err := do()
	p.awake()
	if p.isDead() {
		return errDead
	}
	return err
}

// reach is effect for what has an answer.
func reach[T any](ctx context.Context, p *process, what, name, key string, do func() (T, error)) (T, error) {
	var got, none T
	err := p.effect(ctx, what, name, key, func() (err error) {
		got, err = do()
		return err
	})
	if err != nil {
		return none, err
	}
	return got, nil
}

// entry is one line of a history.
type entry struct {
	at                         time.Duration
	process, effect, key, note string
}

func (f *fate) note(process, effect, key, note string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trace = append(f.trace, entry{time.Since(f.start), process, effect, key, note})
}

// story is the history's effects as text: those that bear on one of the
// references named, and what befell the world.
func (f *fate) story(about map[string]bool) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out strings.Builder
	for _, e := range f.trace {
		if len(about) > 0 && e.process != "world" && e.effect != "killed" && !mentions(e.key, about) && !mentions(e.note, about) {
			continue
		}
		fmt.Fprintf(&out, "%14s  %-12s %-18s %-24s %s\n", e.at.Truncate(time.Microsecond), e.process, e.effect, e.key, e.note)
	}
	return out.String()
}

func mentions(text string, about map[string]bool) bool {
	for word := range strings.FieldsSeq(text) {
		if about[word] {
			return true
		}
	}
	return false
}

// sum is a digest of all that happened and when; what happened at the same moment
// has no order.
func (f *fate) sum() (sum uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.trace {
		sum += newDice(uint64(e.at), e.process, e.effect, e.key, e.note).next()
	}
	return sum
}
