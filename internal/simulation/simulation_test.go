//go:debug randseednop=0
package simulation

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

var (
	histories = flag.Int("histories", 60, "how many histories TestHistories runs")
	firstSeed = flag.Uint64("first", 1, "the seed of the first history; the others follow it")
	stride    = flag.Uint64("stride", 1, "between one seed and the next, so that several processes can share the work")
	untilOne  = flag.Bool("untilbroken", false, "stop at the first history that breaks a promise")
	oneSeed   = flag.Uint64("seed", 0, "run the history of this seed alone, and show it")
)

// One goroutine runs at a time, so that a history goes the same way every time.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

// Whatever fails, is delayed, loses its answer or dies: at most one vend, exactly
// one end for each request, and no result that the vendor does not state.
func TestHistories(t *testing.T) {
	if *oneSeed != 0 {
		tell(t, *oneSeed, history(t, *oneSeed))
		return
	}
	seed := *firstSeed
	for range *histories {
		if w := history(t, seed); len(w.broken) > 0 {
			tell(t, seed, w)
			if *untilOne {
				return
			}
		}
		seed += *stride
	}
}

// tell shows a history, and fails where a promise was broken.
func tell(t *testing.T, seed uint64, w *world) {
	about := map[string]bool{}
	for _, b := range w.broken {
		if b.reference != "" {
			about[b.reference] = true
		}
	}
	for _, b := range w.broken {
		t.Errorf("seed %d: %s", seed, b.text)
	}
	if len(w.broken) > 0 || testing.Verbose() {
		t.Logf("weather: %+v\n%s", w.fate.weather, w.fate.story(about))
	}
	if len(w.broken) > 0 {
		t.Logf("to see it again (without -race; it goes the same way nearly every time): go test -count=1 ./internal/simulation -run '^TestHistories$' -seed %d", seed)
	}
}

// A seed is one history: run again, everything happens again at the same moment.
// Go promises no order of goroutines that wake together, so that now and then one
// does not; under the race detector the runtime shuffles them on purpose.
func TestHistoryIsReplayed(t *testing.T) {
	const seeds = 24
	least := seeds * 3 / 4
	if raceEnabled {
		least = seeds / 4
	}
	same := 0
	for seed := range uint64(seeds) {
		if one, two := history(t, seed+1), history(t, seed+1); one.fate.sum() == two.fate.sum() {
			same++
		}
	}
	t.Logf("%d histories of %d went the same way twice", same, seeds)
	if same < least {
		t.Errorf("only %d histories of %d went the same way twice, not %d", same, seeds, least)
	}
}

// history runs the history of a seed.
func history(t *testing.T, seed uint64) (w *world) {
	//lint:ignore SA1019 the jitter of package backoff comes from there, and is to be the same each time
	rand.Seed(int64(seed))
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(seed)
		ctx, stop := context.WithCancel(t.Context())
		stormy, calm := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.submit(ctx)
		}()
		go w.storm(stormy)
		go w.formers(stormy)
		changing := make(chan struct{})
		go func() {
			defer close(changing)
			w.change(stormy)
		}()
		for storm := time.After(8 * time.Minute); storm != nil; {
			w.revive(ctx)
			select {
			case <-storm:
				storm = nil
			case <-time.After(time.Second):
			}
		}
		calm()
		<-changing
		w.settleDown()
		w.fate.setCalm()
		<-done
		waited := 0
		for round := range 2 {
			deadline := time.Now().Add(6 * time.Hour)
			// Twice: what was on its way when nothing was open may bring a hand-off.
			for range 2 {
				for time.Now().Before(deadline) && w.streams.requests.open()+w.streams.pending.open() > 0 {
					w.revive(ctx)
					time.Sleep(10 * time.Second)
					// The vendor repeats its refusal of a purchase, which is held until another
					// one succeeds.
					if waited++; w.fate.weather.hold && waited%30 == 0 {
						w.extra(fmt.Sprintf("extra-%d", waited))
					}
				}
				w.revive(ctx)
				time.Sleep(3 * time.Minute)
			}
			if round == 0 && w.fate.weather.loses {
				w.lose()
			}
		}
		stop()
		w.running.Wait()
		time.Sleep(10 * time.Minute) // what is on its way still gets there
		w.check()
	})
	return w
}
