package dedupetest_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"pgregory.net/rapid"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/dedupe/dedupetest"
	"github.com/vendstream/vendstream/internal/purchase"
)

const (
	lease = time.Minute
	ttl   = 10 * time.Minute
)

// Random calls are answered by the memory as by the scripts.
func TestMemoryAnswersAsTheScriptsDo(t *testing.T) {
	server := miniredis.RunT(t)
	server.ClockTTL(true)
	client, err := dedupe.Open("redis://" + server.Addr() + "/0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	store := dedupe.New(client, dedupe.Config{Prefix: "test", Lease: lease, TTL: ttl})
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		server.FlushAll()
		now := time.UnixMilli(1_750_000_000_000)
		memory := dedupetest.NewMemory(lease, ttl)
		memory.Now = func() time.Time { return now }
		server.SetTime(now)
		same := func(what string, got, want any, err error) {
			if err != nil || !reflect.DeepEqual(got, want) {
				rt.Fatalf("%s: the scripts say %+v, %v, the memory %+v", what, got, err, want)
			}
		}
		digest := func(r string) purchase.Digest {
			request, err := purchase.Parse([]byte(`{"merchantReference":"r","amount":`+r+`}`), purchase.Account{Name: "acme"})
			if err != nil {
				rt.Fatal(err)
			}
			return request.Digest
		}
		claim := func(rt *rapid.T) dedupe.Claim {
			return dedupe.Claim{
				Key:    dedupe.Key{Account: "acme", Reference: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "reference")},
				Digest: digest(rapid.SampledFrom([]string{"1", "1", "1", "2"}).Draw(rt, "payload")),
				Owner:  rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "owner"),
				Sends:  rapid.Bool().Draw(rt, "sends"),

				Unanswered: rapid.Bool().Draw(rt, "unanswered"),
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"claim": func(rt *rapid.T) {
				c := []dedupe.Claim{claim(rt), claim(rt)}
				want, _ := memory.Claim(ctx, c)
				got, err := store.Claim(ctx, c)
				same("claim", got, want, err)
			},
			"reopen": func(rt *rapid.T) {
				c, from := claim(rt), rapid.SampledFrom([]purchase.ClaimState{purchase.Pending, purchase.Settled}).Draw(rt, "from")
				want, _ := memory.Reopen(ctx, c, from)
				got, err := store.Reopen(ctx, c, from)
				same("reopen", got, want, err)
			},
			"extend": func(rt *rapid.T) {
				c := []dedupe.Claim{claim(rt), claim(rt)}
				want, _ := memory.Extend(ctx, c)
				got, err := store.Extend(ctx, c)
				same("extend", got, want, err)
			},
			"mark sent": func(rt *rapid.T) {
				c := claim(rt)
				want, _ := memory.MarkSent(ctx, c)
				got, err := store.MarkSent(ctx, c)
				same("mark sent", got, want, err)
			},
			"release": func(rt *rapid.T) {
				c, n, sent := claim(rt), rapid.IntRange(0, 3).Draw(rt, "attempts"), rapid.Bool().Draw(rt, "sent")
				want, _ := memory.Release(ctx, c, n, sent)
				got, err := store.Release(ctx, c, n, sent)
				same("release", got, want, err)
			},
			"pending": func(rt *rapid.T) {
				c, n := claim(rt), rapid.IntRange(0, 3).Draw(rt, "attempts")
				id := rapid.SampledFrom([]string{"", "t1"}).Draw(rt, "transaction")
				want, _ := memory.MarkPending(ctx, c.Key, c.Digest, id, n)
				got, err := store.MarkPending(ctx, c.Key, c.Digest, id, n)
				same("mark pending", got, want, err)
			},
			"settled": func(rt *rapid.T) {
				c := claim(rt)
				want, _ := memory.MarkSettled(ctx, c.Key, c.Digest)
				got, err := store.MarkSettled(ctx, c.Key, c.Digest)
				same("mark settled", got, want, err)
			},
			"hold post": func(rt *rapid.T) {
				c := claim(rt)
				want, _ := memory.HoldPost(ctx, c, lease)
				got, err := store.HoldPost(ctx, c, lease)
				same("hold post", got, want, err)
			},
			"pass": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 400).Draw(rt, "seconds")) * time.Second)
				server.SetTime(now)
			},
			"flush": func(*rapid.T) {
				memory.Flush()
				server.FlushAll()
			},
		})
	})
}
