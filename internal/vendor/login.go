package vendor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// ask gets a token from the vendor.
func (s *session) ask(ctx context.Context, by way) error {
	if by == byLogin {
		return s.login(ctx)
	}
	return s.refresh(ctx)
}

var errFreshRefused = errors.New("the vendor refuses the token of a login of less than a minute ago")

// heldOff returns the failure that keeps the vendor from being asked, nil if
// there is none. Among processes that share, a refused token may be the one that
// another of them has just logged in for: each in turn would try another login.
func (s *session) heldOff(by way) *tokenError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if by == byLogin && s.client.now().Before(s.current.loginAt.Add(rejectedSpacing)) {
		return &tokenError{purchase.Unauthorized, errFreshRefused}
	}
	if by == byLogin || !s.refreshable() {
		return s.loginHold.inForce(s.client.now())
	}
	return s.refreshHold.inForce(s.client.now())
}

// refreshable is called with the lock held.
func (s *session) refreshable() bool {
	return s.refreshToken != "" && s.refreshHold.failures < refreshesInARow
}

// holdOff extends one of the holds. Where the client is being closed, a call that
// was cut short says nothing of the vendor.
func (s *session) holdOff(h *hold, limited time.Duration, failed *tokenError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		h.extend(s.client.now(), limited, failed)
	}
}

// refresh gets a token with the refresh token, and logs in where there is none.
// It also logs in where the refresh token was refused, of which the
// documentation names 401, or was used up for an answer that cannot be read, and
// where refreshes keep failing.
func (s *session) refresh(ctx context.Context) error {
	s.mu.Lock()
	refreshToken, refreshable := s.refreshToken, s.refreshable()
	held := s.refreshHold.inForce(s.client.now())
	s.mu.Unlock()
	switch {
	case !refreshable:
		return s.login(ctx)
	case held != nil:
		return held
	}
	asked := s.client.now()
	g, status, failed := s.exchange(ctx, "token_refresh", "/auth/token/refresh", map[string]string{"refreshToken": refreshToken})
	if failed == nil {
		s.install(g, asked, false)
		return nil
	}
	if failed.kind == purchase.Limited || status < 200 || status >= 500 {
		s.holdOff(&s.refreshHold, refreshSpacing, failed)
		return failed
	}
	s.mu.Lock()
	s.refreshToken = ""
	s.mu.Unlock()
	return s.login(ctx)
}

// login gets a token with the credentials, unless a failed login was too short a
// while ago.
func (s *session) login(ctx context.Context) error {
	s.mu.Lock()
	held := s.loginHold.inForce(s.client.now())
	s.mu.Unlock()
	if held != nil {
		return held
	}
	asked := s.client.now()
	g, _, failed := s.exchange(ctx, "token", "/auth/token", map[string]string{"username": s.username, "password": s.password})
	if failed != nil {
		s.holdOff(&s.loginHold, loginSpacing, failed)
		return failed
	}
	s.install(g, asked, true)
	return nil
}

// exchange makes one call for a token. status is 0 where no answer came.
func (s *session) exchange(ctx context.Context, endpoint, path string, fields map[string]string) (g grant, status int, failed *tokenError) {
	start, label := s.client.now(), "ok"
	defer func() {
		s.client.observe(Call{Endpoint: endpoint, Kind: label, Status: status, Duration: s.client.now().Sub(start)})
	}()
	body, err := json.Marshal(fields)
	if err != nil {
		label = "error"
		return grant{}, 0, &tokenError{purchase.Unreachable, fmt.Errorf("%s: %w", endpoint, err)}
	}
	got := s.client.do(ctx, call{endpoint: endpoint, path: path, body: body, limit: maxTokenAnswer}, "")
	kind, err := purchase.Unreachable, got.err
	switch rule := statusRuleOf(got.status); {
	case got.status == 0:
		label = kind.String()
	case rule.kind == purchase.Unauthorized, rule.kind == purchase.Forbidden:
		kind, err = purchase.Unauthorized, statusError(got.status)
		label = kind.String()
	case rule.kind == purchase.Limited:
		kind, err = purchase.Limited, statusError(got.status)
		label = kind.String()
	case got.status < 200 || got.status > 299:
		label, err = "error", statusError(got.status)
	case err != nil:
		label = "error"
	default:
		if g, err = readGrant(got.body); err == nil {
			return g, got.status, nil
		}
		label = "error"
	}
	return grant{}, got.status, &tokenError{kind, fmt.Errorf("%s: %w", endpoint, err)}
}
