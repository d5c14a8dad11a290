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

// mostKeys bounds the records of one command, which no other command of the server
// comes between: some microseconds for each.
const mostKeys = 64

// run makes all calls in one pipeline and returns what became of each, in their
// order. Calls of one script on one key are made in their order; others may change
// places. Scripts are named by their digest; a server that does not know them
// (NOSCRIPT: restarted, flushed, or a replica that took over) is given them, and
// only what failed by that is sent again.
func (s *Store) run(ctx context.Context, calls []call) []reply {
	replies := make([]reply, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for loads := 0; ; loads++ {
		unknown := s.pipeline(ctx, calls, s.commands(ctx, calls, todo), replies)
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

// commands divides the calls numbered in todo: a command for each, or for many of one
// script where one server holds all records.
func (s *Store) commands(ctx context.Context, calls []call, todo []int) [][]int {
	most := 1
	if len(todo) > 1 && s.together(ctx) {
		most = mostKeys
	}
	commands := make([][]int, 0, 1+len(todo)/most)
	open := map[*redis.Script]int{} // the command of a script that has room
	for _, i := range todo {
		n, ok := open[calls[i].script]
		if !ok || len(commands[n]) == most {
			n = len(commands)
			open[calls[i].script] = n
			commands = append(commands, make([]int, 0, min(most, len(todo))))
		}
		commands[n] = append(commands[n], i)
	}
	return commands
}

// pipeline makes the calls that are numbered in the commands, and returns those that
// the server had no script for.
func (s *Store) pipeline(ctx context.Context, calls []call, commands [][]int, replies []reply) (unknown []int) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(commands))
	for n, command := range commands {
		first := calls[command[0]]
		keys := make([]string, len(command))
		args := make([]any, 0, len(command)*len(first.args))
		for k, i := range command {
			keys[k] = calls[i].key
			args = append(args, calls[i].args...)
		}
		cmds[n] = first.script.EvalSha(ctx, pipe, keys, args...)
	}
	_, failed := pipe.Exec(ctx)
	for n, command := range commands {
		answer, err := cmds[n].Result()
		answers, ok := answer.([]any)
		if err == nil && (!ok || len(answers) != len(command)) {
			err = errAnswer
			if answer == nil { // no script answers nothing: it was not sent
				err = cmp.Or(failed, err)
			}
		}
		for k, i := range command {
			if err != nil {
				replies[i] = reply{err: err}
				continue
			}
			replies[i] = reply{answer: answers[k]}
			if fault, is := answers[k].(error); is {
				replies[i] = reply{err: fault}
			}
		}
		if err != nil && s.again(err) {
			unknown = append(unknown, command...)
		}
	}
	return unknown
}

// again reports whether a command is to be sent again, after the scripts were loaded,
// and for which it is not known any more whether one server holds all records.
func (s *Store) again(err error) bool {
	switch {
	case errors.Is(err, redis.ErrNoScript), redis.HasErrorPrefix(err, "NOSCRIPT"):
		s.spread.Store(spreadUnknown) // it may be another server
	case redis.HasErrorPrefix(err, "CROSSSLOT"):
		s.spread.Store(spreadApart)
	default:
		return false
	}
	return true
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
