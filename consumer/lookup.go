package consumer

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// lookupRetry is the time before a purchase is taken up again whose customer
// could not be looked up.
const lookupRetry = 30 * time.Second

var errNoLookup = errors.New("consumer: the customer could not be looked up")

// wantedLookup is the look-up that the purchase is to pass first: by its header,
// or because the account wants it of all. It is not made after a call that may
// have purchased, nor for a product that the vendor has no look-up for.
func (j *job) wantedLookup() purchase.LookupKind {
	kind := j.request.Lookup()
	asked := strings.EqualFold(publisher.Header(j.delivery.Header, publisher.HeaderLookup), "true")
	if j.acted || (!asked && !j.c.config.Lookups[kind]) {
		return ""
	}
	return kind
}

// look validates the customer's account. A refusal ends the purchase without a
// purchase call. A look-up that cannot be had is tried again like a purchase, and
// then the purchase is put back: nothing was bought, and nothing has failed.
func (j *job) look(work, stop context.Context, kind purchase.LookupKind) (end worker.Disposition, over bool) {
	c := j.c.config
	policy := c.BackOff()
	for tries := 1; ; {
		if !j.c.enter(stop) {
			return j.putBackHeld(work, 0, errStopping), true
		}
		if !c.Gate.Wait(stop) {
			j.c.leave()
			return j.putBackHeld(work, 0, errStopping), true
		}
		if j.expired() {
			j.c.leave()
			return j.settleUnsent(work, j.refuse(purchase.Expired())), true
		}
		outcome, called := c.Gate.Call(func() (o purchase.Outcome) {
			o, j.lookup = c.Vendor.Lookup(work, kind, j.request.VendorBody())
			return o
		})
		j.c.leave()
		if !called {
			if c.Gate.Closed() {
				// Not at once: with the right to probe a pause in hand, Wait does not wait, and
				// a breaker that is open lets no look-up through.
				worker.Sleep(stop, busyRetry)
				continue
			}
			return j.putBackHeld(work, awayRetry, errVendorAway), true
		}
		switch outcome.Kind {
		case purchase.Completed:
			return end, false
		case purchase.Failed, purchase.Forbidden:
			return j.settleUnsent(work, j.refuse(purchase.RefusedByLookup(outcome))), true
		case purchase.Unauthorized:
			return j.putBackHeld(work, c.Gate.Pause(), because(outcome)), true
		case purchase.Limited:
			continue // the gate makes the next call wait
		}
		j.lookup = nil
		if tries++; tries > c.Attempts {
			return j.putBackHeld(work, lookupRetry, errors.Join(errNoLookup, outcome.Cause)), true
		}
		j.observe(Event{Kind: EventRetried, Outcome: outcome.Kind, Err: outcome.Cause})
		worker.Sleep(stop, policy.NextBackOff())
	}
}
