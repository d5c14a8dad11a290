package vendor

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/vendstream/vendstream/internal/purchase"
)

// refresh gets a token with the refresh token, and logs in where there is none.
// It also logs in where the refresh token was refused, of which the
// documentation names 401, or was used up for an answer that cannot be read, and
// where refreshes keep failing.
func (s *session) refresh(ctx context.Context) error {
	s.mu.Lock()
	refreshToken := s.refreshToken
	held, failures := s.refreshHold.inForce(s.client.now()), s.refreshHold.failures
	s.mu.Unlock()
	switch {
	case refreshToken == "", failures >= refreshesInARow:
		return s.login(ctx)
	case held != nil:
		return held
	}
	asked := s.client.now()
	g, status, failed := s.ask(ctx, "token_refresh", "/auth/token/refresh", map[string]string{"refreshToken": refreshToken})
	if failed == nil {
		s.install(g, asked, false)
		return nil
	}
	if failed.kind == purchase.Limited || status < 200 || status >= 500 {
		s.mu.Lock()
		s.refreshHold.extend(s.client.now(), refreshSpacing, failed)
		s.mu.Unlock()
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
	g, _, failed := s.ask(ctx, "token", "/auth/token", map[string]string{"username": s.username, "password": s.password})
	if failed != nil {
		s.mu.Lock()
		s.loginHold.extend(s.client.now(), loginSpacing, failed)
		s.mu.Unlock()
		return failed
	}
	s.install(g, asked, true)
	return nil
}

// ask makes one call for a token. status is 0 where no answer came.
func (s *session) ask(ctx context.Context, endpoint, path string, fields map[string]string) (g grant, status int, failed *tokenError) {
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
