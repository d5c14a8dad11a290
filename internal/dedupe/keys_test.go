package dedupe

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestKeyLayout(t *testing.T) {
	s := New(nil, Config{Prefix: "shop"})
	if got := s.key(Key{"acme", "INV:1 {x}"}); got != "shop:claim:acme:INV:1 {x}" {
		t.Errorf("got %q", got)
	}
}

// Different digests are different in a record, and come back as they were.
func TestFingerprint(t *testing.T) {
	digest := rapid.Custom(func(rt *rapid.T) purchase.Digest {
		prefix := rapid.SampledFrom([]string{"", "sha256:", "hmac-sha256:", "s", "h", "=", "md5:"}).Draw(rt, "prefix")
		rest := rapid.OneOf(
			rapid.StringMatching(`[0-9a-f]{64}`), rapid.StringMatching(`[0-9a-fA-F]{0,6}`), rapid.String(),
		).Draw(rt, "rest")
		return purchase.Digest(prefix + rest)
	})
	rapid.Check(t, func(rt *rapid.T) {
		a, b := digest.Draw(rt, "a"), digest.Draw(rt, "b")
		if got := digestOf(fingerprint(a)); got != a {
			rt.Fatalf("%q came back as %q", a, got)
		}
		if (fingerprint(a) == fingerprint(b)) != (a == b) {
			rt.Fatalf("%q and %q are %q and %q", a, b, fingerprint(a), fingerprint(b))
		}
	})
	for _, d := range []purchase.Digest{digestA, digestB} {
		if got := fingerprint(d); len(got) != 44 || strings.HasPrefix(got, "=") {
			t.Errorf("%q is kept as %q", d, got)
		}
	}
	for _, stored := range []string{"", "x", "s!", "zAAAA"} {
		if got := digestOf(stored); got != "" {
			t.Errorf("%q is read as %q", stored, got)
		}
	}
}
