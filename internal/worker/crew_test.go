package worker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Goroutines are used again, not more than so many are kept, and none is left.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew()
		var ran atomic.Int32
		for round := range 3 {
			for range 3 * mostIdle {
				c.do(func() {
					time.Sleep(time.Second)
					c.do(func() { ran.Add(1) }) // begun by what runs
				})
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if n := ran.Load(); n != int32(3*mostIdle*(round+1)) {
				t.Fatalf("%d ran", n)
			}
			if n := c.idle.Load(); n < 1 || n > mostIdle {
				t.Errorf("%d wait for work", n)
			}
		}
		c.do(func() {
			time.Sleep(time.Second)
			ran.Store(-1)
		})
		c.wait() // a goroutine that is left fails the bubble
		if ran.Load() != -1 {
			t.Error("what was running was not waited for")
		}
	})
}
