package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// share is where the processes of an account leave the catalog for each other.
type share interface {
	// look finds the catalog there, unless it is the one with the refused id. Where
	// there is none, one process at a time is told to fetch it.
	look(ctx context.Context, refused string) (look, error)
	// put leaves a catalog for so long.
	put(ctx context.Context, s *snapshot, life time.Duration) error
}

// look is what was found. Without a catalog, left is how long another process has
// to fetch it; 0 says that this one should.
type look struct {
	found *snapshot
	left  time.Duration // of the catalog's life, or of the other process's time
}

// turn is how long a process has the right to fetch. One that dies, or whose
// fetch fails, keeps it: a vendor that is away is asked once a minute by all
// processes together.
const turn = spacing

// Redis is a share in Redis. It holds no secrets: products are no more secret
// than a price list. It does not own its client.
type Redis struct {
	client redis.UniversalClient
	keys   []string
	owner  string
}

// NewRedis makes the share of an account. It sends nothing. prefix is
// subjects.prefix.
//
// The keys of an account are
//
//	<prefix>:catalog:{<account>}:<merchant id>:held      a hash of id and body
//	<prefix>:catalog:{<account>}:<merchant id>:fetching  who fetches it now
//
// The braces put both on one node of a Redis Cluster. The merchant id is part of
// them, since another one has other products.
func NewRedis(client redis.UniversalClient, prefix, account, merchantID string) *Redis {
	base := prefix + ":catalog:{" + account + "}:" + merchantID + ":"
	return &Redis{client: client, keys: []string{base + "held", base + "fetching"}, owner: rand.Text()}
}

// lookScript finds the catalog or gives the right to fetch it.
//
//	KEYS[1]  the catalog
//	KEYS[2]  who fetches it
//	ARGV[1]  an id that counts as none, or ""
//	ARGV[2]  who asks
//	ARGV[3]  how long the right lasts, in milliseconds
//
// Returns {id, body, milliseconds}: the catalog and what is left of its life; or
// two empty texts and what is left of another's right, 0 where the right is the
// asker's. It can be sent twice: who has the right is told so again.
var lookScript = redis.NewScript(`
local id = redis.call('HGET', KEYS[1], 'id')
if id and id ~= ARGV[1] then
	return {id, redis.call('HGET', KEYS[1], 'body'), math.max(redis.call('PTTL', KEYS[1]), 1)}
end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[2] then
	return {'', '', math.max(redis.call('PTTL', KEYS[2]), 1)}
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return {'', '', 0}
`)

// putScript leaves a catalog, and gives up the right to fetch.
//
//	KEYS[1]  the catalog
//	KEYS[2]  who fetches it
//	ARGV[1]  its id
//	ARGV[2]  its body
//	ARGV[3]  its life in milliseconds
//	ARGV[4]  who leaves it
//
// Returns 1. It can be sent twice. Whoever fetched without the right, as Redis
// had been away, leaves the other's right as it is.
var putScript = redis.NewScript(`
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'body', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[4] then
	redis.call('DEL', KEYS[2])
end
return 1
`)

var errAnswer = errors.New("the script gave an unexpected answer")

// look implements share. A catalog that cannot be read counts as none.
func (r *Redis) look(ctx context.Context, refused string) (look, error) {
	for {
		answer, err := lookScript.Run(ctx, r.client, r.keys, refused, r.owner, turn.Milliseconds()).Slice()
		if err != nil {
			return look{}, fmt.Errorf("look: %w", err)
		}
		seen, id, err := readLook(answer)
		if err == nil || id == "" || id == refused {
			return seen, err
		}
		refused = id
	}
}

// readLook reads the answer of lookScript. The id is there beside an error where
// the catalog under it cannot be read.
func readLook(answer []any) (seen look, id string, err error) {
	if len(answer) != 3 {
		return look{}, "", errAnswer
	}
	id, okID := answer[0].(string)
	body, okBody := answer[1].(string)
	left, okLeft := answer[2].(int64)
	if !okID || !okBody || !okLeft {
		return look{}, id, errAnswer
	}
	seen.left = time.Duration(left) * time.Millisecond
	if id != "" {
		if seen.found, err = decode(id, []byte(body)); err != nil {
			return look{}, id, err
		}
	}
	return seen, id, nil
}

// put implements share.
func (r *Redis) put(ctx context.Context, s *snapshot, life time.Duration) error {
	body, err := s.encode()
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if err := putScript.Run(ctx, r.client, r.keys, s.id, body, life.Milliseconds(), r.owner).Err(); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return nil
}
