package publisher

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What the server's codes mean (pitfalls 3 and 4). Those of a cluster cannot be
// had from one server, so the sorting is tested apart.
func TestServerErrorsAreSorted(t *testing.T) {
	api := func(status int, code jetstream.ErrorCode) error {
		return fmt.Errorf("wrapped: %w", &jetstream.APIError{Code: status, ErrorCode: code})
	}
	for name, c := range map[string]struct {
		err            error
		refused, final bool
	}{
		"lost race":                  {api(400, 10071), false, false},
		"race under way":             {api(400, 10164), false, false},
		"message id under way":       {api(409, 10158), false, false},
		"stream or subject full":     {api(503, 10077), true, false},
		"not the stream expected":    {api(400, 10060), true, true},
		"message too large":          {api(400, 10054), true, true},
		"stream sealed":              {api(400, 10109), true, true},
		"no room on the disk":        {api(500, 10047), false, false},
		"no leader":                  {api(503, 10008), false, false},
		"too large for the client":   {nats.ErrMaxPayload, true, true},
		"closed":                     {nats.ErrConnectionClosed, false, true},
		"time-out":                   {context.DeadlineExceeded, false, false},
		"nobody listens":             {nats.ErrNoResponders, false, false},
		"no buffer while it is away": {nats.ErrReconnectBufExceeded, false, false},
	} {
		if got := refused(c.err); got != c.refused {
			t.Errorf("%s: refused is %t", name, got)
		}
		if got := final(c.err); got != c.final {
			t.Errorf("%s: final is %t", name, got)
		}
	}
}

func TestLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		longer, release := lingering(ctx, 10*time.Second)
		defer release()
		time.AfterFunc(time.Minute, cancel)
		<-longer.Done()
		if took := time.Since(start); took != 70*time.Second {
			t.Errorf("ended after %s", took)
		}

		free, release := lingering(t.Context(), time.Second)
		release()
		if !errors.Is(free.Err(), context.Canceled) {
			t.Error("release does not end it")
		}
	})
}
