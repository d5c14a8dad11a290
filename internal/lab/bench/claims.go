package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
)

// ClaimsOptions are what RunClaims needs.
type ClaimsOptions struct {
	Study
	Claims int
}

const (
	measureRecord = "memory_each"
	measureTotal  = "memory"
)

var claimMeasures = []measure{
	{measureRecord, "B/purchase", 0},
	{measureTotal, "MB", 1},
}

// claimBatch is how many claims are made in one round trip.
const claimBatch = 500

// RunClaims measures how much memory of Redis the record of a purchase takes in each
// of its states, and prints the report.
func RunClaims(ctx context.Context, o ClaimsOptions) (failed error) {
	p, leave, err := o.begin(ctx, 0, false)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, leave()) }()
	report := cases{measures: claimMeasures}
	for round := range o.Rounds {
		o.say("round %d of %d: %d records", round+1, o.Rounds, o.Claims)
		w := &world{dir: p.dir, self: p.self}
		err := w.startRedis(ctx)
		if err == nil {
			err = o.run(ctx, w, &report)
		}
		w.close()
		if err != nil {
			return err
		}
	}
	return report.print(o.Stdout, o.Format)
}

// run takes the same purchases from state to state.
func (o ClaimsOptions) run(ctx context.Context, w *world, report *cases) error {
	store := dedupe.New(w.client, dedupe.Config{})
	// Redis counts the buffers of connections too, which grow with the first batch.
	if err := errors.Join(o.claim(ctx, store), w.client.FlushAll(ctx).Err()); err != nil {
		return err
	}
	empty, err := w.usedMemory(ctx)
	if err != nil {
		return err
	}
	if err := o.claim(ctx, store); err != nil {
		return err
	}
	weigh := func(state string) error {
		used, err := w.usedMemory(ctx)
		report.add(state, "", figures{measureRecord: float64(used-empty) / float64(o.Claims), measureTotal: megabytes(used - empty)})
		return err
	}
	if err := weigh("claimed"); err != nil {
		return err
	}
	for i := range o.Claims {
		if _, err := store.MarkPending(ctx, keyOf(i), digestOf(i), "VAS-"+reference(i), 1); err != nil {
			return err
		}
	}
	if err := weigh("pending"); err != nil {
		return err
	}
	for i := range o.Claims {
		if _, err := store.MarkSettled(ctx, keyOf(i), digestOf(i)); err != nil {
			return err
		}
	}
	return weigh("settled")
}

func (o ClaimsOptions) claim(ctx context.Context, store *dedupe.Store) error {
	for from := 0; from < o.Claims; from += claimBatch {
		var claims []dedupe.Claim
		for i := from; i < min(from+claimBatch, o.Claims); i++ {
			claims = append(claims, dedupe.Claim{Key: keyOf(i), Digest: digestOf(i), Owner: fmt.Sprintf("01890a5d-ac96-774b-bcce-b302099a8057/%d", i), Sends: true})
		}
		if _, err := store.Claim(ctx, claims); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(number int) dedupe.Key {
	return dedupe.Key{Account: account, Reference: reference(number)}
}

func digestOf(number int) purchase.Digest {
	return purchase.Digest(fmt.Sprintf("sha256:%064x", number))
}

// usedMemory is what Redis says that its data takes, in bytes.
func (w *world) usedMemory(ctx context.Context) (int64, error) {
	return w.redisInfo(ctx, "memory", "used_memory")
}

// redisInfo is a figure of INFO.
func (w *world) redisInfo(ctx context.Context, section, field string) (int64, error) {
	text, err := w.client.Info(ctx, section).Result()
	if err != nil {
		return 0, fmt.Errorf("bench: ask Redis: %w", err)
	}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), field+":"); found {
			return strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
		}
	}
	return 0, errors.New("bench: Redis does not tell " + field)
}
