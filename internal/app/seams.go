//go:build !failpoint

package app

import (
	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/vendor"
	"github.com/vendstream/vendstream/poller"
	"github.com/vendstream/vendstream/publisher"
)

// The seams at which the tests of internal/failpoint put something between the
// parts. In a program as it is released there is nothing.

func seamVendor(c vendor.Config) vendor.Config       { return c }
func seamConsumer(c consumer.Config) consumer.Config { return c }
func seamPoller(c poller.Config) poller.Config       { return c }
func seamStrays(s *consumer.Strays) *consumer.Strays { return s }
func seamStore(*publisher.Store)                     {}
func seamGate(c gate.Config) gate.Config             { return c }
func seamPauses(s pause.Store) pause.Store           { return s }

func seamPriority(p *broker.Prioritized) *broker.Prioritized { return p }
