package worker_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/worker"
)

// Retries that are not to come soon are sent together, and become due together.
func TestBundles(t *testing.T) {
	const second, ms = time.Second, time.Millisecond
	tests := map[string]struct {
		keepAlive time.Duration
		after     time.Duration
		ended     []time.Duration // since a whole second, when the tasks end
		sent      []time.Duration // when the retries are seen
		delays    []time.Duration
	}{
		"very long":          {20 * second, 5 * time.Minute, []time.Duration{100 * ms, 2300 * ms}, []time.Duration{2500 * ms, 2500 * ms}, []time.Duration{302*second + 500*ms, 302*second + 500*ms}},
		"too long to hold":   {4 * second, 5 * time.Minute, []time.Duration{100 * ms, 300 * ms}, []time.Duration{500 * ms, 500 * ms}, []time.Duration{300*second + 500*ms, 300*second + 500*ms}},
		"long":               {20 * second, 119 * second, []time.Duration{100 * ms, 300 * ms}, []time.Duration{500 * ms, 500 * ms}, []time.Duration{119*second + 500*ms, 119*second + 500*ms}},
		"across a bundle":    {20 * second, 30 * second, []time.Duration{100 * ms, 700 * ms}, []time.Duration{500 * ms, 1500 * ms}, []time.Duration{30*second + 500*ms, 29*second + 500*ms}},
		"on the second":      {20 * second, 30 * second, []time.Duration{0}, []time.Duration{500 * ms}, []time.Duration{29*second + 500*ms}},
		"short":              {20 * second, 5 * second, []time.Duration{10 * ms, 100 * ms}, []time.Duration{125 * ms, 125 * ms}, []time.Duration{5*second + 125*ms, 5*second + 125*ms}},
		"soon":               {20 * second, 1999 * ms, []time.Duration{10 * ms}, []time.Duration{10 * ms}, []time.Duration{1999 * ms}},
		"a short lease":      {500 * ms, 30 * second, []time.Duration{10 * ms}, []time.Duration{125 * ms}, []time.Duration{30*second + 125*ms}},
		"the shortest lease": {200 * ms, 30 * second, []time.Duration{10 * ms}, []time.Duration{10 * ms}, []time.Duration{30 * second}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(len(test.ended))
				began := time.Now()
				_, stop, done := start(t, worker.Config{
					Source: q, Slots: 8, KeepAlive: test.keepAlive, Bundle: true,
					Handler: handler{task: func(d *worker.Delivery, work, _ context.Context) worker.Disposition {
						worker.Sleep(work, test.ended[d.Sequence-1])
						return worker.RetryAfter(test.after)
					}},
				})
				for i, at := range test.sent {
					if i > 0 && at == test.sent[i-1] {
						continue
					}
					time.Sleep(time.Until(began.Add(at - 1)))
					synctest.Wait()
					if n := look(q, func(q *queue) int { return len(q.retried) }); n != countBelow(test.sent, at) {
						t.Errorf("%d retries before %v", n, at)
					}
					time.Sleep(time.Nanosecond)
					synctest.Wait()
					if n := look(q, func(q *queue) int { return len(q.retried) }); n <= i {
						t.Errorf("%d retries at %v", n, at)
					}
				}
				if got := look(q, func(q *queue) []time.Duration { return slices.Clone(q.retried) }); !slices.Equal(got, test.delays) {
					t.Errorf("sent with %v, want %v", got, test.delays)
				}
				stop()
				<-done
			})
		})
	}
}

func countBelow(all []time.Duration, d time.Duration) (n int) {
	for _, one := range all {
		if one < d {
			n++
		}
	}
	return n
}

// A stop does not wait for a bundle's time, and loses nothing.
func TestStopSendsBundles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3)
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 8, KeepAlive: 20 * time.Second, Bundle: true,
			Handler: handler{task: func(d *worker.Delivery, _, _ context.Context) worker.Disposition {
				return worker.RetryAfter(time.Duration(d.Sequence) * 10 * time.Second)
			}},
		})
		time.Sleep(time.Millisecond)
		stop()
		<-done
		got := look(q, func(q *queue) []time.Duration { return slices.Sorted(slices.Values(q.retried)) })
		if len(got) != 3 || got[0] < 9*time.Second || got[2] < 28*time.Second {
			t.Errorf("sent with %v", got)
		}
		time.Sleep(5 * time.Second)
		if n := look(q, func(q *queue) int { return len(q.retried) }); n != 3 {
			t.Errorf("%d retries", n)
		}
	})
}

// Retries of a bundle that cannot be sent are told of once.
func TestLostBundleIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3)
		q.ackErr = errors.New("away")
		var told reports
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 8, KeepAlive: 20 * time.Second, Bundle: true, Report: told.add,
			Handler: handler{task: func(*worker.Delivery, context.Context, context.Context) worker.Disposition {
				return worker.RetryAfter(time.Minute)
			}},
		})
		time.Sleep(600 * time.Millisecond)
		stop()
		<-done
		if all, _ := told.list(); len(all) != 1 || !errors.Is(all[0], q.ackErr) {
			t.Errorf("told %v", all)
		}
	})
}

// slowly takes a moment for each retry, as a connection does whose server reads slowly.
type slowly struct {
	worker.Acker
	took   time.Duration
	over   *atomic.Bool
	missed *atomic.Int32
}

func (a slowly) Retry(ctx context.Context, after time.Duration) error {
	time.Sleep(a.took)
	if a.over.Load() {
		a.missed.Add(1) // the connection is closed by now
	}
	return a.Acker.Retry(ctx, after)
}

// Run waits for a bundle that is being sent by its timer: the connection is closed
// after it.
func TestStopWhileABundleIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3)
		var over atomic.Bool
		var missed atomic.Int32
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 8, KeepAlive: 20 * time.Second, Bundle: true,
			Handler: handler{task: func(d *worker.Delivery, _, _ context.Context) worker.Disposition {
				d.Acker = slowly{d.Acker, 10 * time.Millisecond, &over, &missed}
				return worker.RetryAfter(30 * time.Second)
			}},
		})
		time.Sleep(505 * time.Millisecond) // the bundle is under way
		stop()
		<-done
		over.Store(true)
		time.Sleep(time.Second)
		if n := missed.Load(); n > 0 {
			t.Errorf("Run returned while %d retries of a bundle were still to be sent", n)
		}
	})
}

// A process that stood still leaves a bundle to the ack wait: the message may be
// another's by now, from whom a retry would take it.
func TestBundleOfAProcessThatStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2)
		var over atomic.Bool
		var missed atomic.Int32
		_, stop, done := start(t, worker.Config{
			Source: q, Slots: 8, KeepAlive: time.Second, Bundle: true,
			Handler: handler{task: func(d *worker.Delivery, _, _ context.Context) worker.Disposition {
				d.Acker = slowly{d.Acker, 3 * time.Second, &over, &missed} // the first holds up the second
				return worker.RetryAfter(30 * time.Second)
			}},
		})
		time.Sleep(10 * time.Second)
		stop()
		<-done
		if n := look(q, func(q *queue) int { return len(q.retried) }); n != 1 {
			t.Errorf("%d retries", n)
		}
	})
}
