package quota

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// vendor is how a vendor enforces a limit.
type vendor interface{ allow(at time.Time) bool }

// fixedWindow counts from one tick of its own clock to the next.
type fixedWindow struct {
	limit Limit
	phase time.Duration // of its clock against ours
	tick  int64
	count int
}

func (v *fixedWindow) allow(at time.Time) bool {
	if tick := at.Add(v.phase).UnixNano() / int64(v.limit.Per); tick != v.tick {
		v.tick, v.count = tick, 0
	}
	v.count++
	return v.count <= v.limit.Requests
}

// tokenBucket begins full and refills evenly.
type tokenBucket struct {
	limit  Limit
	tokens float64
	last   time.Time
}

func (v *tokenBucket) allow(at time.Time) bool {
	capacity := float64(v.limit.Requests)
	if v.last.IsZero() {
		v.tokens = capacity
	} else {
		v.tokens = min(capacity, v.tokens+at.Sub(v.last).Seconds()*capacity/v.limit.Per.Seconds())
	}
	v.last = at
	if v.tokens < 1-1e-9 {
		return false
	}
	v.tokens--
	return true
}

// slidingWindow is the strictest: never more than the limit in any window.
type slidingWindow struct {
	limit Limit
	calls []time.Time
}

func (v *slidingWindow) allow(at time.Time) bool {
	v.calls = append(v.calls, at)
	n := len(v.calls) - v.limit.Requests - 1
	return n < 0 || at.Sub(v.calls[n]) >= v.limit.Per
}

func vendors(limit Limit, phase time.Duration) map[string]vendor {
	return map[string]vendor{
		"fixed window":   &fixedWindow{limit: limit, phase: phase},
		"token bucket":   &tokenBucket{limit: limit},
		"sliding window": &slidingWindow{limit: limit},
	}
}

// process is a consumer with a backlog: it takes some permits, uses them one
// after the other with pauses, and gives back what it has left.
type process struct {
	limiter *Limiter
	permits Permits
	next    time.Time
}

// simulate lets processes with a backlog work for a while, and returns how many
// calls they made. Every call is shown to every vendor.
func simulate(t testing.TB, w *world, limit Limit, processes int, total, step time.Duration, draw func(n int) int, seen map[string]vendor) int {
	all := make([]process, processes)
	for i := range all {
		all[i] = process{limiter: w.limiter(limit)}
	}
	calls := 0
	for end := w.now.Add(total); w.now.Before(end); w.pass(step) {
		for i := range all {
			p := &all[i]
			if w.now.Before(p.next) {
				continue
			}
			if p.permits.Len() == 0 {
				if err := p.limiter.GiveBack(t.Context(), p.permits); err != nil {
					t.Fatal(err)
				}
				granted, wait, err := p.limiter.Take(t.Context(), 1+draw(4))
				if err != nil {
					t.Fatal(err)
				}
				p.permits, p.next = granted, w.now.Add(wait)
			}
			if p.permits.Use() {
				calls++
				for name, v := range seen {
					if !v.allow(w.now) {
						t.Fatalf("%s: call %d refused", name, calls)
					}
				}
				p.next = w.now.Add(time.Duration(draw(3)) * step)
			}
		}
	}
	return calls
}

// The default limit for ten minutes of backlog: no vendor ever answers 429, and
// at least 95 % of the allowance is used.
func TestTenAMinuteIsNeverRefused(t *testing.T) {
	for _, phase := range []time.Duration{0, 7 * time.Second, 31 * time.Second, 59 * time.Second} {
		for _, processes := range []int{1, 3} {
			random := rand.New(rand.NewPCG(uint64(phase), uint64(processes)))
			calls := simulate(t, newWorld(t), tenAMinute, processes, 10*time.Minute, 50*time.Millisecond, random.IntN, vendors(tenAMinute, phase))
			if calls < 95 {
				t.Errorf("phase %v, %d processes: %d calls of 100", phase, processes, calls)
			}
		}
	}
}

// Three consumers that take whatever there is, as long as there is a backlog, and
// a poller that wants one permit at a time: none of their calls is refused in ten
// minutes, and the poller has its turn. Consumers come a little late, as they do
// in package consumer, and the poller in time.
func TestThePollerHasItsTurn(t *testing.T) {
	const step, late = 10 * time.Millisecond, 10 * time.Millisecond
	w := newWorld(t)
	seen := vendors(tenAMinute, 13*time.Second)
	limiters := make([]*Limiter, 4) // the last one is the poller's
	asks := make([]time.Time, len(limiters))
	for i := range limiters {
		limiters[i] = w.limiter(tenAMinute)
	}
	calls := make([]int, len(limiters))
	for end := w.now.Add(10 * time.Minute); w.now.Before(end); w.pass(step) {
		for i, l := range limiters {
			if w.now.Before(asks[i]) {
				continue
			}
			poller := i == len(limiters)-1
			most := 64
			if poller {
				most = 1
			}
			p, wait := take(t, l, most)
			if wait > 0 {
				asks[i] = w.now.Add(wait)
				if !poller {
					asks[i] = w.now.Add(min(wait, time.Second) + late)
				}
			}
			for p.Use() {
				calls[i]++
				for name, v := range seen {
					if !v.allow(w.now) {
						t.Fatalf("%s: a call was refused after %v", name, calls)
					}
				}
			}
			if poller && wait == 0 {
				asks[i] = w.now.Add(5 * time.Second) // the next purchase that it is to post
			}
		}
	}
	total := 0
	for _, n := range calls {
		total += n
	}
	if total < 95 || calls[len(calls)-1] < 9 {
		t.Errorf("calls %v, the poller's are the last: want 95 of 100 together, and one of the poller in each window", calls)
	}
}

func TestTwentyASecondIsNeverRefused(t *testing.T) {
	limit := Limit{Requests: 20, Per: time.Second}
	random := rand.New(rand.NewPCG(1, 2))
	calls := simulate(t, newWorld(t), limit, 3, 20*time.Second, 2*time.Millisecond, random.IntN, vendors(limit, 333*time.Millisecond))
	if calls < 380 {
		t.Errorf("%d calls of 400", calls)
	}
}

// Whatever the limit and however the processes behave, no window ever has more
// calls than the limit.
func TestNeverMoreThanTheLimit(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		w.server.FlushAll()
		limit := Limit{
			Requests: rapid.IntRange(1, 12).Draw(rt, "requests"),
			Per:      time.Duration(rapid.IntRange(50, 5000).Draw(rt, "period in ms")) * time.Millisecond,
		}
		seed := rapid.Uint64().Draw(rt, "seed")
		phase := time.Duration(rapid.IntRange(0, 5000).Draw(rt, "phase in ms")) * time.Millisecond
		random := rand.New(rand.NewPCG(seed, seed))
		processes := rapid.IntRange(1, 3).Draw(rt, "processes")
		simulate(t, w, limit, processes, 3*limit.Per, limit.Per/40, random.IntN, vendors(limit, phase))
	})
}

// What the package's comment says of GCRA: a token bucket in front of a fixed
// window is refused.
func TestABucketWouldBeRefusedByAFixedWindow(t *testing.T) {
	ours, theirs := &tokenBucket{limit: tenAMinute}, &fixedWindow{limit: tenAMinute}
	start := time.Unix(0, 0)
	for at := start; at.Before(start.Add(time.Minute)); at = at.Add(time.Second) {
		for ours.allow(at) {
			if !theirs.allow(at) {
				return
			}
		}
	}
	t.Error("it was not")
}
