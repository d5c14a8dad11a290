package simulator

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Roles that may purchase (pagamio-api.md, "Purchase").
const (
	userTypeMerchant    = "MERCHANT"
	userTypeSubMerchant = "SUB_MERCHANT"
)

// session is what one access token or refresh token stands for.
type session struct {
	account *account
	expires time.Time
}

// maxSessions is when expired sessions are swept out.
const maxSessions = 1024

type sessions struct {
	mu      sync.RWMutex
	access  map[string]*session
	renewal map[string]*session // by refresh token
}

func newSessions() *sessions {
	return &sessions{access: make(map[string]*session), renewal: make(map[string]*session)}
}

// open issues a token, and a refresh token unless it is not wanted.
func (s *sessions) open(a *account, now time.Time, cfg *Config, renewable bool) (token, refreshToken string) {
	token = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	sweep(s.access, now)
	s.access[token] = &session{a, now.Add(time.Duration(cfg.TokenTTL))}
	if renewable {
		refreshToken = rand.Text()
		sweep(s.renewal, now)
		s.renewal[refreshToken] = &session{a, now.Add(time.Duration(cfg.RefreshTTL))}
	}
	return token, refreshToken
}

func sweep(of map[string]*session, now time.Time) {
	if len(of) < maxSessions {
		return
	}
	for token, held := range of {
		if !held.expires.After(now) {
			delete(of, token)
		}
	}
}

// bearer finds the session of a request. valid is false for one that has
// expired; the session is nil where the token is unknown.
func (s *sessions) bearer(r *http.Request, now time.Time) (found *session, valid bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	found = s.access[token]
	return found, found != nil && found.expires.After(now)
}

// renew finds the session of a refresh token, and ends it where it is single-use.
func (s *sessions) renew(refreshToken string, now time.Time, singleUse bool) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.renewal[refreshToken]
	if found == nil || !found.expires.After(now) {
		return nil
	}
	if singleUse {
		delete(s.renewal, refreshToken)
	}
	return found
}

// Revoke ends every access token of an account, and its refresh tokens too
// where that is asked: the next call answers 401.
func (s *Simulator) Revoke(username string, refreshTokens bool) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	revoke(s.sessions.access, username)
	if refreshTokens {
		revoke(s.sessions.renewal, username)
	}
}

// revoke lets sessions expire and keeps them, so that calls with their tokens
// are still counted for the account.
func revoke(of map[string]*session, username string) {
	for token, held := range of {
		if held.account.name == username {
			of[token] = &session{account: held.account}
		}
	}
}

// login is POST /auth/token (pagamio-api.md, "Authentication").
func (s *Simulator) login(c *call) reply {
	if !s.logins.allow(c.r.RemoteAddr, c.now) {
		return limited(c.path)
	}
	var credentials struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if err := json.Unmarshal(c.body, &credentials); err != nil {
		return failure(Flat, http.StatusBadRequest, codeInvalidFormat, "")
	}
	return s.struck(c, target{account: credentials.Username}, func(c *call) reply {
		a, ok := s.accounts[credentials.Username]
		if !ok || a.cfg.Password != credentials.Password {
			return s.unauthorized()
		}
		return s.tokens(a, c.now)
	})
}

// refresh is POST /auth/token/refresh (pagamio-api.md, "Authentication"). The
// answer is that of a login.
func (s *Simulator) refresh(c *call) reply {
	if !s.refreshes.allow(c.r.RemoteAddr, c.now) {
		return limited(c.path)
	}
	var held struct {
		RefreshToken string `json:"refreshToken"`
	}
	if err := json.Unmarshal(c.body, &held); err != nil {
		return failure(Flat, http.StatusBadRequest, codeInvalidFormat, "")
	}
	t := target{}
	if known := s.sessions.renew(held.RefreshToken, c.now, false); known != nil {
		t.account = known.account.name
	}
	return s.struck(c, t, func(c *call) reply {
		renewed := s.sessions.renew(held.RefreshToken, c.now, s.cfg.RotateRefresh && s.cfg.TokenShape == Enveloped)
		if renewed == nil {
			return s.unauthorized()
		}
		return s.tokens(renewed.account, c.now)
	})
}

// tokens issues a pair in the configured shape. Only the enveloped shape brings
// a refresh token.
func (s *Simulator) tokens(a *account, now time.Time) reply {
	token, refreshToken := s.sessions.open(a, now, &s.cfg, s.cfg.TokenShape == Enveloped)
	seconds := int64(time.Duration(s.cfg.TokenTTL) / time.Second)
	b := make([]byte, 0, 256)
	if s.cfg.TokenShape == Enveloped {
		b = append(b, `{"successful":true,"data":{"token":`...)
		b = appendText(b, token)
		b = append(b, `,"refreshToken":`...)
		b = appendText(b, refreshToken)
	} else {
		b = append(b, `{"accessToken":`...)
		b = appendText(b, token)
	}
	b = append(b, `,"expiresIn":`...)
	b = strconv.AppendInt(b, seconds, 10)
	// "The login response also carries the account's own id", and a refresh has
	// the same response; where it stands is open ("ASSUMED").
	if !s.cfg.OmitUserTypeID {
		b = append(b, `,"userType":`...)
		b = appendText(b, a.cfg.UserType)
		b = append(b, `,"userTypeId":`...)
		b = appendText(b, a.cfg.UserTypeID)
	}
	if s.cfg.TokenShape == Enveloped {
		b = append(b, '}')
	}
	return jsonReply(http.StatusOK, append(b, '}'))
}

// unauthorized is a 401 (pagamio-api.md, "Purchase": an older page shows code
// 1105 inside it).
func (s *Simulator) unauthorized() reply {
	if s.cfg.LegacyErrors {
		return failure(Flat, http.StatusUnauthorized, codeOldUnauthorized, "Unauthorized")
	}
	return statusReply(http.StatusUnauthorized, "")
}

// authenticated runs a handler for callers with a valid token, and lets a fault
// strike that is meant for them.
func (s *Simulator) authenticated(c *call, t target, handle func(*call) reply) reply {
	found, valid := s.sessions.bearer(c.r, c.now)
	if !valid {
		return s.unauthorized()
	}
	c.session = found
	t.account = found.account.name
	return s.struck(c, t, handle)
}
