package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

const (
	// lookAgain is how long what the streams said of a purchase is good for a call.
	lookAgain = 500 * time.Millisecond
	// mostLooks is how often they are asked for one call.
	mostLooks = 3
)

var (
	errSlow         = errors.New("consumer: NATS or Redis answers too slowly for a safe call")
	errStopping     = errors.New("consumer: stopping")
	errVendorAway   = errors.New("consumer: the vendor is away")
	errPaused       = errors.New("consumer: the account is paused")
	errUnauthorized = errors.New("consumer: the vendor refuses the account's credentials")
)

// vend validates the customer where that is asked for, then purchases.
func (j *job) vend(work, stop context.Context) worker.Disposition {
	if kind := j.wantedLookup(); kind != "" {
		if end, over := j.look(work, stop, kind); over {
			return end
		}
	}
	return j.purchase(work, stop)
}

// purchase calls the vendor until something is known, or the attempts are used up.
func (j *job) purchase(work, stop context.Context) worker.Disposition {
	c := j.c.config
	var policy backoff.BackOff // nil until a call has to be made again
	for tries := 1; ; {
		if !j.c.enter(stop) {
			return j.putBackHeld(work, 0, errStopping)
		}
		outcome, end, what := j.send(work, stop, tries > 1)
		j.c.leave()
		switch what {
		case sendEnded:
			return end
		case sendNotYet:
			continue
		}
		if outcome.Kind == purchase.Limited && c.Limiter != nil {
			if err := c.Limiter.Penalize(work, c.Gate.Pause()); err != nil {
				c.Report(err)
			}
		}
		if end, held := j.onHold(work, outcome); held {
			return end
		}
		next := decide(outcome.Kind, tries, c.Attempts, j.acted)
		if outcome.Kind.MayHaveActed() {
			j.attempts++
			j.acted = true
		}
		switch next {
		case stepSettle:
			return j.settleOutcome(work, outcome)
		case stepHandOver:
			return j.handOver(work, outcome)
		case stepPutBack:
			return j.putBackHeld(work, c.Gate.Pause(), because(outcome))
		case stepWait:
			j.observe(Event{Kind: EventRetried, Outcome: outcome.Kind, Err: outcome.Cause})
		case stepAgain:
			tries++
			j.observe(Event{Kind: EventRetried, Outcome: outcome.Kind, Err: outcome.Cause})
			if policy == nil {
				policy = c.BackOff()
			}
			worker.Sleep(stop, policy.NextBackOff())
		}
	}
}

// sending is what came of an attempt to send a purchase.
type sending int

const (
	sendCalled sending = iota // the vendor was called
	sendNotYet                // it may not be called now
	sendEnded                 // there was no call, and the handling is over
)

// send makes one call, with all that has to hold before it. It is what a purchase
// has its place at the vendor for.
func (j *job) send(work, stop context.Context, again bool) (outcome purchase.Outcome, end worker.Disposition, what sending) {
	c := j.c.config
	if !c.Gate.Wait(stop) {
		return outcome, j.putBackHeld(work, 0, errStopping), sendEnded
	}
	if j.delivery.Count > 1 && c.Gate.FreshOnly() {
		return outcome, j.putBackHeld(work, pause.Delay, errPaused), sendEnded
	}
	if err := j.permitted(stop); errors.Is(err, errStopping) {
		return outcome, j.putBackHeld(work, 0, err), sendEnded
	} else if err != nil {
		return outcome, j.putBackHeld(work, awayRetry, err), sendEnded
	}
	if j.expired() {
		return outcome, j.settleUnsent(work, j.refuse(purchase.Expired())), sendEnded
	}
	if err := j.mark(work); err != nil {
		return outcome, j.putBackHeld(work, busyRetry, err), sendEnded
	}
	if end, over, err := j.overtaken(work, again); err != nil {
		return outcome, j.putBackHeld(work, busyRetry, err), sendEnded
	} else if over {
		return outcome, end, sendEnded
	}
	if c.Limiter != nil && !j.permit.Use() {
		return outcome, end, sendNotYet // the permit's time was over
	}
	outcome, called := c.Gate.Purchase(func() purchase.Outcome {
		return c.Vendor.Purchase(work, j.request.Reference, j.request.VendorBody())
	})
	switch {
	case called:
		return outcome, end, sendCalled
	case c.Gate.Closed():
		return outcome, end, sendNotYet // refused in the meantime, by another purchase's call
	default:
		return outcome, j.putBackHeld(work, awayRetry, errVendorAway), sendEnded
	}
}

// permitted waits for leave of the purchase limit, where the job has none yet.
func (j *job) permitted(stop context.Context) error {
	limiter := j.c.config.Limiter
	for limiter != nil && j.permit.Len() == 0 {
		granted, wait, err := limiter.Take(stop, 1)
		switch {
		case stop.Err() != nil:
			j.permit = granted
			return errStopping
		case err != nil:
			return fmt.Errorf("consumer: take a purchase permit: %w", err)
		case granted.Len() > 0:
			j.permit = granted
		case !worker.Sleep(stop, wait):
			return errStopping
		}
	}
	return nil
}

// expired reports whether the purchase must not be sent any more. Past a call
// that may have been made it is never asked: the outcome is not known then.
func (j *job) expired() bool {
	return !j.acted && !j.expires.IsZero() && !time.Now().Before(j.expires)
}

// overtaken looks again, before every further call and where some time has passed
// since the streams were asked, whether the purchase is still this job's: Redis
// may have lost the claim, and another worker may have handed the purchase over
// since. It is the last thing before a call, and a look that itself took too long
// is good for nothing.
func (j *job) overtaken(work context.Context, again bool) (end worker.Disposition, over bool, err error) {
	for range mostLooks {
		if !again && time.Since(j.looked) < lookAgain {
			return end, false, nil
		}
		again = false
		if err := j.c.leases.renew(work, &j.hold); err != nil {
			return end, false, err
		}
		if _, lost := j.hold.state(); lost {
			return end, false, errClaimLost
		}
		if end, over, err = j.adopt(work); over || err != nil {
			return end, over, err
		}
	}
	return end, false, errSlow
}

// mark makes sure that the claim holds. For a purchase that expires it notes
// in Redis that a call is about to be made, so that whoever takes the purchase
// over knows that it can no longer simply expire.
func (j *job) mark(work context.Context) error {
	if err := j.c.leases.fresh(work, &j.hold); err != nil {
		return err
	}
	// That this job knows of a call is not enough: the next one asks Redis.
	if j.expires.IsZero() || j.acted && j.marked {
		return nil
	}
	ours, err := j.c.config.Leases.MarkSent(work, j.hold.claim)
	if err == nil && !ours {
		err = errClaimLost
	}
	j.marked = err == nil
	return err
}

func because(o purchase.Outcome) error {
	switch {
	case o.Kind == purchase.Unauthorized && o.Cause != nil:
		return fmt.Errorf("%w: %w", errUnauthorized, o.Cause)
	case o.Kind == purchase.Unauthorized:
		return errUnauthorized
	case o.Cause != nil:
		return fmt.Errorf("%w: %w", errVendorAway, o.Cause)
	default:
		return errVendorAway
	}
}
