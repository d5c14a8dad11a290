package lab

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/vendstream/vendstream/internal/app"
	"github.com/vendstream/vendstream/internal/config"
)

// errEnded says that the daemons ended by themselves; stop tells why.
var errEnded = errors.New("lab: the daemons ended")

// daemons are consumer and poller at work.
type daemons struct {
	addr   string          // of the HTTP server
	ended  <-chan struct{} // closed when they have ended
	cancel context.CancelFunc
	result *error // valid once ended is closed
}

// startDaemons runs consumer and poller, as `vendstream serve` does, and returns
// when they work. The end of ctx stops them.
func startDaemons(ctx context.Context, cfg *config.Config, log zerolog.Logger) (*daemons, error) {
	own, cancel := context.WithCancel(ctx)
	ended, started := make(chan struct{}), make(chan struct{})
	d := &daemons{ended: ended, cancel: cancel, result: new(error)}
	go func() {
		defer close(ended)
		*d.result = app.Run(own, cfg, app.Options{
			Roles: app.Roles{Consumer: true, Poller: true},
			Log:   log,
			Started: func(addr string) {
				d.addr = addr
				close(started)
			},
		})
	}()
	select {
	case <-started:
		return d, nil
	case <-ended:
		cancel()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("lab: start the daemons: %w", context.Cause(ctx))
		}
		return nil, fmt.Errorf("lab: start the daemons: %w", *d.result)
	}
}

// stop ends them gracefully and waits. It may be called more than once; only the
// first call tells what went wrong.
func (d *daemons) stop() error {
	d.cancel()
	<-d.ended
	err := *d.result
	*d.result = nil
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
