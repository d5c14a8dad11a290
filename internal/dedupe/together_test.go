package dedupe

import (
	"context"
	"errors"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
)

// onTheWay is a proxy: it sees every command, and may send it to another server.
type onTheWay struct {
	// to sends a command on, or answers it; nil: everything goes where it would.
	to func(ctx context.Context, cmd redis.Cmder) error
	// keys of each EVALSHA that came by.
	keys []int
}

func (*onTheWay) DialHook(next redis.DialHook) redis.DialHook { return next }

func (p *onTheWay) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if p.to == nil {
			return next(ctx, cmd)
		}
		return p.to(ctx, cmd)
	}
}

func (p *onTheWay) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		var errs []error
		for _, cmd := range cmds {
			if cmd.Name() == "evalsha" {
				p.keys = append(p.keys, cmd.Args()[2].(int))
			}
			if p.to != nil {
				errs = append(errs, p.to(ctx, cmd))
			}
		}
		if p.to == nil {
			return next(ctx, cmds)
		}
		return errors.Join(errs...)
	}
}

// firstKey is where a proxy finds what a command is about.
func firstKey(cmd redis.Cmder) string {
	at := 1
	if cmd.Name() == "evalsha" || cmd.Name() == "eval" {
		at = 3
	}
	key, _ := cmd.Args()[at].(string)
	return key
}

func claimsFor(owner string, n int) []Claim {
	claims := make([]Claim, n)
	for i := range claims {
		claims[i] = claimOf("r"+number(i), owner)
	}
	return claims
}

// all claims, and checks that each has the verdict.
func all(t *testing.T, s *Store, claims []Claim, want purchase.Verdict) {
	t.Helper()
	answers, err := s.Claim(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if a.Verdict != want || a.Digest != claims[i].Digest {
			t.Fatalf("claim %d: %+v, want %v", i, a, want)
		}
	}
}

// Where one server holds all records, a command bears many.
func TestManyRecordsInACommand(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s, proxy := h.store(), &onTheWay{}
		h.client.AddHook(proxy)
		all(t, s, claimsFor("me", 2*mostKeys+1), purchase.ClaimNew)
		all(t, s, claimsFor("you", 2*mostKeys+1), purchase.ClaimInFlight)
		// The first found no scripts.
		if got := proxy.keys; len(got) != 9 || got[0] != mostKeys || got[8] != 1 {
			t.Errorf("the commands had %v keys", got)
		}
		if left, err := h.client.Keys(t.Context(), "*").Result(); err != nil || len(left) != 2*mostKeys+1 {
			t.Errorf("%d keys, the probe's among them: %v", len(left), err)
		}
	})
}

// A proxy divides the keys among two servers, and sends a command to where its first
// key belongs. Every record is claimed where everybody looks for it.
func TestAProxyBeforeSeveralServers(t *testing.T) {
	servers := [2]redis.UniversalClient{open(t, servertest.Redis(t).URL()), open(t, servertest.Redis(t).URL())}
	of := func(key string) redis.UniversalClient {
		sum := fnv.New32a()
		_, _ = sum.Write([]byte(key))
		return servers[sum.Sum32()%2]
	}
	proxied := func() (*Store, *onTheWay) {
		client := open(t, "redis://127.0.0.1:1") // nothing gets there
		proxy := &onTheWay{to: func(ctx context.Context, cmd redis.Cmder) error {
			if cmd.Name() == "script" { // to all of them
				return errors.Join(servers[0].Process(ctx, cmd), servers[1].Process(ctx, cmd))
			}
			return of(firstKey(cmd)).Process(ctx, cmd)
		}}
		client.AddHook(proxy)
		return New(client, Config{Prefix: "test"}), proxy
	}
	first, proxy := proxied()
	all(t, first, claimsFor("me", 20), purchase.ClaimNew)
	second, _ := proxied()
	claims := claimsFor("you", 20)
	claims[0], claims[19] = claims[19], claims[0]
	all(t, second, claims, purchase.ClaimInFlight)
	for _, keys := range proxy.keys {
		if keys != 1 {
			t.Fatalf("a command had %d keys", keys)
		}
	}
}

// A server that takes no more than one key in a command gets them one by one: as it
// was from the start, or as it has become.
func TestKeysThatLieApart(t *testing.T) {
	for _, words := range []string{"CROSSSLOT Keys in request don't hash to the same slot", "ERR one key at a time, please"} {
		conformance(t, func(t *testing.T, h *harness) {
			plain := open(t, h.url)
			divided := false
			proxy := &onTheWay{to: func(ctx context.Context, cmd redis.Cmder) error {
				if keys, ok := cmd.Args()[2].(int); divided && ok && keys > 1 {
					cmd.SetErr(refusal(words))
					return refusal(words)
				}
				return plain.Process(ctx, cmd)
			}}
			h.client.AddHook(proxy)
			s := h.store()
			all(t, s, claimsFor("me", 10), purchase.ClaimNew)
			divided = true
			all(t, s, claimsFor("you", 10), purchase.ClaimInFlight)
			s.probed.Store(1) // long ago
			proxy.keys = nil
			all(t, s, claimsFor("me", 10), purchase.ClaimAgain)
			all(t, h.store(), claimsFor("you", 10), purchase.ClaimInFlight)
			if len(proxy.keys) != 20 {
				t.Errorf("the commands had %v keys", proxy.keys)
			}
		})
	}
}

// refusal is an error as a server gives it.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

// A proxy is given a second server, which another process has given the scripts: there
// is nothing but time to show it.
func TestAProxyThatIsGivenAServer(t *testing.T) {
	first, second := open(t, servertest.Redis(t).URL()), open(t, servertest.Redis(t).URL())
	two := false
	client := open(t, "redis://127.0.0.1:1") // nothing gets there
	client.AddHook(&onTheWay{to: func(ctx context.Context, cmd redis.Cmder) error {
		if two && cmd.Name() != "script" && strings.HasSuffix(firstKey(cmd), "7") {
			return second.Process(ctx, cmd)
		}
		return first.Process(ctx, cmd)
	}})
	for _, script := range scripts {
		if err := script.Load(t.Context(), second).Err(); err != nil {
			t.Fatal(err)
		}
	}
	s := New(client, Config{Prefix: "test"})
	all(t, s, claimsFor("me", 10), purchase.ClaimNew)
	if s.spread.Load() != spreadTogether {
		t.Fatal("one server, and it is not taken for one")
	}
	two = true
	all(t, s, claimsFor("me", 10), purchase.ClaimAgain)
	s.probed.Store(time.Now().Add(-probeAgain - time.Second).UnixNano())
	claims := claimsFor("you", 10)
	answers, err := s.Claim(t.Context(), claims)
	if err != nil || s.spread.Load() != spreadApart {
		t.Fatalf("it is taken for one server: %v", err)
	}
	for i, a := range answers {
		want := purchase.ClaimInFlight
		if i == 7 {
			want = purchase.ClaimNew // the proxy looks for it where it never was
		}
		if a.Verdict != want {
			t.Errorf("claim %d: %v, want %v", i, a.Verdict, want)
		}
	}
}

// A server that does not know the scripts may be another one, and is tried again.
func TestProbedAgainWithoutScripts(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s := h.store()
		all(t, s, claimsFor("me", 2), purchase.ClaimNew)
		probed := s.probed.Load()
		all(t, s, claimsFor("me", 2), purchase.ClaimAgain)
		if s.probed.Load() != probed {
			t.Error("tried again although nothing had happened")
		}
		if err := h.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		all(t, s, claimsFor("me", 2), purchase.ClaimAgain)
		if s.probed.Load() == probed || s.spread.Load() != spreadTogether {
			t.Error("not tried again")
		}
	})
}

// What was found apart stays so, also where somebody who began earlier found otherwise;
// and nothing is taken for known while it is found out once more.
func TestWhatIsKnownOfTheServers(t *testing.T) {
	s := New(open(t, "redis://127.0.0.1:1"), Config{})
	s.spread.Store(spreadTogether)
	if s.together(t.Context()) || s.probed.Load() == 0 {
		t.Error("it was not tried")
	}
	for _, c := range []struct{ known, found, want int32 }{
		{spreadUnknown, spreadTogether, spreadTogether},
		{spreadTogether, spreadUnknown, spreadUnknown},
		{spreadTogether, spreadApart, spreadApart},
		{spreadApart, spreadTogether, spreadApart},
		{spreadApart, spreadUnknown, spreadApart},
	} {
		s.spread.Store(c.known)
		s.learn(c.found)
		if got := s.spread.Load(); got != c.want {
			t.Errorf("known %d, found %d: %d, want %d", c.known, c.found, got, c.want)
		}
	}
	for known, want := range map[int32]int32{spreadUnknown: spreadUnknown, spreadTogether: spreadUnknown, spreadApart: spreadApart} {
		s.spread.Store(known)
		s.probed.Store(1)
		s.forgetSpread()
		if got := s.spread.Load(); got != want || s.probed.Load() != 0 {
			t.Errorf("%d forgotten: %d, want %d", known, got, want)
		}
	}
}

// A clock that was set back does not put the next try off.
func TestProbedAfterTheClockWasSetBack(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s := h.store()
		s.spread.Store(spreadTogether)
		ahead := time.Now().Add(time.Hour).UnixNano()
		s.probed.Store(ahead)
		if !s.together(t.Context()) || s.probed.Load() == ahead {
			t.Error("not tried again")
		}
	})
}

// The answer to the probe is lost: the client asks again, and the keys are gone.
func TestProbeWithoutAnAnswer(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		client, lose := deaf(t, h)
		if err := client.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		client.AddHook(beforeEval(func() { lose.Store(true) }))
		s := New(client, Config{Prefix: "test"})
		if got := s.probe(t.Context(), client.(*redis.Client)); got != spreadUnknown || lose.Load() {
			t.Errorf("a probe without an answer says %d", got)
		}
	})
}

// beforeEval is called before each script that is sent by itself.
type beforeEval func()

func (beforeEval) DialHook(next redis.DialHook) redis.DialHook { return next }
func (beforeEval) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f beforeEval) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "eval" {
			f()
		}
		return next(ctx, cmd)
	}
}

// Where Redis is away nothing is learned from that.
func TestProbeOfARedisThatIsAway(t *testing.T) {
	conformance(t, func(t *testing.T, h *harness) {
		s := h.store()
		h.stop()
		if _, err := s.Claim(t.Context(), claimsFor("me", 2)); err == nil {
			t.Fatal("claimed with a Redis that is away")
		}
		if got := s.spread.Load(); got != spreadUnknown {
			t.Errorf("it is taken for known: %d", got)
		}
		h.start()
		s.probed.Store(1) // long ago
		all(t, s, claimsFor("me", 2), purchase.ClaimNew)
		if got := s.spread.Load(); got != spreadTogether {
			t.Errorf("one server, and it is taken for %d", got)
		}
	})
}
