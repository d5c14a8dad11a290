// Package tokens keeps in Redis what the processes of an account share about the
// vendor's token: one sealed record, and the right to replace it.
//
// To this package a record is bytes: whoever stores one has encrypted it. No two
// records are alike, so the record itself is what a change is compared with. The
// right has an owner and ends by itself, so that a process that dies in the
// middle of a login holds the others up for the rest of a lease and no longer.
//
// Time is the Redis server's. A Redis that loses everything costs a login. Every
// script may be sent twice.
package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Store is one account's. It is safe for concurrent use, starts no goroutines,
// and does not own its client, which has to obey deadlines of contexts
// (ContextTimeoutEnabled): a purchase may be waiting.
type Store struct {
	client          redis.UniversalClient
	prefix, account string
}

// New makes the store of an account. It sends nothing. prefix is subjects.prefix.
func New(client redis.UniversalClient, prefix, account string) *Store {
	return &Store{client: client, prefix: prefix, account: account}
}

var errAnswer = errors.New("the script gave an unexpected answer")

// Load returns the slot's record, nil if there is none, and how long ago it was
// stored.
func (s *Store) Load(ctx context.Context, slot string) ([]byte, time.Duration, error) {
	answer, err := loadScript.Run(ctx, s.client, s.keys(slot)).Slice()
	if err != nil {
		return nil, 0, fmt.Errorf("tokens: load: %w", err)
	}
	if len(answer) == 0 {
		return nil, 0, nil
	}
	if len(answer) == 2 {
		record, isText := answer[0].(string)
		age, isNumber := answer[1].(int64)
		if isText && isNumber {
			return []byte(record), time.Duration(age) * time.Millisecond, nil
		}
	}
	return nil, 0, fmt.Errorf("tokens: load: %w", errAnswer)
}

// Acquire gives owner the right to replace the record, for the time of lease,
// and prolongs it for the owner who has it. False: the record is not the one seen
// (nil: none) any more, or another owner has the right. All owners use the same
// lease. With an error the right may have been given; it ends by itself.
func (s *Store) Acquire(ctx context.Context, slot, owner string, seen []byte, lease time.Duration) (bool, error) {
	granted, err := acquireScript.Run(ctx, s.client, s.keys(slot), owner, seen, milliseconds(lease)).Bool()
	if err != nil {
		return false, fmt.Errorf("tokens: acquire: %w", err)
	}
	return granted, nil
}

// Store replaces the record, to be forgotten after ttl, and ends the right.
// False, and nothing is stored, where owner has not got the right any more. With
// an error the record may have been stored.
func (s *Store) Store(ctx context.Context, slot, owner string, record []byte, ttl time.Duration) (bool, error) {
	stored, err := storeScript.Run(ctx, s.client, s.keys(slot), owner, record, milliseconds(ttl)).Bool()
	if err != nil {
		return false, fmt.Errorf("tokens: store: %w", err)
	}
	return stored, nil
}

// milliseconds is d as the scripts count it, rounded up.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
