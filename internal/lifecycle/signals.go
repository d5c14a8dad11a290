// Package lifecycle starts and ends programs: signals, components that run side
// by side and end in order, and exit codes.
package lifecycle

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// ErrStopped is the cause of a context that a signal ended: context.Cause gives
// a *Stopped, which is ErrStopped to errors.Is. So a stop is told apart from a
// failure.
var ErrStopped = errors.New("stopped")

// Stopped is ErrStopped with the signal that asked for it.
type Stopped struct{ Signal os.Signal }

func (s *Stopped) Error() string { return "stopped by signal: " + s.Signal.String() }

// Is reports whether target is ErrStopped.
func (s *Stopped) Is(target error) bool { return target == ErrStopped }

// Signals gives a context that the first SIGTERM or SIGINT cancels, with a
// *Stopped as its cause. The second calls kill at once, from a goroutine of its
// own, while the program may be in any state; nil stands for os.Exit(130).
//
// stop gives the signals their usual meaning back, cancels the context and waits
// for the goroutine. It may be called more than once, but not from kill.
func Signals(parent context.Context, kill func()) (ctx context.Context, stop func()) {
	signals := make(chan os.Signal, 2) // the package signal never waits for a reader
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	ctx, end := watch(parent, signals, kill)
	return ctx, func() {
		signal.Stop(signals)
		end()
	}
}

func watch(parent context.Context, signals <-chan os.Signal, kill func()) (ctx context.Context, stop func()) {
	if kill == nil {
		kill = func() { os.Exit(Interrupted) }
	}
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		// Signals are heeded after ctx has ended too: a parent that ended must
		// not take the second signal's meaning away.
		for stopping := false; ; stopping = true {
			select {
			case s := <-signals:
				if stopping {
					kill()
					return
				}
				cancel(&Stopped{Signal: s})
			case <-done:
				return
			}
		}
	})
	return ctx, sync.OnceFunc(func() {
		close(done)
		running.Wait()
		cancel(context.Canceled)
	})
}
