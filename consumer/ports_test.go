package consumer

import (
	"context"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// This file is world's Redis and streams.

func (w *world) Claim(ctx context.Context, all []dedupe.Claim) (answers []dedupe.Answer, err error) {
	if err = w.do("claim", func() { answers, _ = w.redis.Claim(ctx, all) }); err != nil {
		return nil, err
	}
	return answers, nil
}

func (w *world) Release(ctx context.Context, c dedupe.Claim, attempts int, sent bool) (ours bool, err error) {
	err = w.do("release", func() { ours, _ = w.redis.Release(ctx, c, attempts, sent) })
	return ours && err == nil, err
}

func (w *world) Reopen(ctx context.Context, c dedupe.Claim, from purchase.ClaimState) (a dedupe.Answer, err error) {
	if err = w.do("reopen", func() { a, _ = w.redis.Reopen(ctx, c, from) }); err != nil {
		return dedupe.Answer{}, err
	}
	return a, nil
}

func (w *world) Extend(ctx context.Context, all []dedupe.Claim) (ours []bool, err error) {
	if err = w.do("extend", func() { ours, _ = w.redis.Extend(ctx, all) }); err != nil {
		return nil, err
	}
	return ours, nil
}

func (w *world) MarkSent(ctx context.Context, c dedupe.Claim) (ours bool, err error) {
	err = w.do("sent", func() { ours, _ = w.redis.MarkSent(ctx, c) })
	return ours && err == nil, err
}

func (w *world) MarkPending(ctx context.Context, k dedupe.Key, d purchase.Digest, id string, attempts int) (was purchase.ClaimState, err error) {
	err = w.do("pending", func() { was, _ = w.redis.MarkPending(ctx, k, d, id, attempts) })
	return was, err
}

func (w *world) MarkSettled(ctx context.Context, k dedupe.Key, d purchase.Digest) (was purchase.ClaimState, err error) {
	err = w.do("settled", func() { was, _ = w.redis.MarkSettled(ctx, k, d) })
	return was, err
}

func (w *world) Ping(context.Context) error { return w.do("ping", func() {}) }

// Look is two effects, as in the publisher: all hand-offs, then all results.
func (w *world) Look(_ context.Context, _ string, references []string) ([]publisher.Known, error) {
	all := make([]publisher.Known, len(references))
	err := w.do("read hand-off", func() {
		for i, reference := range references {
			if h, ok := w.handoffs[reference]; ok {
				all[i].Handoff = &h
			}
		}
	})
	if err != nil {
		return nil, err
	}
	err = w.do("read result", func() {
		for i, reference := range references {
			if r, ok := w.results[reference]; ok {
				all[i].Result = &r
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (w *world) Handoff(_ context.Context, _, reference string) (found *purchase.Handoff, sequence uint64, err error) {
	err = w.do("read hand-off", func() {
		if h, ok := w.handoffs[reference]; ok {
			found, sequence = &h, w.sequence
		}
	})
	if err != nil {
		return nil, 0, err
	}
	return found, sequence, nil
}

func (w *world) PublishResult(ctx context.Context, r *purchase.Result, _ string) (there *purchase.Result, err error) {
	err = w.do("result", func() {
		if ctx.Err() != nil {
			return // nothing is sent that was not before
		}
		if old, ok := w.results[r.MerchantReference]; ok {
			there = &old
			return
		}
		w.results[r.MerchantReference] = *r
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return there, nil
}

func (w *world) PublishHandoff(_ context.Context, h *purchase.Handoff, _ string) (there *purchase.Handoff, err error) {
	err = w.do("hand-off", func() {
		if old, ok := w.handoffs[h.MerchantReference]; ok {
			there = &old
			return
		}
		w.sequence++
		w.handoffs[h.MerchantReference] = decodeHandoff(w.t, *h)
	})
	if err != nil {
		return nil, err
	}
	return there, nil
}

func (w *world) ReplaceHandoff(_ context.Context, h *purchase.Handoff, _ string, sequence uint64) (there *purchase.Handoff, err error) {
	gone := false
	err = w.do("replace", func() {
		switch old, ok := w.handoffs[h.MerchantReference]; {
		case !ok:
			gone = true
		case w.sequence != sequence:
			there = &old
		default:
			w.sequence++
			w.handoffs[h.MerchantReference] = decodeHandoff(w.t, *h)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case gone:
		return nil, publisher.ErrGone
	}
	return there, nil
}

func (w *world) PublishDead(_ context.Context, d publisher.DeadLetter) error {
	return w.do("dead", func() {
		if _, ok := w.dead[d.Sequence]; !ok {
			w.dead[d.Sequence] = d
		}
	})
}

func (w *world) DeadSequences(context.Context, string) (all map[uint64]bool, err error) {
	err = w.do("read dead", func() {
		all = map[uint64]bool{}
		for sequence := range w.dead {
			all[sequence] = true
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
