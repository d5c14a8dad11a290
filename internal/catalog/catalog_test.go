package catalog

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/vendor"
)

// bubble runs a test with a catalog without Redis, in virtual time.
func bubble(t *testing.T, test func(t *testing.T, c *Catalog, v *shop, f *faults)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v, f := newShop(), &faults{}
		test(t, New(Config{Vendor: v, Report: f.report}), v, f)
	})
}

func add(p vendor.Product) func(*shop) {
	return func(s *shop) { s.products = append(s.products[:len(s.products):len(s.products)], p) }
}

func fail(err error) func(*shop) { return func(s *shop) { s.err = err } }

var novelty = vendor.Product{Code: "AIR-NEW-001"}

func TestRefresh(t *testing.T) {
	bubble(t, func(t *testing.T, c *Catalog, v *shop, f *faults) {
		expectCode(t, c.Check(t.Context(), doomed(t)), "") // nothing is known
		v.expect(t, 0)
		start(t, c)
		synctest.Wait()
		v.expect(t, 1)
		expectCode(t, c.Check(t.Context(), good(t)), "")
		v.expect(t, 1) // what is fine is not confirmed
		time.Sleep(15*time.Minute - time.Second)
		v.expect(t, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		v.expect(t, 2)
		time.Sleep(time.Hour)
		synctest.Wait()
		v.expect(t, 6)
		f.expect(t, 0)
	})
}

func TestConfirmedOnceAMinute(t *testing.T) {
	bubble(t, func(t *testing.T, c *Catalog, v *shop, f *faults) {
		start(t, c)
		synctest.Wait()
		for _, wrong := range []struct {
			request *purchase.Request
			code    string
		}{
			{doomed(t), "1009"},
			{request(t, "AIR-VOD-001", "1.99", phone), "1004"},
			{request(t, "AIR-VOD-001", "2", ""), "1001"},
		} {
			before := v.count()
			expectCode(t, c.Check(t.Context(), wrong.request), wrong.code)
			v.expect(t, before+1)
			// The minute's fetch is used: nothing is refused, and nothing is asked.
			expectCode(t, c.Check(t.Context(), wrong.request), "")
			time.Sleep(time.Minute - time.Second)
			expectCode(t, c.Check(t.Context(), wrong.request), "")
			v.expect(t, before+1)
			time.Sleep(time.Second)
		}
		f.expect(t, 0)
	})
}

// What is new at the vendor is not refused, and is known from then on.
func TestNotConfirmed(t *testing.T) {
	bubble(t, func(t *testing.T, c *Catalog, v *shop, f *faults) {
		start(t, c)
		synctest.Wait()
		v.set(add(novelty))
		expectCode(t, c.Check(t.Context(), doomed(t)), "")
		expectCode(t, c.Check(t.Context(), doomed(t)), "")
		v.expect(t, 2)
		// Another reason than the old catalog gave counts too.
		time.Sleep(time.Minute)
		v.set(func(s *shop) { s.products = s.products[1:] })
		expectCode(t, c.Check(t.Context(), request(t, "AIR-VOD-001", "1", phone)), "1009")
		f.expect(t, 0)
	})
}

func TestTogether(t *testing.T) {
	bubble(t, func(t *testing.T, c *Catalog, v *shop, _ *faults) {
		start(t, c)
		synctest.Wait()
		v.set(func(s *shop) { s.takes = 4 * time.Second })
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() { expectCode(t, c.Check(t.Context(), doomed(t)), "1009") })
		}
		synctest.Wait()
		expectCode(t, c.Check(impatient, doomed(t)), "")
		group.Wait()
		v.expect(t, 2)
	})
}

// A fetch that fails, hangs or is given up never refuses and never takes longer
// than 5 s.
func TestNothingBlocks(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		err   error
		ctx   time.Duration // 0: none
		want  time.Duration // that the check takes
		told  int
	}{
		"fails":    {0, errVendor, 0, 0, 1},
		"slow":     {4999 * time.Millisecond, errVendor, 0, 4999 * time.Millisecond, 1},
		"hangs":    {time.Hour, nil, 0, 5 * time.Second, 1},
		"given up": {time.Hour, nil, time.Second, time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, catalog *Catalog, v *shop, f *faults) {
				start(t, catalog)
				synctest.Wait()
				v.set(func(s *shop) { s.takes, s.err = c.takes, c.err })
				ctx := t.Context()
				if c.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.ctx)
					defer cancel()
				}
				began := time.Now()
				expectCode(t, catalog.Check(ctx, doomed(t)), "")
				if took := time.Since(began); took != c.want {
					t.Errorf("took %v, want %v", took, c.want)
				}
				f.expect(t, c.told)
				expectCode(t, catalog.Check(t.Context(), doomed(t)), "")
				v.expect(t, 2)
				v.set(func(s *shop) { s.takes, s.err = 0, nil })
				time.Sleep(time.Minute)
				expectCode(t, catalog.Check(t.Context(), doomed(t)), "1009")
			})
		})
	}
}

func TestRunGoesOnAfterFailures(t *testing.T) {
	bubble(t, func(t *testing.T, c *Catalog, v *shop, f *faults) {
		v.set(fail(errVendor))
		stop := start(t, c)
		time.Sleep(150 * time.Second)
		v.expect(t, 3)
		f.expect(t, 3)
		expectCode(t, c.Check(t.Context(), doomed(t)), "")
		v.set(fail(nil))
		time.Sleep(time.Minute)
		v.expect(t, 4)
		expectCode(t, c.Check(t.Context(), doomed(t)), "1009")
		// What is known stays known.
		v.set(fail(errVendor))
		time.Sleep(time.Hour)
		v.set(fail(nil))
		expectCode(t, c.Check(t.Context(), doomed(t)), "1009")
		// A fetch that hangs ends, and one that is under way does not hold up a stop.
		v.set(func(s *shop) { s.takes = time.Hour })
		time.Sleep(time.Hour)
		told := f.count()
		stop()
		f.expect(t, told)
	})
}

func TestStale(t *testing.T) {
	bubble(t, func(t *testing.T, c *Catalog, v *shop, _ *faults) {
		c.Stale() // before the start it is only a wish
		start(t, c)
		synctest.Wait()
		v.expect(t, 1)
		for range 100 {
			c.Stale()
		}
		synctest.Wait()
		v.expect(t, 1) // a minute after the last one
		time.Sleep(time.Minute)
		synctest.Wait()
		v.expect(t, 2)
		time.Sleep(10 * time.Minute)
		v.expect(t, 2)
		c.Stale()
		synctest.Wait()
		v.expect(t, 3) // at once
		time.Sleep(15*time.Minute - time.Second)
		v.expect(t, 3)
		time.Sleep(time.Second)
		synctest.Wait()
		v.expect(t, 4)
	})
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	if c.refresh != 15*time.Minute || c.share != nil {
		t.Errorf("%+v", c)
	}
	c.report(errVendor) // nobody is told
	c.Stale()
	c.Stale() // nobody is there, and it does not wait
}
