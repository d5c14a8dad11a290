package runs

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/failpoint"
)

// The variables of the long tier; make failpoints sets them.
const (
	envRuns     = "FAILPOINT_RUNS"     // runs of each action at each point; none: the short tier
	envActions  = "FAILPOINT_ACTIONS"  // separated by commas; default all
	envPoints   = "FAILPOINT_POINTS"   // the beginning of the points' names
	envTime     = "FAILPOINT_TIME"     // no run is begun after this time
	envTable    = "FAILPOINT_TABLE"    // the file for the table
	envTogether = "FAILPOINT_TOGETHER" // runs at a time; default eight for each processor
	envSeed     = "FAILPOINT_SEED"
)

const (
	// shortTime is how long the short tier begins new runs for.
	shortTime = 20 * time.Second
	// shortLeast is how many runs it does at least, however slow the machine is.
	shortLeast = 8
	// shortTogether is how many runs it does at a time, beside the other tests.
	shortTogether = 3
	// togetherEach is how many runs the long tier does at a time for each processor:
	// a run mostly waits for leases to end.
	togetherEach = 8
)

// job is one run to be done.
type job struct {
	point  string
	action failpoint.Action
	n      int
}

// plan is what is to be run.
type plan struct {
	runs     int
	actions  []failpoint.Action
	points   string
	time     time.Duration
	least    int
	together int
	seed     uint64
}

func planned(t *testing.T) plan {
	t.Helper()
	p := plan{runs: 1, actions: []failpoint.Action{failpoint.Die}, time: shortTime, least: shortLeast, together: shortTogether, seed: 1}
	number := func(name string, into *int) {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				t.Fatalf("%s: %q is not a number", name, text)
			}
			*into = n
		}
	}
	if os.Getenv(envRuns) != "" {
		p.actions, p.time = actions, 1000*time.Hour
		p.together = togetherEach * runtime.NumCPU()
		number(envRuns, &p.runs)
	}
	if text := os.Getenv(envActions); text != "" {
		p.actions = nil
		for name := range strings.SplitSeq(text, ",") {
			if !slices.Contains(actions, failpoint.Action(name)) {
				t.Fatalf("%s: %q is not an action", envActions, name)
			}
			p.actions = append(p.actions, failpoint.Action(name))
		}
	}
	if text := os.Getenv(envTime); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("%s: %v", envTime, err)
		}
		p.time = d
	}
	number(envTogether, &p.together)
	seed := int(p.seed)
	number(envSeed, &seed)
	p.seed, p.points = uint64(seed), os.Getenv(envPoints)
	return p
}

// jobs are all runs, round by round, each round in another order.
func (p plan) jobs(hits map[string]int) []job {
	rng := rand.New(rand.NewPCG(p.seed, 0))
	var all []job
	for run := range p.runs {
		var round []job
		for _, point := range failpoint.Points() {
			if !strings.HasPrefix(point, p.points) {
				continue
			}
			for _, action := range failpoint.Actions(point) {
				if !slices.Contains(p.actions, action) {
					continue
				}
				j := job{point, action, 1}
				if run > 0 { // the first time, and then at any of the first half
					j.n += rng.IntN(max(1, hits[point]/2))
				}
				round = append(round, j)
			}
		}
		rng.Shuffle(len(round), func(i, k int) { round[i], round[k] = round[k], round[i] })
		all = append(all, round...)
	}
	return all
}

// run does one run with everything of its own.
func (r *rig) run(ctx context.Context, j job) (outcome, error) {
	h, err := r.newHistory(ctx)
	if err != nil {
		return outcome{}, err
	}
	defer h.close()
	live := h.live
	if strings.HasPrefix(j.point, "publisher.") {
		live = h.liveSubmit
	}
	return live(ctx, j.point, j.action, j.n)
}

// hits runs histories without a fault, and counts how often each point is come
// by. One that is not fails the test: its runs would show nothing.
func (r *rig) hits(t *testing.T) map[string]int {
	t.Helper()
	hits := map[string]int{}
	missed := failpoint.Points()
	// A slow machine may bring a history by another way, so a few are looked at.
	for tries := 0; tries < 3 && len(missed) > 0; tries++ {
		for _, kind := range []string{"", "publisher."} {
			h, err := r.newHistory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			live := h.live
			if kind != "" {
				live = h.liveSubmit
			}
			out, err := live(t.Context(), "", "", 0)
			h.close()
			if err != nil {
				t.Fatalf("a history without a fault: %v", err)
			}
			for point, n := range out.hits {
				hits[point] = max(n, hits[point])
			}
		}
		missed = slices.DeleteFunc(missed, func(point string) bool { return hits[point] > 0 })
	}
	for _, point := range missed {
		t.Errorf("no history comes by %s", point)
	}
	return hits
}

// A process dies, stands still, is lied to or gets an error at every point.
// Without FAILPOINT_RUNS it is a sample of deaths that fits into CI.
func TestRuns(t *testing.T) {
	p := planned(t)
	r := newRig(t)
	hits := r.hits(t)
	all := p.jobs(hits)
	results := newTable()
	deadline := time.Now().Add(p.time)
	var mu sync.Mutex
	next := 0
	take := func() (job, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(all) || (next >= p.least && time.Now().After(deadline)) {
			return job{}, false
		}
		next++
		return all[next-1], true
	}
	var workers sync.WaitGroup
	for range p.together {
		workers.Go(func() {
			for j, more := take(); more; j, more = take() {
				out, err := r.run(t.Context(), j)
				for again := 0; errors.Is(err, errNotReached) && again < 2; again++ {
					j.n = 1 // it comes by less often this time
					out, err = r.run(t.Context(), j)
				}
				results.add(j.point, j.action, out, err)
				if err != nil {
					t.Errorf("%s=%s@%d: %v", j.point, j.action, j.n, err)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d of %d runs, seed %d", next, len(all), p.seed)
	if path := os.Getenv(envTable); path != "" {
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		results.write(file)
	}
}
