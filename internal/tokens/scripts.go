package tokens

import "github.com/redis/go-redis/v9"

// keys are those of a slot. There is one hash,
//
//	<prefix>:tokens:{<account>}:<slot>
//
// with the fields
//
//	record  the sealed record
//	stored  when it was stored, in milliseconds of the server's clock
//	owner   who has the right to replace the record
//	until   when that right ends, likewise
//
// It expires with the record, or with the right where there is no record.
func (s *Store) keys(slot string) []string {
	return []string{s.prefix + ":tokens:{" + s.account + "}:" + slot}
}

// loadScript reads the record.
//
//	KEYS[1]  the hash
//
// Returns {record, milliseconds since it was stored}, or {} where there is none.
// A clock that was set back makes a record new, not older than it is.
var loadScript = redis.NewScript(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local held = redis.call('HMGET', KEYS[1], 'record', 'stored')
if not held[1] then
  return {}
end
return {held[1], math.max(now - tonumber(held[2]), 0)}
`)

// acquireScript gives the right to replace the record, or prolongs it.
//
//	KEYS[1]  the hash
//	ARGV[1]  the owner who asks
//	ARGV[2]  the record that the owner has seen; empty: none
//	ARGV[3]  lease in milliseconds
//
// Returns 1 where the owner has the right now, else 0 and nothing is changed.
var acquireScript = redis.NewScript(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local held = redis.call('HMGET', KEYS[1], 'record', 'owner', 'until')
local lease = tonumber(ARGV[3])
if (held[1] or '') ~= ARGV[2] then
  return 0
end
if held[2] and held[2] ~= ARGV[1] then
  local left = tonumber(held[3]) - now
  -- More than a lease is left only where the clock was set back, as by a
  -- failover: that must not lock the account.
  if left > 0 and left <= lease then
    return 0
  end
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.0f', now + lease))
if redis.call('PTTL', KEYS[1]) < lease then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
`)

// storeScript replaces the record and ends the right.
//
//	KEYS[1]  the hash
//	ARGV[1]  the owner
//	ARGV[2]  the new record
//	ARGV[3]  milliseconds after which it is forgotten
//
// Returns 1 where the record is stored, also by an earlier sending of the same
// call; 0 where the right is not the owner's, and nothing is changed. A right
// that has ended and that nobody else has taken is still the owner's.
var storeScript = redis.NewScript(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local held = redis.call('HMGET', KEYS[1], 'record', 'owner')
if held[1] == ARGV[2] then
  return 1
end
if held[2] ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'record', ARGV[2], 'stored', string.format('%.0f', now))
redis.call('HDEL', KEYS[1], 'owner', 'until')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`)
