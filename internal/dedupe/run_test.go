package dedupe

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
)

// What fails for one call is that caller's trouble, not the pipeline's.
func TestOneCallFails(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, c := New(h.client, Config{Prefix: "test"}), claimOf("good", "me")
		expect(t, s, c, purchase.ClaimNew)
		if err := h.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		nobodys := redis.NewScript("return 'a script that is never loaded'")
		replies := s.run(t.Context(), []call{
			{nobodys, s.key(c.Key), []any{"me"}},
			{releaseScript, s.key(c.Key), []any{"me", 0, "0"}},
		})
		if replies[0].err == nil || replies[1].err != nil || replies[1].answer != int64(1) {
			t.Errorf("%+v", replies)
		}
	})
}
