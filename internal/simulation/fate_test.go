package simulation

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// fate decides what becomes of each effect of one history.
type fate struct {
	mu    sync.Mutex
	rng   *rand.Rand
	calm  bool // no more faults: what is open must come to its end
	count map[string]int
}

func newFate(seed uint64) *fate {
	return &fate{rng: rand.New(rand.NewPCG(seed, 0x5eed)), count: map[string]int{}}
}

func (f *fate) intn(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(n)
}

func (f *fate) setCalm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calm = true
}

type verdict int

const (
	happens    verdict = iota
	fails              // nothing was done
	answerLost         // done, and an error says otherwise
	diesBefore
	diesAfter
)

func (f *fate) draw(effect string) (verdict, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[effect]++
	delay := time.Duration(1+f.rng.IntN(3_000_000)) * time.Nanosecond
	if f.calm {
		return happens, delay
	}
	if f.rng.IntN(40) == 0 { // a long pause: past leases and ack waits
		delay = time.Duration(f.rng.IntN(90_000)) * time.Millisecond
	}
	switch n := f.rng.IntN(100); {
	case n < 4:
		return fails, delay
	case n < 8:
		return answerLost, delay
	case n < 10:
		return diesBefore, delay
	case n < 12:
		return diesAfter, delay
	default:
		return happens, delay
	}
}

var (
	errFault = errors.New("simulation: a fault")
	errDead  = errors.New("simulation: the process is dead")
)

// process is one consumer or poller process: once dead it has no effects.
type process struct {
	fate *fate
	name string
	die  context.CancelFunc

	mu   sync.Mutex
	dead bool
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.die()
}

// effect carries out do as fate has it.
func (p *process) effect(name string, do func() error) error {
	if p.isDead() {
		return errDead
	}
	what, delay := p.fate.draw(name)
	time.Sleep(delay)
	if p.isDead() {
		return errDead
	}
	switch what {
	case fails:
		return errFault
	case answerLost:
		return errors.Join(do(), errFault)
	case diesBefore:
		p.kill()
		return errDead
	case diesAfter:
		_ = do()
		p.kill()
		return errDead
	}
	err := do()
	if p.isDead() {
		return errDead
	}
	return err
}

// seedOf makes a seed of a test's name, so that each test has its own histories.
func seedOf(t *testing.T, n int) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.Name()))
	return h.Sum64() + uint64(n)
}
