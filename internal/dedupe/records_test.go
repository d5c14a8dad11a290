package dedupe

import (
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// A record that nobody can read stands in nobody's way.
func TestUnreadableRecords(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, ctx := h.store(), t.Context()
		spoil := map[string]func(key string) error{
			"string":        func(key string) error { return h.client.Set(ctx, key, "x", time.Hour).Err() },
			"list":          func(key string) error { return h.client.RPush(ctx, key, "x").Err() },
			"unknown state": func(key string) error { return h.client.HSet(ctx, key, "state", "x", "digest", "y").Err() },
			"no digest":     func(key string) error { return h.client.HSet(ctx, key, "state", "settled").Err() },
		}
		for name, set := range spoil {
			c := claimOf(name, "me")
			if err := set(s.key(c.Key)); err != nil {
				t.Fatal(err)
			}
			must(t, false)(s.MarkSent(ctx, c))
			if err := set(s.key(c.Key)); err != nil {
				t.Fatal(err)
			}
			got := expect(t, s, c, purchase.ClaimNew)
			if !got.Sent || got.State != purchase.Absent {
				t.Errorf("%s: %+v", name, got)
			}
			checkTTL(t, h, s, c.Key, purchase.Claimed)
		}
		// A field that is no number counts as 0.
		c := claimOf("no number", "me")
		if err := h.client.HSet(ctx, s.key(c.Key), "state", "claimed", "digest", fingerprint(digestA), "owner", "x", "lease", "soon", "attempts", "many").Err(); err != nil {
			t.Fatal(err)
		}
		expect(t, s, c, purchase.ClaimTakenOver)
	})
}

func TestRefusedBeforeAnythingIsSent(t *testing.T) {
	s := New(open(t, "redis://127.0.0.1:1/0"), Config{})
	ctx := t.Context()
	good := claimOf("r", "me")
	bad := map[string]Claim{
		"owner":               {Key: good.Key, Digest: good.Digest},
		"digest":              {Key: good.Key, Owner: "me"},
		"account":             {Key: Key{"", "r"}, Digest: good.Digest, Owner: "me"},
		"reference":           {Key: Key{"acme", ""}, Digest: good.Digest, Owner: "me"},
		"account and nothing": {},
	}
	for name, c := range bad {
		_, claimErr := s.Claim(ctx, []Claim{good, c})
		_, extendErr := s.Extend(ctx, []Claim{good, c})
		_, sentErr := s.MarkSent(ctx, c)
		_, releaseErr := s.Release(ctx, c, 0, false)
		_, reopenErr := s.Reopen(ctx, c, purchase.Pending)
		_, holdErr := s.HoldPost(ctx, c, 0)
		errs := []error{claimErr, extendErr, sentErr, releaseErr, reopenErr, holdErr}
		if name != "owner" {
			_, pendingErr := s.MarkPending(ctx, c.Key, c.Digest, "", 0)
			_, settledErr := s.MarkSettled(ctx, c.Key, c.Digest)
			errs = append(errs, pendingErr, settledErr)
		}
		for i, err := range errs {
			if err == nil || !strings.Contains(err.Error(), "is empty") {
				t.Errorf("%s, method %d: %v", name, i, err)
			}
		}
	}
	if s.cfg != (Config{DefaultPrefix, DefaultLease, DefaultTTL}) {
		t.Errorf("defaults: %+v", s.cfg)
	}
}
