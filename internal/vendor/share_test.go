package vendor

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

const processes = 8

// together runs a test in a bubble with eight clients on one share.
func together(t *testing.T, v *issuer, test func(t *testing.T, share *fakeShare, f *fake, clients []*Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		share, f := &fakeShare{}, &fake{answer: v.answer}
		test(t, share, f, sharers(t, processes, share, f))
	})
}

func buyAll(t *testing.T, clients []*Client, want purchase.OutcomeKind) {
	t.Helper()
	each(clients, func(c *Client) { buy(t, c, want) })
}

func TestOneLoginAndOneRefreshForAllProcesses(t *testing.T) {
	v := &issuer{}
	together(t, v, func(t *testing.T, share *fakeShare, f *fake, clients []*Client) {
		buyAll(t, clients, purchase.Completed)
		v.expect(t, 1, 0)
		time.Sleep(25*time.Minute - 10*time.Second)
		buyAll(t, clients, purchase.Completed)
		synctest.Wait()
		v.expect(t, 1, 0)
		time.Sleep(11 * time.Second)
		buyAll(t, clients, purchase.Completed) // due: used while one refreshes it
		time.Sleep(time.Second)
		v.expect(t, 1, 1)
		buyAll(t, clients, purchase.Completed)
		if f.last().token != "t2" {
			t.Errorf("token %s", f.last().token)
		}
		// One that starts now gets no token of its own, and knows the account's id.
		late := sharer(t, share, Config{Transport: f})
		late.Transaction(t.Context(), "T", "")
		if q := f.last().query; !strings.Contains(q, "userTypeId=77") {
			t.Errorf("query %s", q)
		}
		time.Sleep(24 * time.Minute)
		buyAll(t, append(clients, late), purchase.Completed)
		synctest.Wait()
		v.expect(t, 1, 1)
		time.Sleep(31 * time.Minute) // ended, and forgotten by the share
		buyAll(t, clients, purchase.Completed)
		v.expect(t, 1, 2)
	})
}

func TestOneProcessRenewsARefusedToken(t *testing.T) {
	for name, c := range map[string]struct {
		bad               int // tokens up to this one are refused
		refresh           int // status of a refresh, 0: good
		want              purchase.OutcomeKind
		logins, refreshes int
	}{
		"a refresh helps":                   {1, 0, purchase.Completed, 1, 1},
		"a refresh is refused":              {1, 401, purchase.Completed, 2, 1},
		"a refresh does not help":           {2, 0, purchase.Completed, 2, 1},
		"nothing helps":                     {99, 0, purchase.Unauthorized, 2, 1},
		"a refresh is limited":              {1, 429, purchase.Limited, 1, 1},
		"a refresh finds the vendor broken": {1, 503, purchase.Unreachable, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			v := &issuer{}
			if c.refresh != 0 {
				v.refresh = func(int) (int, string, error) { return c.refresh, ``, nil }
			}
			together(t, v, func(t *testing.T, _ *fakeShare, _ *fake, clients []*Client) {
				buyAll(t, clients, purchase.Completed)
				v.mu.Lock()
				v.revoked = c.bad
				v.mu.Unlock()
				buyAll(t, clients, c.want)
				v.expect(t, c.logins, c.refreshes)
			})
		})
	}
}

// attemptsOfAll has every client ask for a token every second and returns the
// seconds of the logins.
func attemptsOfAll(t *testing.T, clients []*Client, v *issuer, seconds int) []int {
	t.Helper()
	var at []int
	for second := range seconds {
		before, _ := v.calls()
		each(clients, func(c *Client) {
			if c.Check(t.Context()) == nil {
				t.Error("a token was had")
			}
		})
		now, _ := v.calls()
		at = append(at, slices.Repeat([]int{second}, now-before)...)
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	}
	return at
}

func TestFailedLoginsAreHeldOffInAllProcesses(t *testing.T) {
	for name, c := range map[string]struct {
		status, seconds int
		check           func(at []int) bool
	}{
		"wrong password: two tries, then once a minute": {401, 200, func(at []int) bool {
			return len(at) == 5 && at[1] <= 1 && gaps(at[1:], func(_, gap int) bool { return gap >= 60 && gap <= 61 })
		}},
		"limited: never sooner than 12 s": {429, 200, func(at []int) bool {
			return len(at) >= 4 && at[0] == 0 && gaps(at, func(n, gap int) bool { return gap >= min(12<<n, 60) && gap <= min(12<<n, 60)*5/4+1 })
		}},
		"unavailable: doubles to a minute": {503, 300, func(at []int) bool {
			return len(at) >= 7 && at[0] == 0 && gaps(at, func(n, gap int) bool { return gap >= min(3<<n, 60)*3/4-1 && gap <= min(3<<n, 60)*5/4+1 })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			v := &issuer{login: func(int) (int, string, error) { return c.status, ``, nil }}
			together(t, v, func(t *testing.T, share *fakeShare, f *fake, clients []*Client) {
				if at := attemptsOfAll(t, clients, v, c.seconds); !c.check(at) {
					t.Errorf("logins at seconds %v", at)
				}
				// A process that is started again is held off too.
				before, _ := v.calls()
				if sharer(t, share, Config{Transport: f}).Check(t.Context()) == nil {
					t.Error("a token was had")
				}
				if now, _ := v.calls(); now != before {
					t.Error("a restart breaks the hold")
				}
			})
		})
	}
}

// Processes that were started with the right password do not wait for those that
// still have the old one, nor disturb them.
func TestPasswordsAreApart(t *testing.T) {
	v := &issuer{login: func(n int) (int, string, error) {
		if n <= 2 {
			return 401, ``, nil
		}
		return 0, ``, nil
	}}
	together(t, v, func(t *testing.T, share *fakeShare, f *fake, old []*Client) {
		for range 2 {
			buyAll(t, old, purchase.Unauthorized)
		}
		v.expect(t, 2, 0)
		mended := sharer(t, share, Config{Transport: f, Username: "user-secret", Password: "new-secret"})
		buy(t, mended, purchase.Completed)
		buyAll(t, old, purchase.Unauthorized)
		v.expect(t, 3, 0)
	})
}

func TestWithoutTheShareEachProcessGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		fail error
		slow time.Duration
		most time.Duration // that a purchase may take
	}{
		"away": {errAway, 0, 0},
		"slow": {nil, time.Hour, shareTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			v := &issuer{}
			together(t, v, func(t *testing.T, share *fakeShare, _ *fake, clients []*Client) {
				share.set(c.fail, c.slow)
				start := time.Now()
				buyAll(t, clients, purchase.Completed)
				if took := time.Since(start); took > c.most {
					t.Errorf("a purchase waited %s for the share", took)
				}
				v.expect(t, processes, 0)
				v.revoke()
				buyAll(t, clients, purchase.Completed)
				v.expect(t, processes, processes)
				share.set(nil, 0)
				v.revoke()
				buyAll(t, clients, purchase.Completed) // one refreshes, and they are together again
				v.expect(t, processes, processes+1)
			})
		})
	}
}

// The share may go away between any two calls to it: a purchase notices nothing.
func TestShareThatGoesAwayInBetween(t *testing.T) {
	for good := range 5 {
		v := &issuer{}
		together(t, v, func(t *testing.T, share *fakeShare, _ *fake, clients []*Client) {
			brittle := &brittleShare{TokenShare: share, left: good}
			c := sharer(t, brittle, Config{Transport: clients[0].transport})
			buy(t, c, purchase.Completed)
			v.revoke()
			buy(t, c, purchase.Completed)
			v.expect(t, 1, 1)
		})
	}
}

func TestRecordThatDoesNotOpenCountsAsNone(t *testing.T) {
	v := &issuer{}
	together(t, v, func(t *testing.T, share *fakeShare, f *fake, clients []*Client) {
		buyAll(t, clients, purchase.Completed)
		slot := share.only(t)
		share.mu.Lock()
		slot.record[len(slot.record)-1] ^= 1
		share.mu.Unlock()
		buyAll(t, clients, purchase.Completed)
		v.expect(t, 1, 0) // what they have is good
		late := sharers(t, 2, share, f)
		buyAll(t, late, purchase.Completed)
		v.expect(t, 2, 0) // together again
	})
}

func TestProcessThatDiesInALogin(t *testing.T) {
	v := &issuer{}
	together(t, v, func(t *testing.T, share *fakeShare, _ *fake, clients []*Client) {
		vault, err := clients[0].session.sharing.lazy.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := share.Acquire(t.Context(), vault.slot, "dead", nil, shareLease); !ok || err != nil {
			t.Fatal(ok, err)
		}
		start := time.Now()
		buyAll(t, clients, purchase.Completed)
		if took := time.Since(start); took < shareLease || took > shareLease+2*sharePoll {
			t.Errorf("the others waited %s", took)
		}
		v.expect(t, 1, 0)
	})
}

func TestSlowLoginIsWaitedFor(t *testing.T) {
	const slow = 4 * shareLease
	v := &issuer{}
	synctest.Test(t, func(t *testing.T) {
		share := &fakeShare{}
		f := &fake{answer: func(s seen) (int, string, error) {
			if s.path == tokenPath {
				time.Sleep(slow)
			}
			return v.answer(s)
		}}
		start := time.Now()
		buyAll(t, sharers(t, processes, share, f), purchase.Completed)
		if took := time.Since(start); took > slow+2*sharePoll {
			t.Errorf("took %s", took)
		}
		v.expect(t, 1, 0)
	})
}

// A process that cannot reach the vendor does not keep the others from it.
func TestProcessWithABrokenNetwork(t *testing.T) {
	v := &issuer{}
	together(t, v, func(t *testing.T, share *fakeShare, _ *fake, clients []*Client) {
		lame := sharer(t, share, Config{Transport: &fake{answer: func(seen) (int, string, error) { return 0, ``, errDial }}})
		for range 3 {
			buy(t, lame, purchase.Unreachable)
		}
		start := time.Now()
		buyAll(t, clients, purchase.Completed)
		if took := time.Since(start); took > 2*sharePoll {
			t.Errorf("the others waited %s", took)
		}
		v.expect(t, 1, 0)
		if err := lame.Check(t.Context()); err != nil {
			t.Errorf("it does not use the token of the others: %v", err)
		}
	})
}

// Those that wait give up with their time limit, which is no failure of theirs.
func TestWaitForAnotherProcessIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		share, f := &fakeShare{}, &fake{answer: func(seen) (int, string, error) { <-gate; return 500, ``, nil }}
		clients := sharers(t, 2, share, f)
		start := time.Now()
		buyAll(t, clients, purchase.Unreachable)
		if took := time.Since(start); took != defaultTimeout {
			t.Errorf("took %s", took)
		}
		close(gate)
		synctest.Wait()
		if n := f.count(tokenPath); n != 1 {
			t.Errorf("%d logins", n)
		}
	})
}

// A process that is stopped in the middle of a login leaves the others neither a
// failure nor a lease to wait for.
func TestCloseInALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, share := &issuer{}, &fakeShare{}
		f := &fake{answer: v.answer}
		stopped := sharer(t, share, Config{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		var wg sync.WaitGroup
		wg.Go(func() { buy(t, stopped, purchase.Unreachable) })
		synctest.Wait()
		stopped.Close()
		wg.Wait()
		start := time.Now()
		buy(t, sharer(t, share, Config{Transport: f}), purchase.Completed)
		if took := time.Since(start); took > 0 {
			t.Errorf("the next process waited %s", took)
		}
		v.expect(t, 1, 0)
	})
}

func TestNothingReadableIsShared(t *testing.T) {
	v := &issuer{}
	together(t, v, func(t *testing.T, share *fakeShare, _ *fake, clients []*Client) {
		buyAll(t, clients, purchase.Completed)
		v.revoke()
		buyAll(t, clients, purchase.Completed)
		share.mu.Lock()
		defer share.mu.Unlock()
		for slot, s := range share.slots {
			for _, secret := range []string{"password-secret", "user-secret", `"t2"`, `"r2"`, "token"} {
				if bytes.Contains(s.record, []byte(secret)) || strings.Contains(slot, secret) {
					t.Errorf("%s is readable", secret)
				}
			}
		}
	})
}

// The share tells ages, not times: machines whose clocks differ by an hour use
// one token for as long as it lives.
func TestClocksNeedNotAgree(t *testing.T) {
	v := &issuer{}
	together(t, v, func(t *testing.T, _ *fakeShare, _ *fake, clients []*Client) {
		for i, c := range clients {
			c.now = func() time.Time { return time.Now().Add(time.Duration(i-4) * time.Hour) }
		}
		buyAll(t, clients, purchase.Completed)
		time.Sleep(24 * time.Minute)
		buyAll(t, clients, purchase.Completed)
		synctest.Wait()
		v.expect(t, 1, 0)
		for i, c := range clients {
			if left := c.session.current.endsAt.Sub(c.now()); left > 6*time.Minute || left < 5*time.Minute {
				t.Errorf("client %d gives its token %s", i, left)
			}
		}
	})
}

func TestErrorsOfASharedHoldShowNoSecret(t *testing.T) {
	v := &issuer{login: func(int) (int, string, error) { return 401, ``, nil }}
	together(t, v, func(t *testing.T, _ *fakeShare, _ *fake, clients []*Client) {
		each(clients, func(c *Client) {
			for range 3 {
				if err := c.Check(t.Context()); err == nil || strings.Contains(fmt.Sprint(err), "secret") {
					t.Errorf("%v", err)
				}
			}
		})
		v.expect(t, 2, 0)
	})
}
