package worker_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/worker"
)

func TestStopFinishesWhatRunsAndBeginsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10)
		var begun, cut atomic.Int32
		pool, stop, done := start(t, worker.Config{
			Source: q, Slots: 4, KeepAlive: time.Second, Grace: time.Minute,
			Handler: handler{
				begin: func(chunk []*worker.Delivery) { begun.Add(int32(len(chunk))) },
				task: func(_ *worker.Delivery, work, stop context.Context) worker.Disposition {
					<-stop.Done() // told of the stop, and goes on
					if !worker.Sleep(work, 30*time.Second) {
						cut.Add(1)
					}
					return worker.Done()
				},
			},
		})
		time.Sleep(time.Second)
		if pool.Active() != 4 {
			t.Fatalf("%d at work", pool.Active())
		}
		stopped := time.Now()
		stop()
		if err := <-done; err != nil || time.Since(stopped) != 30*time.Second {
			t.Errorf("%v after %s", err, time.Since(stopped))
		}
		if begun.Load() != 4 || cut.Load() != 0 || look(q, ackedOnce) != 4 {
			t.Errorf("%d begun, %d cut, %d acked", begun.Load(), cut.Load(), look(q, ackedOnce))
		}
	})
}

func TestGraceCutsTheWorkAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2)
		var cutAfter atomic.Int64
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 2, KeepAlive: 20 * time.Second, Grace: 5 * time.Second,
			Handler: handler{task: func(_ *worker.Delivery, work, stop context.Context) worker.Disposition {
				<-stop.Done()
				from := time.Now()
				<-work.Done()
				cutAfter.Store(int64(time.Since(from)))
				time.Sleep(5 * time.Minute) // slow to end, all the same
				return worker.RetryAfter(0)
			}},
		})
		time.Sleep(time.Second)
		stopped := time.Now()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := time.Since(stopped); got != 5*time.Second+5*time.Minute {
			t.Errorf("returned after %s", got)
		}
		if got := time.Duration(cutAfter.Load()); got != 5*time.Second {
			t.Errorf("cut after %s", got)
		}
		// Until a task has returned its message is kept from others.
		if got := look(q, func(q *queue) int { return q.progress }); got != 2*15 {
			t.Errorf("%d progress acks", got)
		}
		if got := look(q, func(q *queue) int { return len(q.retried) }); got != 2 {
			t.Errorf("%d given back", got)
		}
	})
}

// late delivers once more after the stop.
type late struct {
	*queue
	stopped chan struct{}
}

func (l late) Pull(ctx context.Context, n int, each func([]*worker.Delivery)) error {
	<-l.stopped
	return l.queue.Pull(ctx, n, each)
}

// A delivery that comes in after the stop is the handler's too, which knows what
// to write down before it gives it back.
func TestWhatComesAfterTheStopHasATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3)
		l := late{q, make(chan struct{})}
		_, stop, done := start(t, worker.Config{
			Source: l, Slots: 3, KeepAlive: time.Second, Grace: time.Second,
			Handler: handler{task: func(_ *worker.Delivery, work, stop context.Context) worker.Disposition {
				if stop.Err() == nil || work.Err() != nil {
					t.Errorf("stop: %v, work: %v", stop.Err(), work.Err())
				}
				return worker.RetryAfter(0)
			}},
		})
		synctest.Wait()
		stop()
		close(l.stopped)
		<-done
		if got := look(q, func(q *queue) []time.Duration { return q.retried }); len(got) != 3 || got[0] != 0 {
			t.Errorf("given back %v", got)
		}
	})
}

func TestStopBeforeStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := newQueue(1)
	if err := worker.New(worker.Config{Source: q, Handler: handler{}, KeepAlive: time.Second}).Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(q.asked) != 0 {
		t.Error("it pulled")
	}
}

func TestStopWhileAdmissionIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 1, KeepAlive: time.Second,
			Handler: handler{admit: func(ctx context.Context, _ int) int { <-ctx.Done(); return 5 }},
		})
		time.Sleep(time.Hour)
		stop()
		<-done
		if len(q.asked) != 0 {
			t.Error("it pulled after the stop")
		}
	})
}

// Pools that start and stop at any time over one queue: whatever was begun is
// ended, and in the end all is acknowledged once.
func TestStartAndStopStress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(300)
		var running sync.Map
		config := worker.Config{
			Source: q, Slots: 5, KeepAlive: time.Second, Grace: 2 * time.Second,
			Handler: handler{task: func(d *worker.Delivery, work, stop context.Context) worker.Disposition {
				if _, twice := running.LoadOrStore(d.Sequence, true); twice {
					t.Errorf("%d is worked on twice", d.Sequence)
				}
				defer running.Delete(d.Sequence)
				switch {
				case d.Count == 1 && d.Sequence%7 == 0:
					panic("boom")
				case !worker.Sleep(work, time.Duration(d.Sequence%40)*100*time.Millisecond):
					return worker.RetryAfter(0)
				case stop.Err() != nil && d.Sequence%2 == 0:
					return worker.RetryAfter(time.Second)
				}
				return worker.Done()
			}},
		}
		var pools sync.WaitGroup
		for i := range 3 {
			pools.Go(func() {
				for round := 0; look(q, ackedOnce) < 300; round++ {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*300+round*137%5000)*time.Millisecond)
					pool := worker.New(config)
					if err := pool.Run(ctx); err != nil || pool.Active() != 0 {
						t.Errorf("%v, %d at work after Run", err, pool.Active())
					}
					cancel()
				}
			})
		}
		pools.Wait()
		if got := look(q, func(q *queue) int { return len(q.acked) }); got != 300 || look(q, ackedOnce) != 300 {
			t.Errorf("%d acked", got)
		}
	})
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		from := time.Now()
		if !worker.Sleep(ctx, 0) || !worker.Sleep(ctx, -time.Second) || time.Since(from) != 0 {
			t.Error("no time is no wait")
		}
		if !worker.Sleep(ctx, 30*time.Second) || time.Since(from) != 30*time.Second {
			t.Error("it did not sleep through")
		}
		if worker.Sleep(ctx, time.Hour) || time.Since(from) != time.Minute || worker.Sleep(ctx, 0) {
			t.Error("it did not end with its context")
		}
	})
}

// The grace runs from the stop, also while Begin waits for a store that does not
// answer: its context ends, and so does the pool.
func TestGraceWhileBeginWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 1, KeepAlive: time.Second, Grace: 5 * time.Second,
			Handler: hung{},
		})
		synctest.Wait()
		stopped := time.Now()
		stop()
		<-done
		if got := time.Since(stopped); got != 5*time.Second {
			t.Errorf("the stop took %s", got)
		}
	})
}

// hung is a handler whose Begin waits for as long as it may.
type hung struct{ handler }

func (hung) Begin(work context.Context, chunk []*worker.Delivery) ([]worker.Task, func()) {
	<-work.Done()
	tasks := make([]worker.Task, len(chunk))
	for i := range tasks {
		tasks[i] = func(context.Context, context.Context) worker.Disposition { return worker.RetryAfter(0) }
	}
	return tasks, nil
}
