//go:build failpoint

package app

import (
	"fmt"
	"os"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/failpoint"
	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/vendor"
	"github.com/vendstream/vendstream/poller"
	"github.com/vendstream/vendstream/publisher"
)

// failpoints are those of this process, which does not start where they cannot
// be read: a fault that was ordered must not silently be left out.
var failpoints = func() *failpoint.Set {
	set, err := failpoint.FromEnvironment()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(int(lifecycle.Usage))
	}
	return set
}()

func seamVendor(c vendor.Config) vendor.Config       { return failpoints.Vendor(c) }
func seamConsumer(c consumer.Config) consumer.Config { return failpoints.Consumer(c) }
func seamPoller(c poller.Config) poller.Config       { return failpoints.Poller(c) }
func seamStrays(s *consumer.Strays) *consumer.Strays { return failpoints.Strays(s) }
func seamStore(s *publisher.Store)                   { failpoints.Store(s) }
func seamGate(c gate.Config) gate.Config             { return failpoints.Gate(c) }
func seamPauses(s pause.Store) pause.Store           { return failpoints.Pauses(s) }

func seamPriority(p *broker.Prioritized) *broker.Prioritized { return failpoints.Priority(p) }
