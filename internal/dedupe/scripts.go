package dedupe

import "github.com/redis/go-redis/v9"

// script makes a script of what is to be done with one record, whose key it names
// KEYS[1] and whose arguments ARGV. The script itself is given any number of keys and the
// arguments of all of them, as many for each, and returns what each returned, in their
// order. Where one fails the script ends with its error, and those before it are done: an
// error that stood among the answers would not be read as one (go-redis reads only some of
// them there, and then takes what is left for the next command's answer).
//
// now is the server's time in milliseconds, ends a time from now. save writes the fields that
// it is given; but for the removal of what cannot be read it does the first write of every
// body, and it alone can fail for want of memory, so that a record is changed as a whole or
// not at all. They are made once for all records: half of a script's time is the interpreter's.
func script(body string) *redis.Script {
	return redis.NewScript(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function ends(milliseconds)
  return string.format('%.0f', now + tonumber(milliseconds))
end
local function save(key, sent, ...)
  redis.call('HSET', key, 'sent', sent, ...)
end
local function one(KEYS, ARGV)
` + prelude + body + `
end
local each = #ARGV / #KEYS
local replies = {}
for i, key in ipairs(KEYS) do
  local args = {}
  for n = 1, each do
    args[n] = ARGV[(i - 1) * each + n]
  end
  local reply = one({key}, args)
  if type(reply) == 'table' and reply.err then
    return reply
  end
  replies[i] = reply
end
return replies
`)
}

// Every body begins with this. KEYS[1] is the record, and the only key that it
// touches.
//
// What it reads is in the locals state (” for none), owner, lease, digest,
// attempts, sent and txid. A record that cannot be read (another type of key, an unknown
// state, no digest) is worth nothing: it is taken away and counts as absent, except that
// a call may have been made.
const prelude = `
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
// digest}: sent as it was before the call, the rest as it is after it. The digest is
// empty where it is the claim's own.
var claimScript = script(`
local verdict = state
local wait = 0
local held = owner ~= ARGV[1] and lease > now
if state == '' then
  verdict = 'new'
elseif digest ~= ARGV[2] then
  verdict = 'conflict'
elseif state == 'released' then
  verdict = 'new'
elseif state == 'claimed' and owner == ARGV[1] then
  verdict = 'again'
elseif state == 'claimed' or state == ARGV[4] then
  verdict = 'taken_over'
  if held then
    verdict = 'in_flight'
    wait = lease - now
  end
end
local was = sent
if verdict == 'new' or verdict == 'again' or verdict == 'taken_over' then
  if ARGV[5] == '1' then
    sent = 1
  end
  save(KEYS[1], sent, 'state', 'claimed', 'owner', ARGV[1], 'lease', ends(ARGV[3]), 'digest', ARGV[2])
  redis.call('PERSIST', KEYS[1])
  digest = ''
elseif digest == ARGV[2] then
  digest = ''
end
return {verdict, state, wait, attempts, was, txid, digest}
`)

// renewScript renews the lease of a claim.
//
//	KEYS[1]  the record
//	ARGV[1]  owner
//	ARGV[2]  lease in milliseconds
//	ARGV[3]  1: a purchase call is about to be made; 0: nothing new
//
// Returns 1, or 0 where the owner has the claim no longer.
var renewScript = script(`
if state ~= 'claimed' or owner ~= ARGV[1] then
  return 0
end
if ARGV[3] == '1' then
  sent = 1
end
save(KEYS[1], sent, 'lease', ends(ARGV[2]))
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
var releaseScript = script(`
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
save(KEYS[1], sent, 'state', 'released', 'attempts', math.max(attempts, tonumber(ARGV[2])))
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
var pendingScript = script(`
if state == 'settled' then
  return state
end
if ARGV[2] ~= '' then
  txid = ARGV[2]
end
sent = 1
save(KEYS[1], sent, 'state', 'pending', 'digest', ARGV[1], 'txid', txid, 'attempts', math.max(attempts, tonumber(ARGV[3])))
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
var settledScript = script(`
if state == '' then
  sent = 1
end
save(KEYS[1], sent, 'state', 'settled', 'digest', ARGV[1])
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
var holdScript = script(`
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
save(KEYS[1], sent, 'state', 'pending', 'owner', ARGV[1], 'lease', ends(ARGV[3]), 'digest', ARGV[2])
return {1, ''}
`)

// scripts are all of them, to be loaded together.
var scripts = []*redis.Script{claimScript, renewScript, releaseScript, pendingScript, settledScript, holdScript}
