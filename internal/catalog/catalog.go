package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

const (
	// spacing is the least time between two confirming fetches, and between the
	// fetches that Run makes out of turn.
	spacing = time.Minute
	// confirmLimit is how long a purchase waits for a confirming fetch at most.
	confirmLimit = 5 * time.Second
	// fetchLimit is how long Run's own fetch may take.
	fetchLimit = 30 * time.Second
	// shareLimit is how long Redis may take for one step.
	shareLimit = 5 * time.Second
	// lookAgain is the time between looks at Redis while another process fetches.
	lookAgain = time.Second

	defaultRefresh = 15 * time.Minute
)

// Config is what a Catalog needs. Vendor is required.
type Config struct {
	Vendor Vendor
	// Redis is where the processes of the account meet; nil: each for itself.
	Redis *Redis
	// Refresh is the time between fetches; default 15 minutes.
	Refresh time.Duration
	// Report is told what went wrong; nil: nobody. It never stops anything.
	Report func(error)
}

// Catalog is the catalog of one account. It is safe for concurrent use.
type Catalog struct {
	vendor  Vendor
	share   share // nil: none
	refresh time.Duration
	report  func(error)
	wake    chan struct{} // holds one token where Stale was called

	mu          sync.Mutex
	held        *snapshot     // nil: nothing is known yet
	shared      string        // id of the snapshot last seen in, or put into, the share
	refused     string        // id that Stale said is out of date
	underway    *confirmation // nil: none
	nextConfirm time.Time     // not before
}

// confirmation is a confirming fetch. fresh is written before done is closed.
type confirmation struct {
	done  chan struct{}
	fresh *snapshot // nil: it failed
}

// New makes a Catalog that knows nothing: Run fetches.
func New(config Config) *Catalog {
	c := &Catalog{
		vendor: config.Vendor, refresh: config.Refresh, report: config.Report,
		wake: make(chan struct{}, 1),
	}
	if config.Redis != nil {
		c.share = config.Redis
	}
	if c.refresh <= 0 {
		c.refresh = defaultRefresh
	}
	if c.report == nil {
		c.report = func(error) {}
	}
	return c
}

// Check returns the refusal of a purchase that is not in the catalog (1009),
// whose amount its product does not take (1004), or that lacks a field that its
// category requires (1001), and nil for any other. It is for requests that
// Validate found nothing wrong with.
//
// It refuses only what a fetch that ends now confirms. Such a fetch is made once
// a minute at most; purchases that come while it is made wait for the same one.
// Where it may not be made now, fails, or takes more than 5 s, the answer is nil,
// as it is where nothing is known yet.
func (c *Catalog) Check(ctx context.Context, r *purchase.Request) *purchase.Refusal {
	held := c.current()
	if held == nil || held.judge(r) == nil {
		return nil
	}
	fresh := c.confirm(ctx)
	if fresh == nil {
		return nil
	}
	return fresh.judge(r)
}

// Stale says that the vendor refused a product that is known here (1009): Run
// has the catalog fetched again, a minute after it last did at the soonest. It
// never waits.
func (c *Catalog) Stale() {
	c.mu.Lock()
	c.refused = c.shared
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // it is to be woken already
	}
}

// Run keeps the catalog up to date until ctx ends. It returns nil; what goes
// wrong is reported, and tried again after a minute.
func (c *Catalog) Run(ctx context.Context) error {
	next := time.Now()
	renewed := next
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
			if soon := renewed.Add(spacing); soon.Before(next) {
				next = soon
			}
		case <-timer.C:
			wait := c.renew(ctx)
			renewed = time.Now()
			next = renewed.Add(wait)
		}
		timer.Reset(time.Until(next))
	}
}

// renew takes the shared catalog, or fetches it where this process's turn is. It
// returns the time until it should be called again.
func (c *Catalog) renew(ctx context.Context) time.Duration {
	switch seen := c.look(ctx); {
	case seen.found != nil:
		c.take(seen.found, seen.found.id)
		// Not at the very moment at which it ends there.
		return max(seen.left, lookAgain)
	case seen.left > 0:
		return min(seen.left, lookAgain)
	}
	fetching, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	fresh, err := fetch(fetching, c.vendor)
	if err != nil && ctx.Err() == nil {
		c.report(fmt.Errorf("catalog: %w", err))
	}
	if fresh == nil {
		return min(c.refresh, spacing)
	}
	c.take(fresh, "")
	c.put(ctx, fresh)
	return c.refresh
}

// look asks the share. Without one, or where it does not answer, it is this
// process's turn to fetch.
func (c *Catalog) look(ctx context.Context) look {
	if c.share == nil {
		return look{}
	}
	c.mu.Lock()
	refused := c.refused
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, shareLimit)
	defer cancel()
	seen, err := c.share.look(ctx, refused)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			c.report(fmt.Errorf("catalog: look at the shared one: %w", err))
		}
		return look{}
	}
	return seen
}

// put shares what was fetched.
func (c *Catalog) put(ctx context.Context, fresh *snapshot) {
	if c.share == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shareLimit)
	defer cancel()
	if err := c.share.put(ctx, fresh, c.refresh); err != nil {
		if !errors.Is(err, context.Canceled) {
			c.report(fmt.Errorf("catalog: share it: %w", err))
		}
		return
	}
	c.mu.Lock()
	c.shared = fresh.id
	c.mu.Unlock()
}

// take holds a newer catalog. shared is its id in the share, if it came from there.
func (c *Catalog) take(s *snapshot, shared string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = s
	if shared != "" {
		c.shared = shared
	}
}

func (c *Catalog) current() *snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// confirm fetches now, or waits for the confirming fetch under way. It returns
// nil where neither can be had. The caller's goroutine fetches, for all that
// wait: where its purchase is given up the others are not refused, and no more.
func (c *Catalog) confirm(ctx context.Context) *snapshot {
	c.mu.Lock()
	if under := c.underway; under != nil {
		c.mu.Unlock()
		select {
		case <-under.done:
			return under.fresh
		case <-ctx.Done():
			return nil
		}
	}
	now := time.Now()
	if now.Before(c.nextConfirm) {
		c.mu.Unlock()
		return nil
	}
	own := &confirmation{done: make(chan struct{})}
	c.underway, c.nextConfirm = own, now.Add(spacing)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.underway = nil
		c.mu.Unlock()
		close(own.done)
	}()

	fetching, cancel := context.WithTimeout(ctx, confirmLimit)
	defer cancel()
	fresh, err := fetch(fetching, c.vendor)
	if err != nil && ctx.Err() == nil {
		c.report(fmt.Errorf("catalog: confirm a refusal: %w", err))
	}
	if fresh != nil {
		own.fresh = fresh
		c.take(fresh, "")
	}
	return fresh
}
