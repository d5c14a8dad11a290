package main

import (
	"math"
	"time"

	"github.com/vendstream/vendstream/internal/pause"
)

// quiet is how long a consumer may show no sign of work before it counts as not
// working.
const quiet = time.Minute

// What holds a backlog up (see the help of status).
const (
	heldNothing   = ""
	heldLimit     = "limit"
	heldPenalty   = "limit: the vendor said 429"
	heldUnknown   = "unknown account"
	heldNotSetUp  = "no consumer is set up"
	heldNoWorker  = "no consumer is working"
	heldAtVendor  = "waiting at the vendor"
	heldPaused    = "paused: " // and the cause
	limitShare    = 0.95       // from here on the limit is what holds a backlog up: the rest is on its way
	secondsMinute = 60
)

// signs are what an account's consumer shows of those that work on it.
type signs struct {
	setUp   bool          // there is a consumer
	waiting int           // pulls that wait for messages
	since   time.Duration // since a message was last delivered or settled
}

// heldBy says what holds the account up, as far as it can be told from outside.
func heldBy(r *statusRow) string {
	switch {
	case r.unknown:
		return heldUnknown // also once all are dead letters: somebody sends to a wrong subject
	case r.Backlog == 0 && r.Pending.Total == 0:
		return heldNothing
	case !r.signs.setUp:
		return heldNotSetUp
	case r.Pause != pause.None:
		return heldPaused + string(r.Pause)
	case r.Backlog == 0:
		return heldAtVendor // the poller's: no consumer is needed
	case r.paused > 0:
		return heldPenalty
	case r.Share != nil && *r.Share >= limitShare:
		return heldLimit
	case r.signs.waiting == 0 && r.signs.since > quiet:
		// Deliveries that a dead consumer has left behind count as in flight.
		return heldNoWorker
	case r.InFlight > 0:
		return heldAtVendor
	default:
		return heldNothing
	}
}

// doneIn is how long the backlog will take, nil where nothing moves.
func doneIn(r *statusRow) *float64 {
	byLimit := r.Limit != nil && (r.HeldBy == heldLimit || r.HeldBy == heldPenalty)
	var s float64
	switch {
	case r.Backlog == 0:
	case byLimit:
		s = float64(r.Backlog)/float64(r.Limit.Requests)*r.Limit.Per + r.paused.Seconds()
	case r.Pause != pause.None || r.HeldBy == heldUnknown || r.HeldBy == heldNoWorker || r.HeldBy == heldNotSetUp || r.Rate == 0:
		return nil
	default:
		s = float64(r.Backlog) / float64(r.Rate) * secondsMinute
	}
	s = math.Ceil(s)
	return &s
}

// toDuration is a number of seconds as a duration, as long as it can be at most.
func toDuration(s float64) time.Duration {
	if s >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}
