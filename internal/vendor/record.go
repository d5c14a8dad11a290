package vendor

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// record is what a process has to tell the others: its token and what holds it
// up. Times are told as distances from now, so that the machines' clocks need
// not agree: the share says how old the record is.
type record struct {
	Token        string        `json:"token,omitempty"`
	RefreshToken string        `json:"refreshToken,omitempty"`
	UserTypeID   string        `json:"userTypeId,omitempty"`
	RenewIn      time.Duration `json:"renewIn,omitempty"` // nanoseconds
	EndsIn       time.Duration `json:"endsIn,omitempty"`
	LoginAgo     time.Duration `json:"loginAgo,omitempty"` // 0: not of a login
	Refresh      *heldRecord   `json:"refresh,omitempty"`
	Login        *heldRecord   `json:"login,omitempty"`
}

// heldRecord is a hold as it is told.
type heldRecord struct {
	Failures int           `json:"failures"`
	Kind     string        `json:"kind"`
	EndsIn   time.Duration `json:"endsIn"`
	Why      string        `json:"why"` // an error's text, which holds no secret
}

// failureMemory is how long it is known, after a hold has ended, that there was
// a failure: then the next one counts as the first again.
const failureMemory = 10 * time.Minute

// tell makes the record of what this process knows.
func (s *session) tell() record {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.client.now()
	r := record{
		RefreshToken: s.refreshToken,
		Refresh:      s.refreshHold.tell(now),
		Login:        s.loginHold.tell(now),
	}
	if now.Before(s.current.endsAt) {
		r.Token, r.UserTypeID = s.current.value, s.current.userTypeID
		r.RenewIn, r.EndsIn = s.current.renewAt.Sub(now), s.current.endsAt.Sub(now)
		if !s.current.loginAt.IsZero() {
			r.LoginAgo = max(now.Sub(s.current.loginAt), 1)
		}
	}
	return r
}

// ttl is how long the record is of use.
func (r record) ttl() time.Duration {
	ttl := r.EndsIn
	for _, h := range []*heldRecord{r.Refresh, r.Login} {
		if h != nil {
			ttl = max(ttl, h.EndsIn+failureMemory)
		}
	}
	return max(ttl, time.Second)
}

// learn takes over what another process told, and reports whether it was another
// token that is still good. The record was age old at some time between asked
// and answered: a token's life counts from the one and a hold from the other, so
// that it is neither used too late nor broken too early.
func (s *session) learn(r record, age time.Duration, asked, answered time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshHold.learn(r.Refresh, answered.Add(-age))
	s.loginHold.learn(r.Login, answered.Add(-age))
	told := asked.Add(-age)
	ends := told.Add(r.EndsIn)
	same := r.Token == s.current.value
	if r.Token != "" && !same && answered.Before(ends) {
		s.current = token{
			value:      r.Token,
			generation: s.current.generation + 1,
			renewAt:    told.Add(r.RenewIn),
			endsAt:     ends,
			userTypeID: cmp.Or(r.UserTypeID, s.current.userTypeID),
		}
		if r.LoginAgo > 0 {
			s.current.loginAt = told.Add(-r.LoginAgo)
		}
		s.refreshToken = r.RefreshToken
		return true
	}
	// A process that has just started and failed tells of no refresh token, which
	// says nothing against this one's.
	if same || r.RefreshToken != "" {
		s.refreshToken = r.RefreshToken
	}
	return false
}

// own is a hold because no answer came. It may be this process's network that is
// at fault, so the others are not told, and what they tell does not end it.
func (h *hold) own() bool {
	return h.err != nil && (errors.Is(h.err, errNotConnected) || errors.Is(h.err, errNoAnswer))
}

func (h *hold) tell(now time.Time) *heldRecord {
	if h.err == nil || h.own() {
		return nil
	}
	return &heldRecord{Failures: h.failures, Kind: h.kind.String(), EndsIn: h.until.Sub(now), Why: h.err.Error()}
}

func (h *hold) learn(r *heldRecord, told time.Time) {
	if r == nil {
		if !h.own() {
			*h = hold{}
		}
		return
	}
	kind := purchase.Unreachable
	for _, k := range []purchase.OutcomeKind{purchase.Unauthorized, purchase.Limited} {
		if r.Kind == k.String() {
			kind = k
		}
	}
	// No hold is longer than the longest and its jitter, whatever a record says.
	in := min(r.EndsIn, longestHold+time.Duration(holdJitter*float64(longestHold)))
	*h = hold{
		failures: r.Failures, kind: kind, until: told.Add(in),
		err: &tokenError{kind, errors.New(r.Why)},
	}
}

func (r record) marshal() ([]byte, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write a shared token: %w", err)
	}
	return plain, nil
}

// unmarshalRecord takes a token that can stand in a header only, as readGrant does.
func unmarshalRecord(plain []byte) (record, error) {
	var r record
	if err := json.Unmarshal(plain, &r); err != nil {
		return record{}, errors.New("read a shared token: not a record") // the cause quotes it
	}
	if r.Token != "" {
		if _, err := (grant{token: r.Token}).usable(); err != nil {
			return record{}, fmt.Errorf("read a shared token: %w", err)
		}
	}
	return r, nil
}
