package dedupe

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// maxLoads is how often a call loads the scripts before it gives up. Once is
// the rule; a server that is restarted or flushed in between asks for another.
const maxLoads = 3

// call is one run of a script.
type call struct {
	key  string
	args []any
}

// run sends one script once for every call, in one pipeline, and returns the
// answers in the order of the calls. Scripts are named by their digest; a
// server that does not know them (NOSCRIPT: restarted, flushed, or a replica
// that took over) is given them, and only what failed is sent again. An error
// means that nothing is known of any call.
func (s *Store) run(ctx context.Context, script *redis.Script, calls []call) ([]any, error) {
	answers := make([]any, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for loads := 0; ; loads++ {
		unknown, err := s.pipeline(ctx, script, calls, todo, answers)
		if err == nil {
			return answers, nil
		}
		if len(unknown) == 0 || loads == maxLoads {
			return nil, err
		}
		if err := s.load(ctx); err != nil {
			return nil, err
		}
		todo = unknown
	}
}

// pipeline runs the calls numbered in todo. With an error it returns those
// that the server had no script for, or none where anything else went wrong.
func (s *Store) pipeline(ctx context.Context, script *redis.Script, calls []call, todo []int, answers []any) ([]int, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(todo))
	for n, i := range todo {
		cmds[n] = script.EvalSha(ctx, pipe, []string{calls[i].key}, calls[i].args...)
	}
	_, failed := pipe.Exec(ctx)
	var unknown []int
	for n, i := range todo {
		answer, err := cmds[n].Result()
		switch {
		case err == nil:
			answers[i] = answer
		case errors.Is(err, redis.ErrNoScript) || redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown = append(unknown, i)
			failed = err
		default:
			return nil, err
		}
	}
	return unknown, failed
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

// one runs a script on one key.
func (s *Store) one(ctx context.Context, script *redis.Script, key string, args ...any) (any, error) {
	answers, err := s.run(ctx, script, []call{{key, args}})
	if err != nil {
		return nil, err
	}
	return answers[0], nil
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
