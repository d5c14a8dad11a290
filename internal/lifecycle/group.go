package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Component is a part of a program that runs until its context ends.
type Component struct {
	Name string // in errors
	// Run returns when it is done, or soon after ctx ended and what it had
	// begun is finished. Once ctx has ended, context.Canceled and the context's
	// cause count as nil.
	Run func(ctx context.Context) error
}

// Stage is a set of components that stop together.
type Stage []Component

// PanicError is the error of a component that panicked.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked; not part of the message
}

func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Run starts the components of all stages at once and waits for all. They are
// stopped stage by stage, sources first and sinks last: when ctx ends or a
// component fails, the context of the first stage ends; that of each other stage
// ends when all components before it have returned, whatever the reason, so that
// a sink outlives its sources and no longer. The contexts hold the cause.
//
// The error joins those of all components, in the order they came, each with the
// component's name; nil where all ended well. Run sets no time limit: a program
// that must end by a certain time is ended by the second signal.
//
// This is not errgroup, which ends all contexts at once and keeps only the first
// error: what goes wrong while stopping would be lost.
func Run(ctx context.Context, stages ...Stage) error {
	var (
		mu   sync.Mutex
		errs []error
	)
	first, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running []*sync.WaitGroup
	var cancels []context.CancelCauseFunc // of all stages but the first
	for _, stage := range stages {
		if len(stage) == 0 {
			continue // it would count as ended, and stop those after it
		}
		own := first
		if len(running) > 0 {
			var cancel context.CancelCauseFunc
			own, cancel = context.WithCancelCause(context.WithoutCancel(ctx))
			cancels = append(cancels, cancel)
		}
		group := &sync.WaitGroup{}
		running = append(running, group)
		for _, c := range stage {
			group.Go(func() {
				err := c.run(own)
				if err == nil || (own.Err() != nil && stopped(own, err)) {
					return
				}
				err = fmt.Errorf("%s: %w", c.Name, err)
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
				stop(err)
			})
		}
	}
	for i, group := range running {
		group.Wait()
		if i < len(cancels) {
			cancels[i](context.Cause(first))
		}
	}
	return errors.Join(errs...)
}

// stopped reports whether err only says that ctx ended.
func stopped(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))
}

func (c Component) run(ctx context.Context) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return c.Run(ctx)
}
