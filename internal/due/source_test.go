package due

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/worker"
)

const (
	lease = time.Minute
	tick  = time.Second
	every = 5 * time.Second // the first poll of a purchase
)

// rig is sources at work on one stream, in the time of a bubble.
type rig struct {
	times  *times
	stream *stream

	mu    sync.Mutex
	given []given
	errs  []error
}

// given is what a source gave out, and when.
type given struct {
	at time.Time
	d  *worker.Delivery
}

func newRig() *rig { return &rig{times: newTimes(time.Now), stream: newStream()} }

func (r *rig) source() *Source {
	return New(Config{Index: r.times, Stream: r.stream, Lease: lease, Tick: tick,
		First: func(now, submitted time.Time, _ uint64) time.Duration { return max(0, every-now.Sub(submitted)) }})
}

// run has a source pull for as long as the bubble's test goes on. What it gives out
// is left to end, if that is not nil.
func (r *rig) run(t *testing.T, end func(*worker.Delivery)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	s := r.source()
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := s.Pull(ctx, 64, func(chunk []*worker.Delivery) {
				for _, d := range chunk {
					r.mu.Lock()
					r.given = append(r.given, given{time.Now(), d})
					r.mu.Unlock()
					if end != nil {
						end(d)
					}
				}
			})
			if err != nil {
				r.mu.Lock()
				r.errs = append(r.errs, err)
				r.mu.Unlock()
				worker.Sleep(ctx, 100*time.Millisecond)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

// seen is what was given out so far, by sequence and the time since t.
func (r *rig) seen(since time.Time) (sequences []uint64, at []time.Duration) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.given {
		sequences, at = append(sequences, g.d.Sequence), append(at, g.at.Sub(since))
	}
	r.given = nil
	return sequences, at
}

func acked(d *worker.Delivery) { _ = d.Acker.Ack(context.Background()) }

// within is that all of it is between two times.
func within(t *testing.T, what string, all []time.Duration, from, to time.Duration) {
	t.Helper()
	for _, d := range all {
		if d < from || d > to {
			t.Errorf("%s after %v, want %v to %v", what, d, from, to)
		}
	}
}

// What is stored is given out when it is due, once, and is gone when it is ended.
func TestSourceGivesOutWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		began := time.Now()
		for range 100 {
			r.stream.store(0)
		}
		r.run(t, acked)
		time.Sleep(2500 * time.Millisecond)
		late := r.stream.store(1000)
		time.Sleep(30 * time.Second)
		sequences, at := r.seen(began)
		if len(sequences) != 101 || sequences[100] != late || r.stream.left() > 0 {
			t.Fatalf("%d given out: %v; %d left", len(sequences), sequences, r.stream.left())
		}
		within(t, "the first", at[:100], every, every+tick)
		within(t, "the last", at[100:], 2500*time.Millisecond+every, 2500*time.Millisecond+every+tick)
		if len(r.errs) > 0 || r.times.has(late) {
			t.Errorf("errors %v; in the index still: %v", r.errs, r.times.has(late))
		}
		d := &acker{s: r.source(), subject: "of acme", sequence: late, turn: make(chan struct{}, 1)}
		if err := d.Ack(t.Context()); err != nil {
			t.Errorf("ended twice: %v", err)
		}
	})
}

// What is put back comes when it is to come, also where that is before anything else.
func TestSourceRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.stream.store(0)
		began := time.Now()
		after := []time.Duration{0, 300 * time.Millisecond, 10 * time.Second, 5 * time.Minute}
		r.run(t, func(d *worker.Delivery) {
			if len(after) == 0 {
				acked(d)
				return
			}
			if err := d.Acker.Retry(t.Context(), after[0]); err != nil {
				t.Error(err)
			}
			// The pool may have been about to keep it alive.
			if err := d.Acker.Progress(t.Context()); err != nil {
				t.Error(err)
			}
			after = after[1:]
		})
		time.Sleep(10 * time.Minute)
		_, at := r.seen(began)
		if len(at) != 5 {
			t.Fatalf("%d times: %v", len(at), at)
		}
		for i, least := range []time.Duration{0, 300 * time.Millisecond, 10 * time.Second, 5 * time.Minute} {
			within(t, "again", []time.Duration{at[i+1] - at[i]}, least, least+tick)
		}
	})
}

// A process that dies with what it was given leaves it to the others; one that lives
// keeps it.
func TestSourceLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		kept, lost := r.stream.store(0), r.stream.store(0)
		began := time.Now()
		for range 2 {
			r.run(t, nil)
		}
		time.Sleep(every + tick)
		r.mu.Lock()
		var alive worker.Acker
		for _, g := range r.given {
			if g.d.Sequence == kept {
				alive = g.d.Acker
			}
		}
		r.mu.Unlock()
		for range 9 {
			time.Sleep(lease / 3)
			if err := alive.Progress(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		sequences, at := r.seen(began)
		want := []uint64{kept, lost, lost, lost, lost}
		if slices.Sort(sequences); !slices.Equal(sequences, want) {
			t.Errorf("given out: %v at %v, want %v", sequences, at, want)
		}
	})
}

// Redis forgets at any time, wholly or in part: nothing that is on the stream is
// without a time for long.
func TestSourceAfterALoss(t *testing.T) {
	losses := map[string]func(*rig){
		"all": func(r *rig) { r.times.forget() },
		"back to an older copy": func(r *rig) {
			r.times.mu.Lock()
			defer r.times.mu.Unlock()
			delete(r.times.due, 3)
			r.times.cursor = 2
		},
		"another stream's": func(r *rig) {
			r.times.mu.Lock()
			defer r.times.mu.Unlock()
			r.times.stream, r.times.cursor = "1", 1<<40
		},
		"the cursor alone": func(r *rig) { _ = r.times.Reset(context.Background(), r.times.stream) },
	}
	for name, lose := range losses {
		// What is new shows it too: the cursor is not where it was left.
		for _, news := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, something new: %t", name, news), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig()
					want := []uint64{1, 2, 3, 4, 5}
					for range want {
						r.stream.store(0)
					}
					r.run(t, func(d *worker.Delivery) { _ = d.Acker.Retry(context.Background(), 10*time.Second) })
					time.Sleep(12 * time.Second)
					synctest.Wait()
					lose(r)
					if news {
						want = append(want, r.stream.store(0))
					}
					r.seen(time.Now())
					time.Sleep(lease + every)
					sequences, _ := r.seen(time.Now())
					slices.Sort(sequences)
					if got := slices.Compact(sequences); !slices.Equal(got, want) {
						t.Errorf("given out: %v", got)
					}
				})
			})
		}
	}
}

// A hand-off that is not found leaves the index only when it is not found once more,
// half a minute later: a server that led the stream once may speak from before.
func TestSourceDoesNotBelieveASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		back, gone := r.stream.store(0), r.stream.store(0)
		r.run(t, func(d *worker.Delivery) { _ = d.Acker.Retry(context.Background(), 10*time.Second) })
		time.Sleep(7 * time.Second)
		r.stream.mu.Lock()
		at := r.stream.messages[back]
		clear(r.stream.messages)
		r.stream.mu.Unlock()
		time.Sleep(20 * time.Second)
		r.stream.mu.Lock()
		r.stream.messages[back] = at
		r.stream.mu.Unlock()
		r.seen(time.Now())
		time.Sleep(40 * time.Second)
		if sequences, _ := r.seen(time.Now()); !slices.Contains(sequences, back) {
			t.Error("what was not found for a while never came again")
		}
		time.Sleep(time.Minute)
		if synctest.Wait(); r.times.has(gone) || !r.times.has(back) {
			t.Errorf("in the index: %v, and what is gone: %v", r.times.has(back), r.times.has(gone))
		}
	})
}

// What the index lost without a trace is found by the reading of the whole stream: at
// the start of a process, and every hour. It does not take long either, also where the
// stream is full of what is others'.
func TestSourceSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		for range 600 {
			r.stream.store(20)
		}
		later := func(d *worker.Delivery) { _ = d.Acker.Retry(context.Background(), time.Hour) }
		r.run(t, later)
		lose := func() {
			synctest.Wait()
			if err := r.times.Drop(t.Context(), 21, 600*21); err != nil {
				t.Fatal(err)
			}
			r.seen(time.Now())
		}
		found := func(when string) {
			t.Helper()
			if sequences, _ := r.seen(time.Now()); !slices.Contains(sequences, 21) || !slices.Contains(sequences, 600*21) {
				t.Errorf("%s: what the index has lost never came", when)
			}
		}
		time.Sleep(5 * time.Minute)
		lose()
		time.Sleep(sweepEvery / 2)
		if sequences, _ := r.seen(time.Now()); slices.Contains(sequences, 21) {
			t.Error("what the index has lost came by itself")
		}
		time.Sleep(sweepEvery / 2)
		found("an hour later")
		lose()
		time.Sleep(sweepEvery + time.Minute)
		found("and after another")
		lose()
		r.run(t, later)
		time.Sleep(2*time.Minute + every)
		found("after a start")
	})
}

// Another poller goes on between the two questions of a check: nothing is lost, and
// nothing is read again.
func TestSourceIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.stream.store(0)
		r.run(t, func(d *worker.Delivery) { _ = d.Acker.Retry(context.Background(), time.Hour) })
		time.Sleep(every + tick)
		overtakes := 0
		r.stream.mu.Lock()
		r.stream.stated = func() {
			if overtakes++; overtakes == 1 { // the lock is held
				r.stream.last++
				r.stream.messages[r.stream.last] = time.Now()
				if _, err := r.times.Add(t.Context(), r.times.stream, r.stream.last, r.stream.last+1, []Entry{{r.stream.last, time.Hour}}); err != nil {
					t.Error(err)
				}
			}
		}
		r.stream.mu.Unlock()
		time.Sleep(2 * checkEvery)
		synctest.Wait()
		r.times.mu.Lock()
		defer r.times.mu.Unlock()
		if r.times.cursor != 3 || r.times.resets > 0 || overtakes < 3 {
			t.Errorf("cursor %d, %d resets, asked %d times", r.times.cursor, r.times.resets, overtakes)
		}
	})
}

// A stream that was made anew, or has lost its end and gives sequences again, is read
// from its beginning.
func TestSourceOfAnotherStream(t *testing.T) {
	changes := map[string]func(*stream){
		"made anew": func(s *stream) { s.made = s.made.Add(time.Hour) },
		"cut off":   func(*stream) {},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				for range 50 {
					r.stream.store(0)
				}
				r.run(t, acked)
				time.Sleep(10 * time.Second)
				r.stream.mu.Lock()
				r.stream.last = 3
				change(r.stream)
				r.stream.mu.Unlock()
				r.stream.store(0)
				r.seen(time.Now())
				time.Sleep(2*checkEvery + every)
				if sequences, _ := r.seen(time.Now()); !slices.Equal(sequences, []uint64{4}) {
					t.Errorf("given out: %v", sequences)
				}
			})
		})
	}
}

// While a server is away nothing is given out, every pull says so, and afterwards all
// goes on.
func TestSourceWhileServersAreAway(t *testing.T) {
	away := errors.New("away")
	for name, set := range map[string]func(*rig, error){
		"times":  func(r *rig, err error) { r.times.mu.Lock(); r.times.away = err; r.times.mu.Unlock() },
		"stream": func(r *rig, err error) { r.stream.mu.Lock(); r.stream.away = err; r.stream.mu.Unlock() },
		"reads":  func(r *rig, err error) { r.stream.mu.Lock(); r.stream.unread = err; r.stream.mu.Unlock() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				set(r, away)
				for range 3 {
					r.stream.store(0)
				}
				r.run(t, acked)
				time.Sleep(time.Minute)
				if sequences, _ := r.seen(time.Now()); len(sequences) > 0 || len(r.errs) == 0 || !errors.Is(r.errs[0], away) {
					t.Fatalf("given out: %v, errors %v", sequences, r.errs)
				}
				set(r, nil)
				time.Sleep(every + 2*tick)
				if sequences, _ := r.seen(time.Now()); len(sequences) != 3 {
					t.Errorf("afterwards %v", sequences)
				}
			})
		})
	}
}

// An account with nothing to do costs a question a tick, and one to Redis now and then.
func TestIdleSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.run(t, acked)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if r.stream.scanned > 610 || r.times.asked > 30 {
			t.Errorf("%d questions to the stream and %d to the index in ten minutes", r.stream.scanned, r.times.asked)
		}
	})
}

// Pull ends at once at a stop, and after a while where nothing comes.
func TestPullEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		s := r.source()
		began := time.Now()
		never := func([]*worker.Delivery) { t.Error("nothing is due") }
		if err := s.Pull(t.Context(), 1, never); err != nil || time.Since(began) != pullWait {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		began = time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer stop()
		if err := s.Pull(ctx, 1, never); err != nil || time.Since(began) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// Not more is given out at once than was asked for, and the rest comes at once.
func TestPullGivesNoMoreThanAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		for range 10 {
			r.stream.store(0)
		}
		time.Sleep(every)
		s := r.source()
		began := time.Now()
		var sizes []int
		for total := 0; total < 10; {
			if err := s.Pull(t.Context(), 4, func(chunk []*worker.Delivery) {
				sizes, total = append(sizes, len(chunk)), total+len(chunk)
			}); err != nil {
				t.Fatal(err)
			}
		}
		if slices.Max(sizes) > 4 || time.Since(began) > tick {
			t.Errorf("%v in %v", sizes, time.Since(began))
		}
	})
}
