package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCode(t *testing.T) {
	other := errors.New("other")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{other, 1},
		{context.Canceled, 1},
		{&Exit{Usage, other}, 2},
		{&Exit{FailedPurchases, nil}, 3},
		{fmt.Errorf("waiting: %w", &Exit{OutcomeUnknown, other}), 4},
		{errors.Join(other, &Exit{NotConnected, other}), 5},
		{fmt.Errorf("batch: %w", &Stopped{os.Interrupt}), 130},
		{&Exit{OutcomeUnknown, &Stopped{os.Interrupt}}, 4},
	} {
		if got := Code(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
	exit := &Exit{Usage, other}
	if !errors.Is(exit, other) || exit.Error() != "other" || (&Exit{Code: 3}).Error() != "exit code 3" {
		t.Error("Exit hides its error")
	}
}

func TestSignals(t *testing.T) {
	killed := make(chan struct{})
	ctx, stop := Signals(context.Background(), func() { close(killed) })
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	var stopped *Stopped
	if cause := context.Cause(ctx); !errors.Is(cause, ErrStopped) || !errors.As(cause, &stopped) || stopped.Signal != syscall.SIGTERM {
		t.Errorf("cause %v", cause)
	}
	if err := self.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-killed
	stop()
	stop()
}

func TestSignalsAfterTheParentEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		signals := make(chan os.Signal)
		killed := false
		ctx, stop := watch(parent, signals, func() { killed = true })
		cancel()
		<-ctx.Done()
		if errors.Is(context.Cause(ctx), ErrStopped) {
			t.Error("ended by no signal")
		}
		signals <- os.Interrupt
		if killed {
			t.Error("the first signal kills")
		}
		signals <- os.Interrupt
		stop()
		if !killed {
			t.Error("the second signal does not kill")
		}
	})
}

func TestStopWithoutSignal(t *testing.T) {
	ctx, stop := Signals(context.Background(), nil)
	stop()
	stop()
	if cause := context.Cause(ctx); cause == nil || errors.Is(cause, ErrStopped) {
		t.Errorf("cause %v", cause)
	}
}

// until waits for its context and then returns what end gives.
func until(name string, end func(ctx context.Context) error) Component {
	return Component{name, func(ctx context.Context) error {
		<-ctx.Done()
		return end(ctx)
	}}
}

func TestStagesStopInOrder(t *testing.T) {
	for name, ended := range map[string]func(context.Context) error{
		"nil":   func(context.Context) error { return nil },
		"err":   func(ctx context.Context) error { return fmt.Errorf("fetch: %w", ctx.Err()) },
		"cause": func(ctx context.Context) error { return fmt.Errorf("fetch: %w", context.Cause(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				order := make(chan string, 4)
				part := func(name string, takes time.Duration) Component {
					return until(name, func(ctx context.Context) error {
						<-time.After(takes)
						if !errors.Is(context.Cause(ctx), ErrStopped) {
							t.Errorf("%s: cause %v", name, context.Cause(ctx))
						}
						order <- name
						return ended(ctx)
					})
				}
				done := make(chan error, 1)
				go func() {
					done <- Run(ctx, Stage{part("consumer", 3*time.Second), part("poller", 2*time.Second)},
						Stage{}, Stage{part("publisher", time.Second)}, Stage{part("http", 0)})
				}()
				synctest.Wait()
				cancel(&Stopped{syscall.SIGTERM})
				if err := <-done; err != nil {
					t.Error(err)
				}
				for _, want := range []string{"poller", "consumer", "publisher", "http"} {
					if got := <-order; got != want {
						t.Errorf("%s ended, want %s", got, want)
					}
				}
			})
		})
	}
}

func TestFailureStopsAll(t *testing.T) {
	lost, late := errors.New("lost"), errors.New("late")
	var cause error
	err := Run(t.Context(),
		Stage{until("consumer", func(ctx context.Context) error { cause = context.Cause(ctx); return late })},
		Stage{{"http", func(context.Context) error { return lost }}, until("publisher", func(ctx context.Context) error { return ctx.Err() })},
	)
	if err == nil || err.Error() != "http: lost\nconsumer: late" || !errors.Is(err, lost) || !errors.Is(err, late) {
		t.Errorf("got %v", err)
	}
	if !errors.Is(cause, lost) {
		t.Errorf("cause %v", cause)
	}
}

func TestSinksEndWithTheirSources(t *testing.T) {
	err := Run(t.Context(),
		Stage{{"batch", func(context.Context) error { return nil }}},
		Stage{until("publisher", func(ctx context.Context) error { return context.Cause(ctx) })},
	)
	if err != nil {
		t.Error(err)
	}
	if err := Run(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCanceledWithoutAStopIsAFailure(t *testing.T) {
	err := Run(t.Context(), Stage{{"consumer", func(context.Context) error { return context.Canceled }}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPanic(t *testing.T) {
	err := Run(t.Context(),
		Stage{until("consumer", func(context.Context) error { panic("while stopping") })},
		Stage{{"poller", func(context.Context) error { panic("at work") }}},
	)
	var caught *PanicError
	if !errors.As(err, &caught) || caught.Value != "at work" || !strings.Contains(string(caught.Stack), "lifecycle_test.go") {
		t.Errorf("got %#v", caught)
	}
	if err == nil || err.Error() != "poller: panic: at work\nconsumer: panic: while stopping" {
		t.Errorf("got %v", err)
	}
}
