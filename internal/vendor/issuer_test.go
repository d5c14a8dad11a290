package vendor

import (
	"fmt"
	"sync"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// issuer is a vendor that hands out tokens t1, t2, … and takes those it likes.
type issuer struct {
	mu                sync.Mutex
	issued            int
	revoked           int                              // tokens up to this one are refused
	login             func(n int) (int, string, error) // overrides the n-th login, where it gives a status or error
	refresh           func(n int) (int, string, error) // the same for refreshes
	logins, refreshes int
	purchase          func(s seen) (int, string, error) // overrides what a good token buys
}

func (v *issuer) answer(s seen) (int, string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch s.path {
	case tokenPath:
		v.logins++
		if v.login != nil {
			if status, body, err := v.login(v.logins); status != 0 || err != nil {
				return status, body, err
			}
		}
	case refreshPath:
		v.refreshes++
		if v.refresh != nil {
			if status, body, err := v.refresh(v.refreshes); status != 0 || err != nil {
				return status, body, err
			}
		}
	default:
		var n int
		if _, err := fmt.Sscanf(s.token, "t%d", &n); err != nil || n <= v.revoked || n > v.issued {
			return 401, `{"responseCode":"401","responseMessage":"Unauthorized"}`, nil
		}
		if v.purchase != nil {
			return v.purchase(s)
		}
		return 200, completedBody, nil
	}
	v.issued++
	return 200, grantBody(fmt.Sprintf("t%d", v.issued), fmt.Sprintf("r%d", v.issued)), nil
}

func (v *issuer) revoke() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revoked = v.issued
}

func (v *issuer) calls() (logins, refreshes int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.logins, v.refreshes
}

func (v *issuer) expect(t *testing.T, logins, refreshes int) {
	t.Helper()
	if l, r := v.calls(); l != logins || r != refreshes {
		t.Errorf("%d logins and %d refreshes, want %d and %d", l, r, logins, refreshes)
	}
}

func buy(t *testing.T, c *Client, want purchase.OutcomeKind) purchase.Outcome {
	t.Helper()
	got := c.Purchase(t.Context(), ref, []byte(`{"merchantReference":"REF-1"}`))
	if got.Kind != want {
		t.Errorf("%s, %v; want %s", got.Kind, got.Cause, want)
	}
	return got
}
