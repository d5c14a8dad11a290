package quota

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// usedScript counts and changes nothing.
//
//	KEYS[1]  the log
//	KEYS[2]  the pause
//	ARGV[1]  window in milliseconds, as takeScript has it
//
// Returns {permits that count now, milliseconds that the pause lasts}.
var usedScript = redis.NewScript(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local used = redis.call('ZCOUNT', KEYS[1], '(' .. string.format('%.0f', now - tonumber(ARGV[1])), '+inf')
local pause = tonumber(redis.call('GET', KEYS[2]) or '0')
return {used, math.max(pause - now, 0)}
`)

// Used is how many permits of the window count now, over all processes: those
// that were used and those that are out. paused is how long a penalty keeps
// everybody waiting, 0 where there is none. It takes nothing and changes nothing.
// Of an unlimited account, which leaves no log, Redis is not asked, and paused is
// this process's own.
func (l *Limiter) Used(ctx context.Context) (used int, paused time.Duration, err error) {
	if l.unlimited() {
		return 0, max(0, l.localPause()), nil
	}
	answer, err := usedScript.Run(ctx, l.client, l.keys, milliseconds(l.window())).Int64Slice()
	if err == nil && len(answer) != 2 {
		err = errAnswer
	}
	if err != nil {
		return 0, 0, fmt.Errorf("quota: used: %w", err)
	}
	return int(answer[0]), time.Duration(answer[1]) * time.Millisecond, nil
}
