package dedupe

import "github.com/redis/go-redis/v9"

// Every script begins with this. KEYS[1] is the record, and the only key that
// a script touches.
//
// What it reads is in the locals state (” for none), owner, lease, digest,
// attempts, sent and txid; now is the server's time in milliseconds. A record
// that cannot be read (another type of key, an unknown state, no digest) is
// worth nothing: it is taken away and counts as absent, except that a call may
// have been made. save writes the fields that it is given; it does the first
// write of every script and the only one that can fail for want of memory, so
// that a script does all or nothing.
const prelude = `
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local record = redis.pcall('HMGET', KEYS[1], 'state', 'owner', 'lease', 'digest', 'attempts', 'sent', 'txid')
local unreadable = false
if record.err then
  if not string.find(record.err, 'WRONGTYPE', 1, true) then
    return record
  end
  record = {}
  unreadable = true
end
local state = record[1] or ''
local digest = record[4] or ''
local known = state == 'claimed' or state == 'released' or state == 'pending' or state == 'settled'
if (known and digest == '') or (not known and state ~= '') then
  unreadable = true
end
if unreadable then
  redis.call('DEL', KEYS[1])
  record = {}
  state = ''
  digest = ''
end
local owner = record[2] or ''
local lease = tonumber(record[3] or '0') or 0
local attempts = tonumber(record[5] or '0') or 0
local sent = tonumber(record[6] or '0') or 0
local txid = record[7] or ''
if unreadable then
  sent = 1
end
local function save(...)
  redis.call('HSET', KEYS[1], 'sent', sent, ...)
end
local function ends(milliseconds)
  return string.format('%.0f', now + tonumber(milliseconds))
end
`

// claimScript claims a record.
//
//	KEYS[1]  the record
//	ARGV[1]  owner
//	ARGV[2]  digest
//	ARGV[3]  lease in milliseconds
//	ARGV[4]  '', or the state (pending, settled) that is to be claimed all the
//	         same: the streams were seen to contradict it
//	ARGV[5]  1: where the claim is granted, a purchase call may follow that is
//	         not marked; 0: none will
//
// Returns {verdict, state before, milliseconds to wait, attempts, sent, txid,
// digest}: sent as it was before the call, the rest as it is after it.
var claimScript = redis.NewScript(prelude + `
local before = state
local was = sent
local function answer(verdict, wait)
  return {verdict, before, wait, attempts, was, txid, digest}
end
local function grant(verdict)
  digest = ARGV[2]
  if ARGV[5] == '1' then
    sent = 1
  end
  save('state', 'claimed', 'owner', ARGV[1], 'lease', ends(ARGV[3]), 'digest', digest)
  redis.call('PERSIST', KEYS[1])
  return answer(verdict, 0)
end
if state == '' then
  return grant('new')
end
if digest ~= ARGV[2] then
  return answer('conflict', 0)
end
if state == 'released' then
  return grant('new')
end
local held = owner ~= ARGV[1] and lease > now
if state == 'claimed' then
  if owner == ARGV[1] then
    return grant('again')
  end
  if held then
    return answer('in_flight', lease - now)
  end
  return grant('taken_over')
end
if state ~= ARGV[4] then
  return answer(state, 0)
end
if held then
  return answer('in_flight', lease - now)
end
return grant('taken_over')
`)

// renewScript renews the lease of a claim.
//
//	KEYS[1]  the record
//	ARGV[1]  owner
//	ARGV[2]  lease in milliseconds
//	ARGV[3]  1: a purchase call is about to be made; 0: nothing new
//
// Returns 1, or 0 where the owner has the claim no longer.
var renewScript = redis.NewScript(prelude + `
if state ~= 'claimed' or owner ~= ARGV[1] then
  return 0
end
if ARGV[3] == '1' then
  sent = 1
end
save('lease', ends(ARGV[2]))
return 1
`)

// releaseScript gives a claim back.
//
//	KEYS[1]  the record
//	ARGV[1]  owner
//	ARGV[2]  attempts; a larger number in the record stays
//	ARGV[3]  1: a purchase call may have been made; 0: none was, whatever the
//	         record says, which the owner has read when it claimed
//
// Returns 1, also where the same owner has released it before; 0 where the
// owner has the claim no longer.
var releaseScript = redis.NewScript(prelude + `
if owner ~= ARGV[1] then
  return 0
end
if state == 'released' then
  return 1
end
if state ~= 'claimed' then
  return 0
end
sent = tonumber(ARGV[3])
save('state', 'released', 'attempts', math.max(attempts, tonumber(ARGV[2])))
redis.call('HDEL', KEYS[1], 'lease')
return 1
`)

// pendingScript records that a hand-off is stored, whoever owns the claim. A
// poller's right to post again stays with it.
//
//	KEYS[1]  the record
//	ARGV[1]  digest of the hand-off
//	ARGV[2]  txid; '' keeps the one that is known
//	ARGV[3]  attempts; a larger number in the record stays
//
// Returns the state before. A settled record stays as it is.
var pendingScript = redis.NewScript(prelude + `
if state == 'settled' then
  return state
end
if ARGV[2] ~= '' then
  txid = ARGV[2]
end
sent = 1
save('state', 'pending', 'digest', ARGV[1], 'txid', txid, 'attempts', math.max(attempts, tonumber(ARGV[3])))
if state ~= 'pending' then
  redis.call('HDEL', KEYS[1], 'owner', 'lease')
end
return state
`)

// settledScript records that a result is stored, whoever owns the claim. Where
// nothing was held, nothing is known of calls either: one may have been made.
//
//	KEYS[1]  the record
//	ARGV[1]  digest of the result
//	ARGV[2]  time to live in milliseconds
//
// Returns the state before.
var settledScript = redis.NewScript(prelude + `
if state == '' then
  sent = 1
end
save('state', 'settled', 'digest', ARGV[1])
redis.call('HDEL', KEYS[1], 'owner', 'lease')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return state
`)

// holdScript gives a poller the right to post a pending purchase again. The
// poller holds the hand-off, so that a record that does not say so yet, and
// that nobody works on, becomes pending.
//
//	KEYS[1]  the record
//	ARGV[1]  owner
//	ARGV[2]  digest of the hand-off
//	ARGV[3]  lease in milliseconds
//	ARGV[4]  1: as far as the poller knows the vendor named no transaction
//
// Returns {1, ”}; {0, txid} where the record names a transaction of which the
// poller does not know; {0, ”} where the record is settled or another owner's
// lease runs.
var holdScript = redis.NewScript(prelude + `
if state == 'settled' then
  return {0, ''}
end
if txid ~= '' and ARGV[4] == '1' then
  return {0, txid}
end
if owner ~= ARGV[1] and lease > now then
  return {0, ''}
end
sent = 1
save('state', 'pending', 'owner', ARGV[1], 'lease', ends(ARGV[3]), 'digest', ARGV[2])
return {1, ''}
`)

// scripts are all of them, to be loaded together.
var scripts = []*redis.Script{claimScript, renewScript, releaseScript, pendingScript, settledScript, holdScript}
