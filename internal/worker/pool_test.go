package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/worker"
)

func TestSlotsAreNeverExceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(100)
		var atWork, most atomic.Int32
		pool, stop, done := start(t, worker.Config{
			Source: q, Slots: 7, KeepAlive: 20 * time.Second, Grace: time.Minute,
			Handler: handler{task: func(d *worker.Delivery, work, _ context.Context) worker.Disposition {
				if n := atWork.Add(1); n > most.Load() {
					most.Store(n)
				}
				defer atWork.Add(-1)
				worker.Sleep(work, time.Duration(d.Sequence%5+1)*time.Second)
				return worker.Done()
			}},
		})
		time.Sleep(10 * time.Millisecond)
		if got := pool.Active(); got != 7 {
			t.Errorf("%d at work", got)
		}
		time.Sleep(time.Hour)
		stop()
		if err := <-done; err != nil || pool.Active() != 0 {
			t.Errorf("%v, %d at work", err, pool.Active())
		}
		if most.Load() != 7 {
			t.Errorf("%d tasks ran at once", most.Load())
		}
		if got := look(q, ackedOnce); got != 100 {
			t.Errorf("%d acked", got)
		}
		if got := look(q, func(q *queue) int { return slices.Max(q.asked) }); got != 7 {
			t.Errorf("a pull asked for %d", got)
		}
	})
}

// What may be used of the slots is asked before each pull, and is at least one.
func TestUsableSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(100)
		var usable atomic.Int32
		usable.Store(3)
		pool, stop, done := start(t, worker.Config{
			Source: q, Slots: 7, KeepAlive: 20 * time.Second, Grace: time.Minute,
			Usable: func() int { return int(usable.Load()) },
			Handler: handler{task: func(_ *worker.Delivery, work, _ context.Context) worker.Disposition {
				worker.Sleep(work, time.Second)
				return worker.Done()
			}},
		})
		for _, step := range []struct{ usable, want int32 }{{3, 3}, {9, 7}, {2, 2}, {0, 1}} {
			usable.Store(step.usable)
			time.Sleep(5500 * time.Millisecond)
			synctest.Wait()
			if n := pool.Active(); n != int(step.want) {
				t.Errorf("%d at work with %d usable", n, step.usable)
			}
		}
		stop()
		<-done
	})
}

// Slots that come free one soon after the other are asked for together; one that
// comes free alone is asked for all the same, a moment later.
func TestFewSlotsWaitForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(100)
		pool, stop, done := start(t, worker.Config{
			Source: q, Slots: 16, KeepAlive: 20 * time.Second, Grace: time.Second,
			Handler: handler{task: func(d *worker.Delivery, work, _ context.Context) worker.Disposition {
				switch {
				case d.Sequence <= 8: // a millisecond apart
					worker.Sleep(work, time.Second+time.Duration(d.Sequence)*time.Millisecond)
				case d.Sequence == 9:
					worker.Sleep(work, 2*time.Second)
				default:
					worker.Sleep(work, time.Hour)
				}
				return worker.Done()
			}},
		})
		asked := func() []int {
			synctest.Wait()
			return look(q, func(q *queue) []int { return slices.Clone(q.asked) })
		}
		time.Sleep(1500 * time.Millisecond)
		if got, want := asked(), []int{16, 2, 2, 2, 2}; !slices.Equal(got, want) {
			t.Errorf("pulls asked for %d, want %d", got, want)
		}
		time.Sleep(505 * time.Millisecond)
		if got := asked(); len(got) != 5 {
			t.Errorf("one slot was asked for at once: %d", got)
		}
		time.Sleep(10 * time.Millisecond)
		if got := asked(); len(got) != 6 || got[5] != 1 || pool.Active() != 16 {
			t.Errorf("pulls asked for %d in the end, %d at work", got, pool.Active())
		}
		stop()
		<-done
	})
}

func TestAdmitLimitsThePull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10)
		asked := 0
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 8, KeepAlive: time.Minute,
			Handler: handler{
				admit: func(ctx context.Context, room int) int {
					worker.Sleep(ctx, time.Second)
					asked++
					return []int{0, -1, 3, 1000}[asked%4]
				},
				task: func(*worker.Delivery, context.Context, context.Context) worker.Disposition { return worker.Done() },
			},
		})
		time.Sleep(time.Minute)
		stop()
		<-done
		pulls := look(q, func(q *queue) []int { return slices.Clone(q.asked) })
		if pulls[0] != 3 || slices.Min(pulls) < 1 || slices.Max(pulls) > 8 {
			t.Errorf("pulls asked for %d", pulls)
		}
		if got := look(q, ackedOnce); got != 10 {
			t.Errorf("%d acked", got)
		}
	})
}

func TestLongWorkIsKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3)
		q.ackWait = time.Minute
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 4, KeepAlive: 20 * time.Second, Grace: time.Hour,
			Handler: handler{task: func(_ *worker.Delivery, work, _ context.Context) worker.Disposition {
				worker.Sleep(work, 10*time.Minute)
				return worker.Done()
			}},
		})
		time.Sleep(5*time.Minute + time.Second)
		if got := look(q, func(q *queue) int { return q.progress }); got != 3*15 {
			t.Errorf("%d progress acks in five minutes for three", got)
		}
		stop() // and on, through the stop
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := look(q, ackedOnce); got != 3 {
			t.Errorf("%d acked", got)
		}
		if again := look(q, func(q *queue) int { return q.count[1] }); again != 1 {
			t.Errorf("delivered %d times", again)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		ends := []worker.Disposition{worker.RetryAfter(0), worker.RetryAfter(-time.Second), worker.RetryAfter(time.Minute), worker.Done()}
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 1, KeepAlive: time.Minute,
			Handler: handler{task: func(d *worker.Delivery, _, _ context.Context) worker.Disposition { return ends[d.Count-1] }},
		})
		time.Sleep(10 * time.Second)
		if got := look(q, func(q *queue) []time.Duration { return slices.Clone(q.retried) }); !slices.Equal(got, []time.Duration{0, 0, time.Minute}) {
			t.Errorf("retried %v", got)
		}
		time.Sleep(2 * time.Minute)
		stop()
		<-done
		if got := look(q, func(q *queue) int { return q.acked[1] }); got != 1 {
			t.Errorf("acked %d times", got)
		}
	})
	if d := worker.RetryAfter(time.Second); d.IsDone() || d.After() != time.Second || !worker.Done().IsDone() {
		t.Error("dispositions do not tell what they are")
	}
}

const secret = "+27821234567"

// aPanic checks one report: the place is in it, the value is not.
func aPanic(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		var panicked *worker.PanicError
		if !errors.As(err, &panicked) || !strings.Contains(err.Error(), "pool_test.go") || strings.Contains(err.Error(), secret) {
			t.Errorf("reported: %v", err)
		}
	}
}

func TestAPanicInATaskBringsTheMessageAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, got := newQueue(2), &reports{}
		pool, stop, done := start(t, worker.Config{
			Source: q, Slots: 2, KeepAlive: time.Minute, Report: got.add,
			Handler: handler{task: func(d *worker.Delivery, _, _ context.Context) worker.Disposition {
				if d.Count == 1 {
					panic(errors.New(secret))
				}
				return worker.Done()
			}},
		})
		time.Sleep(29 * time.Second)
		if n := look(q, ackedOnce); n != 0 || pool.Active() != 0 {
			t.Errorf("%d acked, %d at work", n, pool.Active())
		}
		time.Sleep(10 * time.Second)
		stop()
		<-done
		errs, _ := got.list()
		if aPanic(t, errs); len(errs) != 2 {
			t.Errorf("%d reports", len(errs))
		}
		if n := look(q, ackedOnce); n != 2 {
			t.Errorf("%d acked", n)
		}
		if after := look(q, func(q *queue) []time.Duration { return q.retried }); !slices.Equal(after, []time.Duration{30 * time.Second, 30 * time.Second}) {
			t.Errorf("retried after %v", after)
		}
	})
}

func TestAPanicInBeginBringsTheChunkAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, got := newQueue(4), &reports{}
		chunks := 0
		pool, stop, done := start(t, worker.Config{
			Source: q, Slots: 4, KeepAlive: time.Minute, RetryPanic: time.Second, Report: got.add,
			Handler: handler{
				begin: func([]*worker.Delivery) {
					if chunks++; chunks <= 2 {
						panic(secret)
					}
				},
				task: func(*worker.Delivery, context.Context, context.Context) worker.Disposition { return worker.Done() },
			},
		})
		time.Sleep(time.Minute)
		stop()
		<-done
		errs, _ := got.list()
		if aPanic(t, errs); len(errs) != 2 || pool.Active() != 0 {
			t.Errorf("%d reports, %d at work", len(errs), pool.Active())
		}
		if n := look(q, ackedOnce); n != 4 {
			t.Errorf("%d acked", n)
		}
	})
}

// The next pull does not wait for what a chunk needs before its tasks; the slots
// are taken all the same, and a stop waits for it.
func TestPullingGoesOnBesideThePreparation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(4)
		var prepared, ran atomic.Int32
		pool, stop, done := start(t, worker.Config{
			Source: q, Slots: 2, KeepAlive: time.Minute, Grace: time.Minute,
			Handler: handler{
				admit: func(context.Context, int) int { return 1 },
				prepare: func([]*worker.Delivery) {
					time.Sleep(10 * time.Second)
					prepared.Add(1)
				},
				task: func(*worker.Delivery, context.Context, context.Context) worker.Disposition {
					if prepared.Load() <= ran.Load() {
						t.Error("a task ran before its chunk was prepared")
					}
					ran.Add(1)
					return worker.Done()
				},
			},
		})
		time.Sleep(time.Second)
		if got := pool.Active(); got != 2 {
			t.Errorf("%d deliveries are held: two were to be prepared at once, and no third be pulled", got)
		}
		stop()
		<-done
		if ran.Load() != 2 || look(q, ackedOnce) != 2 {
			t.Errorf("%d tasks ran before the pool ended", ran.Load())
		}
	})
}

func TestAPreparationThatPanicsBringsTheChunkAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3)
		var r reports
		var chunks atomic.Int32
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 3, KeepAlive: time.Minute, RetryPanic: time.Second, Report: r.add,
			Handler: handler{
				prepare: func([]*worker.Delivery) {
					if chunks.Add(1) == 1 {
						panic("oh")
					}
				},
				task: func(*worker.Delivery, context.Context, context.Context) worker.Disposition { return worker.Done() },
			},
		})
		time.Sleep(time.Minute)
		stop()
		<-done
		var panicked *worker.PanicError
		if all, _ := r.list(); len(all) != 1 || !errors.As(all[0], &panicked) {
			t.Errorf("reported: %v", all)
		}
		if n := look(q, ackedOnce); n != 3 {
			t.Errorf("%d acked", n)
		}
	})
}

// short is a handler that makes too few tasks.
type short struct{ handler }

func (s short) Begin(ctx context.Context, chunk []*worker.Delivery) ([]worker.Task, func()) {
	if chunk[0].Count == 1 {
		return nil, nil
	}
	return s.handler.Begin(ctx, chunk)
}

func TestADeliveryWithoutATaskComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 0, KeepAlive: time.Minute, // Slots is at least 1
			Handler: short{handler{task: func(*worker.Delivery, context.Context, context.Context) worker.Disposition { return worker.Done() }}},
		})
		time.Sleep(time.Minute)
		stop()
		<-done
		if n := look(q, ackedOnce); n != 1 {
			t.Errorf("%d acked", n)
		}
	})
}

func TestASourceThatIsAwayIsAskedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		q, got := newQueue(1), &reports{}
		q.pullErr = away
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 1, KeepAlive: time.Minute, Report: got.add,
			Handler: handler{task: func(*worker.Delivery, context.Context, context.Context) worker.Disposition { return worker.Done() }},
		})
		time.Sleep(30 * time.Second)
		errs, at := got.list()
		for i, err := range errs {
			if !errors.Is(err, away) {
				t.Errorf("reported %v", err)
			}
			want := min(100*time.Millisecond<<i, 5*time.Second)
			if i+1 < len(at) && at[i+1].Sub(at[i]) != want {
				t.Errorf("wait %d is %s, want %s", i, at[i+1].Sub(at[i]), want)
			}
		}
		if len(errs) < 9 || len(errs) > 11 {
			t.Errorf("%d reports in 30 s", len(errs))
		}
		look(q, func(q *queue) bool { q.pullErr = nil; return true })
		time.Sleep(10 * time.Second)
		look(q, func(q *queue) bool { q.pullErr = away; return true })
		before := len(errs)
		time.Sleep(2 * time.Second)
		if errs, at = got.list(); len(errs) < before+3 || at[len(at)-1].Sub(at[len(at)-2]) > time.Second {
			t.Errorf("the wait did not begin anew: %d reports", len(errs)-before)
		}
		stop()
		<-done
		if n := look(q, ackedOnce); n != 1 {
			t.Errorf("%d acked", n)
		}
	})
}

func TestLostAcksAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("lost")
		q, got := newQueue(1), &reports{}
		q.ackErr = lost
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 1, KeepAlive: time.Second, Report: got.add,
			Handler: handler{task: func(_ *worker.Delivery, work, _ context.Context) worker.Disposition {
				worker.Sleep(work, 1500*time.Millisecond)
				return worker.Done()
			}},
		})
		time.Sleep(3 * time.Second)
		stop()
		<-done
		errs, _ := got.list()
		if len(errs) != 2 || !errors.Is(errs[0], lost) || !errors.Is(errs[1], lost) {
			t.Errorf("reports %v", errs)
		}
	})
}
