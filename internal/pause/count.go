package pause

import (
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

const (
	// unauthorizedToTrip is how many calls in a row must be refused for want of
	// valid credentials (pagamio-api.md, "Retry rules": 401 again after a login
	// from scratch stops the account; each such call has seen one).
	unauthorizedToTrip = 2
	// forbiddenToTrip is how many purchases in a row must be answered 403. One is
	// the purchase's own: its product may not be activated.
	forbiddenToTrip = 10
	// oneTry is how long refusals count as one: of calls that were under way
	// together, and shared one login.
	oneTry = time.Second
)

// count is how often in a row the vendor has refused the account as a whole.
type count struct {
	unauthorized, forbidden int
	refused                 time.Time // when the last refusal was counted
}

// saw counts a call and returns the cause to pause for, or None.
func (c *count) saw(o purchase.Outcome, isPurchase bool, now time.Time) Cause {
	switch {
	case o.Kind == purchase.Unauthorized && now.Sub(c.refused) >= oneTry:
		c.unauthorized++
		c.refused = now
	case authenticated(o):
		c.unauthorized = 0
	}
	switch {
	case !isPurchase:
	case o.Kind == purchase.Forbidden:
		c.forbidden++
	case authenticated(o):
		c.forbidden = 0
	}
	switch {
	case c.unauthorized >= unauthorizedToTrip:
		return Unauthorized
	case c.forbidden >= forbiddenToTrip:
		return Forbidden
	default:
		return None
	}
}
