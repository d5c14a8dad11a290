package dedupe

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// A command may bear the keys of many records where one server holds them all. That
// Redis Cluster does not is seen by the client. A proxy in front of several servers
// looks like one: some refuse a command whose keys lie apart, others send it to where
// its first key belongs, and there a second claim of a purchase would find nothing. So
// it is tried: keys that are written one by one have all to be there for one script.

// What Store.spread may be.
const (
	spreadUnknown int32 = iota
	spreadTogether
	spreadApart
)

const (
	probePart = ":probe:"
	// probeKeys that lie together by chance, on two servers: once in 2,000 million times.
	probeKeys = 32
	probeLife = 10 * time.Second // where they are not taken away again
)

// probeScript takes the keys away and returns how many of them were there.
var probeScript = redis.NewScript(`
local there = 0
for _, key in ipairs(KEYS) do
  there = there + redis.call('DEL', key)
end
return there
`)

// together reports whether one server holds all records. It is tried before the first
// command for many, and again after a server did not know the scripts.
func (s *Store) together(ctx context.Context) bool {
	client, single := s.client.(*redis.Client)
	if !single {
		return false
	}
	if s.spread.Load() == spreadUnknown {
		if found := s.probe(ctx, client); found != spreadUnknown {
			s.spread.CompareAndSwap(spreadUnknown, found)
		}
	}
	return s.spread.Load() == spreadTogether
}

func (s *Store) probe(ctx context.Context, client *redis.Client) int32 {
	serial := s.cfg.Prefix + probePart + rand.Text() + ":"
	keys := make([]string, probeKeys)
	pipe := client.Pipeline()
	for i := range keys {
		keys[i] = serial + strconv.Itoa(i)
		pipe.Set(ctx, keys[i], "", probeLife)
	}
	_, err := pipe.Exec(ctx)
	var there int
	if err == nil {
		there, err = probeScript.Eval(ctx, client, keys).Int()
	}
	var refused redis.Error
	switch {
	case err == nil && there == probeKeys:
		return spreadTogether
	case err == nil, errors.As(err, &refused):
		return spreadApart
	default:
		return spreadUnknown // Redis is away
	}
}
