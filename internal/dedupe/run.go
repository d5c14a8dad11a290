package dedupe

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// maxLoads is how often a call loads the scripts before it gives up. Once is
// the rule; a server that is restarted or flushed in between asks for another.
const maxLoads = 3

// call is one run of a script on one key.
type call struct {
	script *redis.Script
	key    string
	args   []any
}

// reply is what became of a call. With an error nothing is known of it.
type reply struct {
	answer any
	err    error
}

// run makes all calls in one pipeline and returns what became of each, in their
// order. Scripts are named by their digest; a server that does not know them
// (NOSCRIPT: restarted, flushed, or a replica that took over) is given them, and
// only what failed by that is sent again.
func (s *Store) run(ctx context.Context, calls []call) []reply {
	replies := make([]reply, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for loads := 0; ; loads++ {
		unknown := s.pipeline(ctx, calls, todo, replies)
		if len(unknown) == 0 || loads == maxLoads {
			return replies
		}
		if err := s.load(ctx); err != nil {
			for _, i := range unknown {
				replies[i].err = err
			}
			return replies
		}
		todo = unknown
	}
}

// pipeline makes the calls numbered in todo, and returns those that the server
// had no script for.
func (s *Store) pipeline(ctx context.Context, calls []call, todo []int, replies []reply) (unknown []int) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(todo))
	for n, i := range todo {
		c := calls[i]
		cmds[n] = c.script.EvalSha(ctx, pipe, []string{c.key}, c.args...)
	}
	_, failed := pipe.Exec(ctx)
	for n, i := range todo {
		answer, err := cmds[n].Result()
		if err == nil && answer == nil {
			err = cmp.Or(failed, errAnswer) // no script answers nothing: it was not sent
		}
		replies[i] = reply{answer, err}
		if err != nil && (errors.Is(err, redis.ErrNoScript) || redis.HasErrorPrefix(err, "NOSCRIPT")) {
			unknown = append(unknown, i)
		}
	}
	return unknown
}

// load gives the server every script.
func (s *Store) load(ctx context.Context) error {
	for _, script := range scripts {
		if err := script.Load(ctx, s.client).Err(); err != nil {
			return fmt.Errorf("load scripts: %w", err)
		}
	}
	return nil
}

// all runs one script on many keys, and knows of all of them or of none.
func (s *Store) all(ctx context.Context, calls []call) ([]any, error) {
	answers := make([]any, len(calls))
	for i, r := range s.run(ctx, calls) {
		if r.err != nil {
			return nil, r.err
		}
		answers[i] = r.answer
	}
	return answers, nil
}

// one runs a script on one key, in one pipeline with whatever else is asked for
// meanwhile.
func (s *Store) one(ctx context.Context, script *redis.Script, key string, args ...any) (any, error) {
	r, err := s.combined.Do(ctx, call{script, key, args}, s.run)
	if err != nil {
		return nil, err
	}
	return r.answer, r.err
}

// errAnswer is an answer that no script of ours gives.
var errAnswer = errors.New("a script gave an unexpected answer")

// yes reads the answer of a script that returns 1 or 0.
func yes(answer any) (bool, error) {
	n, ok := answer.(int64)
	if !ok || n < 0 || n > 1 {
		return false, errAnswer
	}
	return n == 1, nil
}

// flag is a bool as the scripts read it.
func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
