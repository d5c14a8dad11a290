package dedupe

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// maxTries is how often a call is made. Twice is the rule where the server has no
// scripts; one that is restarted or flushed in between asks for another.
const maxTries = 4

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
// order. Calls of one script on one key are made in their order, unless one has to be
// made again; others may change places. Scripts are named by their digest; a server that does not know them
// (NOSCRIPT: restarted, flushed, or a replica that took over) is given them, and
// only what failed by that is sent again. So is, call by call, a command for many
// that the server refuses, so that each gets an answer of its own.
func (s *Store) run(ctx context.Context, calls []call) []reply {
	replies := make([]reply, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	most := mostKeys
	for tries := 1; ; tries++ {
		if most > 1 && (len(todo) == 1 || !s.together(ctx)) {
			most = 1
		}
		unknown, refused := s.pipeline(ctx, calls, commands(calls, todo, most), replies)
		if len(unknown)+len(refused) == 0 || tries == maxTries {
			return replies
		}
		if len(refused) > 0 {
			most = 1
		}
		if len(unknown) > 0 {
			s.forgetSpread() // it may be another server
			if err := s.load(ctx); err != nil {
				for _, i := range unknown {
					replies[i].err = err
				}
				unknown = nil
			}
		}
		if todo = append(unknown, refused...); len(todo) == 0 {
			return replies
		}
	}
}

// commands divides the calls numbered in todo: each command has at most so many, all of
// one script and with as many arguments.
func commands(calls []call, todo []int, most int) [][]int {
	type kind struct {
		script *redis.Script
		args   int
	}
	commands := make([][]int, 0, 1+len(todo)/most)
	open := map[kind]int{} // the command of a kind that has room
	for _, i := range todo {
		of := kind{calls[i].script, len(calls[i].args)}
		n, ok := open[of]
		if !ok || len(commands[n]) == most {
			n = len(commands)
			open[of] = n
			commands = append(commands, make([]int, 0, min(most, len(todo))))
		}
		commands[n] = append(commands[n], i)
	}
	return commands
}

// pipeline makes the calls that are numbered in the commands, and returns those that
// the server had no script for, and those of commands for many that it refused.
func (s *Store) pipeline(ctx context.Context, calls []call, commands [][]int, replies []reply) (unknown, refused []int) {
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
		}
		var said redis.Error
		switch {
		case errors.Is(err, redis.ErrNoScript), redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown = append(unknown, command...)
		case len(command) > 1 && errors.As(err, &said):
			refused = append(refused, command...)
		}
	}
	return unknown, refused
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
