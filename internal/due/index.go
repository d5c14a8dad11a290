package due

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Index is when the hand-offs of one account are due: the sorted set
//
//	<prefix>:due:<account>
//
// with the sequences of the hand-offs by the time at which they are due, in
// milliseconds of the server's clock since 1970, and one more member: the cursor,
//
//	cursor:<stream>:<sequence>
//
// with an infinite score. It says that of the stream with this time of creation, in
// nanoseconds since 1970, all hand-offs below the sequence were added. In one key with
// them it cannot outlive them. A key of another type is taken away.
type Index struct {
	client  redis.UniversalClient
	key     string
	longest time.Duration
}

// NewIndex makes the index of an account. Nothing is due later than after the longest
// time: what seems to be was written while the server's clock was ahead.
func NewIndex(client redis.UniversalClient, prefix, account string, longest time.Duration) *Index {
	return &Index{client, prefix + ":due:" + account, longest}
}

// Entry is a hand-off and how long from now it is due.
type Entry struct {
	Sequence uint64
	After    time.Duration
}

// prelude begins the scripts that need the cursor or the time.
const prelude = `
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function text(n)
  return string.format('%.0f', n)
end
local function cursor()
  local last = redis.pcall('ZRANGEBYSCORE', KEYS[1], '+inf', '+inf')
  if last.err then
    if not string.find(last.err, 'WRONGTYPE', 1, true) then
      error(last.err)
    end
    redis.call('DEL', KEYS[1])
    last = {}
  end
  local found, of, upto = nil, '', 0
  for _, member in ipairs(last) do
    local stream, sequence = string.match(member, '^cursor:(%d+):(%d+)$')
    if stream and not found then
      found, of, upto = member, stream, tonumber(sequence)
    else
      redis.call('ZREM', KEYS[1], member)
    end
  end
  return found, of, upto
end
`

// addScript adds hand-offs that are not there, and moves the cursor on.
//
//	KEYS[1]  the index
//	ARGV[1]  the stream
//	ARGV[2]  the sequence from which on the stream was read; 0: from its first
//	ARGV[3]  the sequence up to which, exclusive, it was read; 0: the cursor is
//	         not to be moved
//	ARGV[4…] pairs of a sequence and the milliseconds until it is due
//
// An index of another stream is emptied. Returns the sequence below which all are
// there: less than ARGV[2] where Redis has forgotten some, which are to be read
// again from there.
var addScript = redis.NewScript(prelude + `
local member, stream, sequence = cursor()
if member and stream ~= ARGV[1] then
  redis.call('DEL', KEYS[1])
  member, sequence = nil, 0
end
for i = 4, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'NX', text(now + tonumber(ARGV[i + 1])), ARGV[i])
end
local upto = tonumber(ARGV[3])
if upto > sequence and tonumber(ARGV[2]) <= sequence then
  sequence = upto
  redis.call('ZADD', KEYS[1], '+inf', 'cursor:' .. ARGV[1] .. ':' .. text(sequence))
  if member then
    redis.call('ZREM', KEYS[1], member)
  end
end
return text(sequence)
`)

// takeScript gives out what is due.
//
//	KEYS[1]  the index
//	ARGV[1]  the most to give out
//	ARGV[2]  milliseconds after which they are due again, where nobody says more
//	ARGV[3]  milliseconds after which nothing is due: what is comes at once
//
// Returns {stream, sequence of the cursor, milliseconds until more is due or -1,
// sequences …}.
var takeScript = redis.NewScript(prelude + `
local _, stream, sequence = cursor()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, ARGV[1])
if #due == 0 then
  due = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now + tonumber(ARGV[3])), '(+inf', 'LIMIT', 0, ARGV[1])
end
for _, member in ipairs(due) do
  redis.call('ZADD', KEYS[1], text(now + tonumber(ARGV[2])), member)
end
local wait = -1
local first = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if first[2] then
  wait = math.max(0, tonumber(first[2]) - now)
end
return {stream, text(sequence), text(wait), unpack(due)}
`)

// postponeScript sets when hand-offs are due, where they are still there.
//
//	KEYS[1]  the index
//	ARGV     pairs of a sequence and the milliseconds until it is due
var postponeScript = redis.NewScript(prelude + `
for i = 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'XX', text(now + tonumber(ARGV[i + 1])), ARGV[i])
end
return 1
`)

// resetScript takes the cursor back to the beginning of a stream.
//
//	KEYS[1]  the index
//	ARGV[1]  the stream
var resetScript = redis.NewScript(prelude + `
local member, stream = cursor()
if member and stream ~= ARGV[1] then
  redis.call('DEL', KEYS[1])
elseif member then
  redis.call('ZREM', KEYS[1], member)
end
return 1
`)

// errAnswer is an answer that no script of ours gives.
var errAnswer = errors.New("a script gave an unexpected answer")

// Add adds hand-offs that were read from a stream, from one sequence up to
// another, exclusive, and returns the sequence below which all are in the index:
// less than from where Redis has forgotten some. With upTo 0 it returns that
// without a change of it.
func (x *Index) Add(ctx context.Context, stream string, from, upTo uint64, entries []Entry) (uint64, error) {
	answer, err := addScript.Run(ctx, x.client, []string{x.key}, pairs([]any{stream, from, upTo}, entries)...).Text()
	if err != nil {
		return 0, fmt.Errorf("due: add: %w", err)
	}
	sequence, err := strconv.ParseUint(answer, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("due: add: %w", errAnswer)
	}
	return sequence, nil
}

// Reset takes the cursor back, so that the stream is read from its beginning.
func (x *Index) Reset(ctx context.Context, stream string) error {
	if err := resetScript.Run(ctx, x.client, []string{x.key}, stream).Err(); err != nil {
		return fmt.Errorf("due: reset: %w", err)
	}
	return nil
}

// Taken is what Take gave out.
type Taken struct {
	Sequences []uint64
	// Stream and Cursor: all hand-offs of this stream below the sequence are in the
	// index. "" and 0 where Redis knows of none.
	Stream string
	Cursor uint64
	// Wait is the time until more is due; negative: nothing is in the index.
	Wait time.Duration
}

// Take gives out up to n hand-offs that are due. They are due again after the
// lease, unless Postpone or Drop is called for them before.
func (x *Index) Take(ctx context.Context, n int, lease time.Duration) (Taken, error) {
	answer, err := takeScript.Run(ctx, x.client, []string{x.key}, n, milliseconds(lease), milliseconds(max(lease, x.longest))).StringSlice()
	if err != nil {
		return Taken{}, fmt.Errorf("due: take: %w", err)
	}
	if len(answer) < 3 {
		return Taken{}, fmt.Errorf("due: take: %w", errAnswer)
	}
	cursor, wrong := strconv.ParseUint(answer[1], 10, 64)
	wait, failed := strconv.ParseInt(answer[2], 10, 64)
	if wrong != nil || failed != nil {
		return Taken{}, fmt.Errorf("due: take: %w", errAnswer)
	}
	t := Taken{Stream: answer[0], Cursor: cursor, Wait: max(-1, time.Duration(wait)*time.Millisecond)}
	for _, member := range answer[3:] {
		sequence, err := strconv.ParseUint(member, 10, 64)
		if err != nil || sequence == 0 || strconv.FormatUint(sequence, 10) != member {
			// Nobody of ours wrote it; it would come again and again.
			if err := x.client.ZRem(ctx, x.key, member).Err(); err != nil {
				return t, fmt.Errorf("due: drop what is no sequence: %w", err)
			}
			continue
		}
		t.Sequences = append(t.Sequences, sequence)
	}
	return t, nil
}

// Postpone sets when hand-offs are due. One that was dropped stays so.
func (x *Index) Postpone(ctx context.Context, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := postponeScript.Run(ctx, x.client, []string{x.key}, pairs(nil, entries)...).Err(); err != nil {
		return fmt.Errorf("due: postpone: %w", err)
	}
	return nil
}

// pairs adds sequences and milliseconds to the arguments of a script.
func pairs(args []any, entries []Entry) []any {
	for _, e := range entries {
		args = append(args, e.Sequence, milliseconds(e.After))
	}
	return args
}

// Drop takes hand-offs out that are no longer on the stream.
func (x *Index) Drop(ctx context.Context, sequences ...uint64) error {
	if len(sequences) == 0 {
		return nil
	}
	members := make([]any, len(sequences))
	for i, s := range sequences {
		members[i] = s
	}
	if err := x.client.ZRem(ctx, x.key, members...).Err(); err != nil {
		return fmt.Errorf("due: drop: %w", err)
	}
	return nil
}

// Len is how many hand-offs are in the index.
func (x *Index) Len(ctx context.Context) (int64, error) {
	// The cursor's score is infinite. The embedded Redis counts "(+inf" with it.
	n, err := x.client.ZCount(ctx, x.key, "-inf", "1e300").Result()
	if err != nil {
		return 0, fmt.Errorf("due: count: %w", err)
	}
	return n, nil
}

// milliseconds rounds up: nothing is due too early.
func milliseconds(d time.Duration) int64 {
	return int64((max(0, d) + time.Millisecond - 1) / time.Millisecond)
}
