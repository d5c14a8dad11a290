package vendor

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestUnauthorizedRules(t *testing.T) {
	refused := func(int) (int, string, error) { return 401, `{}`, nil }
	for name, c := range map[string]struct {
		bad                         int // tokens t2 … of this number are refused too
		refresh                     func(int) (int, string, error)
		want                        purchase.OutcomeKind
		logins, refreshes, attempts int
	}{
		"refresh helps":                     {1, nil, purchase.Completed, 1, 1, 2},
		"refresh is refused, login helps":   {1, refused, purchase.Completed, 2, 1, 2},
		"refresh is a 400, login helps":     {1, func(int) (int, string, error) { return 400, `{}`, nil }, purchase.Completed, 2, 1, 2},
		"refresh is garbage, login helps":   {1, func(int) (int, string, error) { return 200, `<`, nil }, purchase.Completed, 2, 1, 2},
		"refresh does not help, login does": {2, nil, purchase.Completed, 2, 1, 3},
		"nothing helps":                     {99, nil, purchase.Unauthorized, 2, 1, 3},
		"refused, and nothing helps":        {99, refused, purchase.Unauthorized, 3, 1, 3},
		"refresh is limited":                {1, func(int) (int, string, error) { return 429, ``, nil }, purchase.Limited, 1, 1, 1},
		"refresh is a 503":                  {1, func(int) (int, string, error) { return 503, ``, nil }, purchase.Unreachable, 1, 1, 1},
		"refresh is reset":                  {1, func(int) (int, string, error) { return 0, ``, errors.New("reset") }, purchase.Unreachable, 1, 1, 1},
		"refresh is unreachable":            {1, func(int) (int, string, error) { return 0, ``, errDial }, purchase.Unreachable, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			v := &issuer{refresh: c.refresh}
			client, f := newFake(t, v.answer)
			buy(t, client, purchase.Completed)
			v.mu.Lock()
			v.revoked = c.bad
			v.mu.Unlock()
			got := buy(t, client, c.want)
			v.expect(t, c.logins, c.refreshes)
			if n := f.count(purchasePath) - 1; n != c.attempts {
				t.Errorf("%d purchase calls, want %d", n, c.attempts)
			}
			if c.want != purchase.Completed && got.Cause == nil {
				t.Error("no cause")
			}
		})
	}
}

func TestLoginFailures(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		err    error
		want   purchase.OutcomeKind
		label  string
	}{
		"rejected":     {401, `{"responseCode":"401"}`, nil, purchase.Unauthorized, "unauthorized"},
		"forbidden":    {403, ``, nil, purchase.Unauthorized, "unauthorized"},
		"limited":      {429, ``, nil, purchase.Limited, "limited"},
		"a 500":        {500, ``, nil, purchase.Unreachable, "error"},
		"a 302":        {302, ``, nil, purchase.Unreachable, "error"},
		"a 400":        {400, ``, nil, purchase.Unreachable, "error"},
		"no token":     {200, `{}`, nil, purchase.Unreachable, "error"},
		"too large":    {200, strings.Repeat(" ", maxTokenAnswer+1), nil, purchase.Unreachable, "error"},
		"unreachable":  {0, ``, errDial, purchase.Unreachable, "unreachable"},
		"reset":        {0, ``, errors.New("reset"), purchase.Unreachable, "unreachable"},
		"unsuccessful": {200, `{"successful":false,"responseCode":"1105"}`, nil, purchase.Unreachable, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{answer: func(seen) (int, string, error) { return c.status, c.body, c.err }}
			var told []Call
			client := newClient(t, Config{BaseURL: "http://vendor.test", Transport: f, Observe: func(c Call) { told = append(told, c) }})
			got := buy(t, client, c.want)
			if f.count(purchasePath) != 0 {
				t.Error("the purchase was sent without a token")
			}
			if got.Cause == nil || strings.Contains(got.Cause.Error(), "secret") {
				t.Errorf("cause %v", got.Cause)
			}
			if len(told) != 1 || told[0].Endpoint != "token" || told[0].Kind != c.label || told[0].Status != c.status {
				t.Errorf("observed %+v, want kind %s", told, c.label)
			}
			if err := client.Check(t.Context()); err == nil {
				t.Error("Check finds a token")
			}
		})
	}
}

// attempts calls for a token every second and returns the seconds of the logins.
func attempts(t *testing.T, c *Client, v *issuer, seconds int) []int {
	t.Helper()
	var at []int
	for second := range seconds {
		before, _ := v.calls()
		for range 3 {
			if err := c.Check(t.Context()); err == nil {
				t.Fatal("a token was had")
			}
			if now, _ := v.calls(); now > before {
				at, before = append(at, second), now
			}
		}
		time.Sleep(time.Second)
	}
	return at
}

func TestFailedLoginsAreHeldOff(t *testing.T) {
	for name, c := range map[string]struct {
		status, seconds int
		check           func(at []int) bool
	}{
		"rejected: twice, then once a minute": {401, 125, func(at []int) bool {
			return fmt.Sprint(at) == "[0 0 60 120]"
		}},
		"limited: never sooner than 12 s": {429, 200, func(at []int) bool {
			return len(at) >= 4 && at[0] == 0 && gaps(at, func(n, gap int) bool { return gap >= min(12<<n, 60) && gap <= min(12<<n, 60)*5/4+1 })
		}},
		"unavailable: doubles to a minute": {503, 300, func(at []int) bool {
			return len(at) >= 7 && at[0] == 0 && gaps(at, func(n, gap int) bool { return gap >= min(3<<n, 60)*3/4 && gap <= min(3<<n, 60)*5/4+1 })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &issuer{login: func(int) (int, string, error) { return c.status, ``, nil }}
				client, _ := newFake(t, v.answer)
				if at := attempts(t, client, v, c.seconds); !c.check(at) {
					t.Errorf("logins at seconds %v", at)
				}
			})
		})
	}
}

func gaps(at []int, ok func(n, gap int) bool) bool {
	for n := range len(at) - 1 {
		if !ok(n, at[n+1]-at[n]) {
			return false
		}
	}
	return true
}

func TestHeldFailureKeepsItsKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &issuer{login: func(n int) (int, string, error) {
			if n == 1 {
				return 429, ``, nil
			}
			return 0, ``, nil
		}}
		c, _ := newFake(t, v.answer)
		buy(t, c, purchase.Limited)
		got := buy(t, c, purchase.Limited)
		if v.expect(t, 1, 0); !strings.Contains(got.Cause.Error(), "not tried again for") || !errors.Is(got.Cause, statusError(429)) {
			t.Errorf("cause %v", got.Cause)
		}
		time.Sleep(16 * time.Second)
		buy(t, c, purchase.Completed)
		v.expect(t, 2, 0)
		if c.session.loginHold != (hold{}) {
			t.Error("the hold outlives a good login")
		}
	})
}

func TestRefreshThatKeepsFailingGivesWayToALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &issuer{refresh: func(int) (int, string, error) { return 503, ``, nil }}
		c, _ := newFake(t, v.answer)
		buy(t, c, purchase.Completed)
		v.revoke()
		for range 2 {
			buy(t, c, purchase.Unreachable)
			buy(t, c, purchase.Unreachable) // held
			time.Sleep(20 * time.Second)
		}
		buy(t, c, purchase.Unreachable)
		v.expect(t, 1, 3)
		buy(t, c, purchase.Completed)
		v.expect(t, 2, 3)
		v.revoke()
		buy(t, c, purchase.Unreachable) // the refresh has its turn again
		v.expect(t, 2, 4)
	})
}

// Other failures than before begin their waits anew.
func TestHoldCountsFailuresOfOneKind(t *testing.T) {
	var h hold
	now := time.Now()
	for range 5 {
		h.extend(now, loginSpacing, &tokenError{purchase.Unreachable, errNoToken})
	}
	h.extend(now, loginSpacing, &tokenError{purchase.Limited, errNoToken})
	if wait := h.until.Sub(now); wait < loginSpacing || wait > loginSpacing*5/4+time.Millisecond {
		t.Errorf("the first 429 after other failures waits %s", wait)
	}
	if h.inForce(h.until) != nil || h.inForce(h.until.Add(-1)) == nil {
		t.Error("the hold does not end at its end")
	}
}
