package vendor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// tokenError is a token that could not be had. kind is what becomes of a call
// that needed it: Unauthorized, Limited or Unreachable.
type tokenError struct {
	kind purchase.OutcomeKind
	err  error
}

func (e *tokenError) Error() string { return e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

var errClosed = errors.New("the client is closed")

// token is an access token in use. Its generation grows with every new one, so
// that many calls that were refused the same token ask for one new one.
type token struct {
	value      string
	generation uint64
	renewAt    time.Time // five minutes before its end
	endsAt     time.Time
	loginAt    time.Time // zero: not of a login
	userTypeID string    // of the latest answer that had one
}

// way is how a token is to be had.
type way int

const (
	// byRefresh is a refresh, and a login where there is nothing to refresh with.
	byRefresh way = iota
	byLogin
)

// session keeps the account's token, in memory, and sealed in the share where
// there is one. At most one login or refresh is under way, in a goroutine of its
// own: a caller that gives up leaves the others their token. close waits for it.
type session struct {
	client             *Client
	username, password string
	sharing            *sharing // nil: nothing is shared

	ctx    context.Context //nolint:containedctx // the life of the goroutine below, ended by close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu           sync.Mutex // guards what follows; never held during a call
	closed       bool
	current      token
	refreshToken string
	underway     *renewal
	refreshHold  hold
	loginHold    hold
}

// renewal is a login or refresh under way. It is written before done is closed
// and only read afterwards.
type renewal struct {
	done  chan struct{}
	token token // the new one
	err   error
}

func newSession(c *Client, username, password string) *session {
	ctx, cancel := context.WithCancel(context.Background())
	return &session{client: c, username: username, password: password, ctx: ctx, cancel: cancel}
}

// token returns a token with some life left, and gets one where there is none.
func (s *session) token(ctx context.Context) (token, error) {
	return s.get(ctx, 0, byRefresh)
}

// renew returns another token than the refused one, by a refresh or, where there
// is nothing to refresh with, a login.
func (s *session) renew(ctx context.Context, refused token) (token, error) {
	return s.get(ctx, refused.generation, byRefresh)
}

// relogin returns another token than the refused one, by a login.
func (s *session) relogin(ctx context.Context, refused token) (token, error) {
	return s.get(ctx, refused.generation, byLogin)
}

// get returns the current token if it is newer than the refused generation and
// has not ended. One that is due for renewal is renewed meanwhile, and goes on
// being used where that fails. Where there is none, get waits for the renewal
// under way, or starts one. An error is a *tokenError, or ctx's.
func (s *session) get(ctx context.Context, refused uint64, by way) (token, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return token{}, &tokenError{purchase.Unreachable, errClosed}
	}
	now, current := s.client.now(), s.current
	usable := current.generation > refused && now.Before(current.endsAt)
	if usable && now.Before(current.renewAt) {
		s.mu.Unlock()
		return current, nil
	}
	if s.underway == nil {
		s.start(by)
	}
	r := s.underway
	s.mu.Unlock()
	if usable {
		return current, nil
	}
	select {
	case <-r.done:
		switch {
		case r.err != nil:
			return token{}, r.err
		case r.token.generation <= refused:
			// The renewal was all but over, and made the very token that was refused.
			return s.get(ctx, refused, by)
		}
		return r.token, nil
	case <-ctx.Done():
		return token{}, fmt.Errorf("waiting for a token: %w", ctx.Err())
	}
}

// start begins a renewal. s.mu is held.
func (s *session) start(by way) {
	r := &renewal{done: make(chan struct{})}
	s.underway = r
	s.wg.Go(func() {
		defer close(r.done)
		_ = s.prepare(s.ctx) // slow, and none of the vendor's time; obtain finds an error again
		ctx, cancel := context.WithTimeout(s.ctx, s.client.timeout)
		defer cancel()
		err := s.obtain(ctx, by)
		s.mu.Lock()
		defer s.mu.Unlock()
		r.token, r.err = s.current, err
		s.underway = nil
	})
}

// install makes the grant the current token. An answer to a refresh may leave
// out the refresh token, which then stays the one it was; a login's replaces it.
func (s *session) install(g grant, asked time.Time, login bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A token of a shorter life than ten minutes is renewed at half of it, as it
	// would otherwise be renewed for every call.
	margin := min(renewBefore, g.lifetime/2)
	next := token{
		value:      g.token,
		generation: s.current.generation + 1,
		endsAt:     asked.Add(g.lifetime),
		renewAt:    asked.Add(g.lifetime - margin),
		userTypeID: s.current.userTypeID,
	}
	if login {
		next.loginAt = asked
	}
	if g.userTypeID != "" {
		next.userTypeID = g.userTypeID
	}
	s.current = next
	if login || g.refreshToken != "" {
		s.refreshToken = g.refreshToken
	}
	s.refreshHold = hold{}
	if login {
		s.loginHold = hold{}
	}
}

// close refuses new tokens, ends a renewal under way and waits for it.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}
