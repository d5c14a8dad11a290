package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// Mender puts requests back to work.
type Mender interface {
	Original(ctx context.Context, account string, sequence uint64) (publisher.DeadLetter, error)
	Repair(ctx context.Context, account string, sequence uint64) (uint64, error)
	PublishDead(ctx context.Context, d publisher.DeadLetter) error
}

// Repair puts the unaccounted requests of a report back to work, and notes in each
// finding what was done; a dry run notes what would be. Each is judged once more
// before it is touched. See the package's documentation for why this is safe.
func (c Config) Repair(ctx context.Context, report *Report, mender Mender, dryRun bool) error {
	c = c.filled()
	ground, err := c.Ground(ctx)
	if err != nil {
		return err
	}
	for i := range report.Findings {
		f := &report.Findings[i]
		if f.Repair, err = c.repair(ctx, ground, *f, mender, dryRun); err != nil {
			return fmt.Errorf("audit: repair request %d of account %s: %w", f.Sequence, f.Account, err)
		}
	}
	return nil
}

func (c Config) repair(ctx context.Context, ground Ground, f Finding, mender Mender, dryRun bool) (string, error) {
	switch f.State {
	case Unaccounted, Conflict, Repaired:
	default:
		return "none: somebody has to look at it", nil
	}
	state, _, err := c.Judge(ctx, ground, f.request())
	if err != nil {
		return "", err
	}
	if state != Unaccounted && state != Conflict {
		return "none: it is " + string(state) + " by now", nil
	}
	original, err := mender.Original(ctx, f.Account, f.Sequence)
	if err != nil {
		return "", err
	}
	if original.Body == nil {
		return "none: the request is no longer on the stream", nil
	}
	if f.buried != nil {
		// A daemon, which has the account's configuration, has judged the very same
		// message.
		original.Reason, original.Detail = f.buried.Reason, f.buried.Detail
		return c.bury(ctx, original, mender, dryRun)
	}
	if _, err := purchase.Parse(original.Body, c.Account(f.Account)); err != nil {
		why, err := rejection(err)
		if err != nil {
			return "", err
		}
		original.Reason, original.Detail = why.Reason, why.Detail
		return c.bury(ctx, original, mender, dryRun)
	}
	if dryRun && original.Repairable(time.Now()) == nil {
		return "would be published again", nil
	}
	if dryRun {
		return expired, nil
	}
	sequence, err := mender.Repair(ctx, f.Account, f.Sequence)
	switch {
	case errors.Is(err, publisher.ErrMayHaveBeenSent):
		return expired, nil
	case err != nil:
		return "", err
	}
	return fmt.Sprintf("published again as request %d", sequence), nil
}

// expired is the repair of a request that cannot be repaired.
const expired = "none: it has expired, and may have been sent before: ask the vendor"

func (c Config) bury(ctx context.Context, d publisher.DeadLetter, mender Mender, dryRun bool) (string, error) {
	if dryRun {
		return "would be made a dead letter: " + string(d.Reason), nil
	}
	if err := mender.PublishDead(ctx, d); err != nil {
		return "", err
	}
	return "made a dead letter: " + string(d.Reason), nil
}
