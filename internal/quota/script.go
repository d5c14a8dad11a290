package quota

import "github.com/redis/go-redis/v9"

// The keys of an account are
//
//	<prefix>:quota:{<account>}:log    a sorted set of permits by time
//	<prefix>:quota:{<account>}:pause  until when nobody gets one, in milliseconds
//
// The braces put both on one node of a Redis Cluster.
//
// A permit's time in the log is the latest at which it may have been used, in
// milliseconds of the server's clock. While it is out, that is the end of its
// validity; once its use is reported, the time of use as the server reckons it:
// never too early, and later than the validity where the process's clock stood
// still (a suspended machine). So a permit that was used, or lost with its
// process, counts until a window has passed since.
func keys(prefix, account string) []string {
	base := prefix + ":quota:{" + account + "}:"
	return []string{base + "log", base + "pause"}
}

// takeScript reports what became of permits and grants new ones.
//
//	KEYS[1]  the log
//	KEYS[2]  the pause
//	ARGV[1]  requests: the most permits in a window
//	ARGV[2]  window in milliseconds: the limit's period and the guard
//	ARGV[3]  validity of a permit in milliseconds
//	ARGV[4]  the most permits to grant; 0 only reports
//	ARGV[5]  name of this call; its permits are named after it, "<name>:1" …
//	ARGV[6…] pairs of a permit's name and its age: the milliseconds since it was
//	         used, or -1 where it is given back unused
//
// Returns {granted, milliseconds until it is worth asking again}. The call can
// be sent twice: a name that has permits is answered with those.
var takeScript = redis.NewScript(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local requests, window, validity, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function text(n)
  return string.format('%.0f', n)
end
for i = 6, #ARGV, 2 do
  local age = tonumber(ARGV[i + 1])
  if age < 0 then
    redis.call('ZREM', KEYS[1], ARGV[i])
  else
    redis.call('ZADD', KEYS[1], text(now - age), ARGV[i])
  end
end
-- A clock that was set back, as by a failover, must not lock the account.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now + validity), '+inf')) do
  redis.call('ZADD', KEYS[1], text(now + validity), name)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - window))
-- Also where a report was the first after Redis had lost the log.
redis.call('PEXPIRE', KEYS[1], text(window + validity))
if most <= 0 then
  return {0, 0}
end
local granted = 0
while granted < most and redis.call('ZSCORE', KEYS[1], ARGV[5] .. ':' .. (granted + 1)) do
  granted = granted + 1
end
if granted > 0 then
  return {granted, 0}
end
local pause = tonumber(redis.call('GET', KEYS[2]) or '0')
if pause > now then
  return {0, pause - now}
end
granted = math.min(most, requests - redis.call('ZCARD', KEYS[1]))
if granted > 0 then
  for i = 1, granted do
    redis.call('ZADD', KEYS[1], text(now + validity), ARGV[5] .. ':' .. i)
  end
  redis.call('PEXPIRE', KEYS[1], text(window + validity))
  return {granted, 0}
end
-- The oldest permit leaves the log a window after its use; one that is out may
-- be given back, or its use reported, at any time until its validity ends.
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local wait = tonumber(oldest[2]) + window - now
local out = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if out[2] then
  wait = math.min(wait, tonumber(out[2]) - now)
end
return {0, math.max(wait, 1)}
`)

// pauseScript keeps everybody from getting permits. A pause that ends later
// stays.
//
//	KEYS[1]  the log, not touched
//	KEYS[2]  the pause
//	ARGV[1]  milliseconds from now
//
// Returns the milliseconds that the pause lasts.
var pauseScript = redis.NewScript(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local pause = tonumber(redis.call('GET', KEYS[2]) or '0')
local new = now + tonumber(ARGV[1])
if pause >= new then
  return pause - now
end
redis.call('SET', KEYS[2], string.format('%.0f', new), 'PX', ARGV[1])
return new - now
`)
