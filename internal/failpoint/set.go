package failpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"
)

// Set holds the points of one process and counts how often each is come by.
type Set struct {
	known  map[string]bool
	armed  map[string][]order
	traced bool
	out    io.Writer
	die    func() // the process's own; tests of this package put another here

	mu   sync.Mutex
	hits map[string]int
}

// FromEnvironment arms what Variable orders. What happens at a point is written
// to standard error: "failpoint: die at consumer.claims.claim:after".
func FromEnvironment() (*Set, error) {
	s, err := newSet(os.Getenv(Variable), os.Stderr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	return s, nil
}

func newSet(orders string, out io.Writer) (*Set, error) {
	armed, traced, err := parse(orders)
	if err != nil {
		return nil, err
	}
	s := &Set{known: map[string]bool{}, armed: armed, traced: traced, out: out, die: die, hits: map[string]int{}}
	for _, point := range Points() {
		s.known[point] = true
	}
	return s, nil
}

// Hits is how often each point was come by.
func (s *Set) Hits() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.hits)
}

// ErrOrdered is wrapped by the errors that points give.
var ErrOrdered = errors.New("failpoint: ordered")

// errLost is what a caller sees whose answer did not come in time.
var errLost = fmt.Errorf("%w: %w", ErrOrdered, context.DeadlineExceeded)

// hit is called at a point. An error is for the caller of the effect.
func (s *Set) hit(point string) error {
	s.mu.Lock()
	s.hits[point]++
	n := s.hits[point]
	s.mu.Unlock()
	if !s.known[point] {
		// An effect that nobody has listed, and that no run has been through.
		_, _ = fmt.Fprintf(s.out, "failpoint: there is no point %s\n", point)
		s.die()
	}
	if s.traced {
		_, _ = fmt.Fprintf(s.out, "failpoint: hit %s\n", point)
	}
	for _, o := range s.armed[point] {
		if o.at != n {
			continue
		}
		// Before it happens: afterwards there may be nobody to write.
		_, _ = fmt.Fprintf(s.out, "failpoint: %s at %s\n", o.action, point)
		switch o.action {
		case Die:
			s.die()
		case Pause:
			stand(o.pause)
			_, _ = fmt.Fprintf(s.out, "failpoint: resumed at %s\n", point)
		case Lose:
			return errLost
		case Error:
			return ErrOrdered
		}
	}
	return nil
}

// effect carries out do between the two points of a method.
func (s *Set) effect(name string, do func() error) error {
	if err := s.hit(name + before); err != nil {
		return err
	}
	err := do()
	if lost := s.hit(name + after); lost != nil {
		return errors.Join(lost, err)
	}
	return err
}
