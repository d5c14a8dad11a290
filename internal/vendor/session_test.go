package vendor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestPurchaseBearsTheTokenAndNoIdempotencyKey(t *testing.T) {
	v := &issuer{}
	c, f := newFake(t, v.answer)
	buy(t, c, purchase.Completed)
	got := f.last()
	if got.token != "t1" || got.body != `{"merchantReference":"REF-1"}` || got.path != purchasePath {
		t.Errorf("%+v", got)
	}
	for name := range got.header {
		switch name {
		case "Accept", "User-Agent", "Content-Type", "Authorization":
		default:
			t.Errorf("header %s is sent", name)
		}
	}
	v.expect(t, 1, 0)
}

func TestTokenIsRenewedFiveMinutesBeforeItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &issuer{}
		c, f := newFake(t, v.answer)
		buy(t, c, purchase.Completed)
		time.Sleep(25*time.Minute - time.Nanosecond)
		buy(t, c, purchase.Completed)
		synctest.Wait()
		v.expect(t, 1, 0)
		time.Sleep(time.Nanosecond)
		// Due, and still good: used while it is being renewed.
		buy(t, c, purchase.Completed)
		synctest.Wait()
		v.expect(t, 1, 1)
		buy(t, c, purchase.Completed)
		if f.last().token != "t2" {
			t.Errorf("the renewed token is not used: %s", f.last().token)
		}
		time.Sleep(31 * time.Minute) // ended: waited for
		buy(t, c, purchase.Completed)
		if f.last().token != "t3" {
			t.Errorf("an ended token is used: %s", f.last().token)
		}
		v.expect(t, 1, 2)
	})
}

func TestShortLivedTokenIsNotRenewedForEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins := 0
		c, _ := newFake(t, func(s seen) (int, string, error) {
			if s.path != tokenPath {
				return 200, completedBody, nil
			}
			logins++
			return 200, `{"accessToken":"a","expiresIn":60}`, nil
		})
		for range 20 {
			buy(t, c, purchase.Completed)
			time.Sleep(time.Second)
		}
		if logins != 1 {
			t.Errorf("%d logins in 20 s, want 1", logins)
		}
		time.Sleep(11 * time.Second)
		buy(t, c, purchase.Completed)
		synctest.Wait()
		if logins != 2 {
			t.Errorf("%d logins after half of the life, want 2", logins)
		}
	})
}

func TestDueTokenIsUsedWhereItCannotBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &issuer{refresh: func(int) (int, string, error) { return 503, "", nil }}
		c, f := newFake(t, v.answer)
		buy(t, c, purchase.Completed)
		time.Sleep(26 * time.Minute)
		for range 50 {
			buy(t, c, purchase.Completed)
			synctest.Wait()
		}
		if f.last().token != "t1" {
			t.Errorf("token %s", f.last().token)
		}
		v.expect(t, 1, 1) // held off, not tried for every call
	})
}

func TestOneRenewalForAll(t *testing.T) {
	const callers = 50
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		v := &issuer{}
		c, f := newFake(t, func(s seen) (int, string, error) {
			if s.path != purchasePath {
				<-gate
			}
			return v.answer(s)
		})
		all := func() {
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() { buy(t, c, purchase.Completed) })
			}
			synctest.Wait() // all wait for the token
			gate <- struct{}{}
			wg.Wait()
		}
		all()
		v.expect(t, 1, 0)
		v.revoke()
		all() // all are refused t1
		v.expect(t, 1, 1)
		if n := f.count(purchasePath); n != 3*callers {
			t.Errorf("%d purchase calls, want %d", n, 3*callers)
		}
	})
}

func TestStaleTokenIsNotRenewedTwice(t *testing.T) {
	v := &issuer{}
	c, _ := newFake(t, v.answer)
	buy(t, c, purchase.Completed)
	first, err := c.session.token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := c.session.renew(t.Context(), first); err != nil || got.value != "t2" {
			t.Errorf("%q, %v", got.value, err)
		}
	}
	v.expect(t, 1, 1)
}

func TestCallerThatGivesUpLeavesTheOthersTheirToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		v := &issuer{}
		c, _ := newFake(t, func(s seen) (int, string, error) {
			if s.path == tokenPath {
				<-gate
			}
			return v.answer(s)
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			got := c.Purchase(ctx, ref, nil)
			if got.Kind != purchase.Unreachable || !errors.Is(got.Cause, context.Canceled) {
				t.Errorf("gave up: %+v", got)
			}
		})
		synctest.Wait() // this one started the login
		wg.Go(func() { buy(t, c, purchase.Completed) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(gate)
		wg.Wait()
		v.expect(t, 1, 0)
	})
}

func TestTimeoutBoundsTheWaitForAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		c, f := newFake(t, func(seen) (int, string, error) { <-gate; return 500, ``, nil })
		start := time.Now()
		got := buy(t, c, purchase.Unreachable)
		if took := time.Since(start); took != defaultTimeout || !errors.Is(got.Cause, context.DeadlineExceeded) {
			t.Errorf("%s, %v", took, got.Cause)
		}
		close(gate)
		if f.count(purchasePath) != 0 {
			t.Error("the purchase was sent")
		}
	})
}

func TestCheck(t *testing.T) {
	v := &issuer{}
	c, _ := newFake(t, v.answer)
	for range 2 {
		if err := c.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	v.expect(t, 1, 0)
}

func TestClose(t *testing.T) {
	v := &issuer{}
	c, f := newFake(t, v.answer)
	buy(t, c, purchase.Completed)
	c.Close()
	c.Close()
	if got := buy(t, c, purchase.Unreachable); !errors.Is(got.Cause, errClosed) {
		t.Errorf("%+v", got)
	}
	if n := f.count(purchasePath); n != 1 {
		t.Errorf("%d purchases", n)
	}
	if err := c.Check(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("Check: %v", err)
	}
}
