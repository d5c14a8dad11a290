package dedupe

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// A command may bear the keys of many records where one server holds them all. That
// Redis Cluster does not is seen by the client. A proxy in front of several servers
// looks like one: some refuse a command whose keys lie apart, others send it to where
// its first key belongs, and there a second claim of a purchase would find nothing. So
// it is tried: keys that are written one by one have all to be there for one script. It
// is tried again every minute, with other keys: a proxy may be given more servers, or
// one may hold so little that the keys missed it.

// What Store.spread may be.
const (
	spreadUnknown int32 = iota
	spreadTogether
	spreadApart // for good: nobody puts servers together while they are in use
)

const (
	probeAgain = time.Minute
	// probeKeys all miss a server that holds a twentieth of the keys twice in a million tries.
	probeKeys = 256
	probeLife = 10 * time.Second // of the keys, where they are not taken away again
)

// probeScript takes the keys away and returns how many of them were there.
var probeScript = redis.NewScript(`
local there = 0
for _, key in ipairs(KEYS) do
  there = there + redis.call('DEL', key)
end
return there
`)

// together reports whether one server holds all records, as far as is known. One caller
// tries it when it is time, and the others go on with what was known before.
func (s *Store) together(ctx context.Context) bool {
	client, single := s.client.(*redis.Client)
	if !single || s.spread.Load() == spreadApart {
		return false
	}
	before, now := s.probed.Load(), time.Now()
	since := now.Sub(time.Unix(0, before)) // below 0 where the clock was set back
	if (before == 0 || since < 0 || since > probeAgain) && s.probed.CompareAndSwap(before, now.UnixNano()) {
		s.learn(s.probe(ctx, client))
	}
	return s.spread.Load() == spreadTogether
}

// learn keeps what was found, but for what was found apart once.
func (s *Store) learn(found int32) {
	for known := s.spread.Load(); known != spreadApart && !s.spread.CompareAndSwap(known, found); {
		known = s.spread.Load()
	}
}

// forgetSpread has it tried again, and nobody take it for known until then.
func (s *Store) forgetSpread() {
	s.spread.CompareAndSwap(spreadTogether, spreadUnknown)
	s.probed.Store(0)
}

func (s *Store) probe(ctx context.Context, client *redis.Client) int32 {
	// Among the records, where no account is: whoever may use these may use the probe's.
	among := s.key(Key{Reference: "probe:" + rand.Text() + ":"})
	keys := make([]string, probeKeys)
	pipe := client.Pipeline()
	for i := range keys {
		keys[i] = among + strconv.Itoa(i)
		pipe.Set(ctx, keys[i], "", probeLife)
	}
	_, err := pipe.Exec(ctx)
	var there int
	if err == nil {
		there, err = probeScript.Eval(ctx, client, keys).Int()
	}
	switch {
	case err == nil && there == probeKeys:
		return spreadTogether
	case err == nil && there == 0:
		// Several servers would have the first at least. The answer was lost and the
		// question repeated, or the server has forgotten all.
		return spreadUnknown
	case err == nil, redis.HasErrorPrefix(err, "CROSSSLOT"), redis.HasErrorPrefix(err, "MOVED"):
		return spreadApart
	default:
		return spreadUnknown // Redis is away, or refuses for another reason
	}
}
