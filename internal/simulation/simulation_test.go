package simulation

import (
	"flag"
	"fmt"
	"testing"
)

var (
	histories = flag.Int("histories", 150, "how many histories TestHistories runs")
	oneSeed   = flag.Uint64("seed", 0, "run the history of this seed alone")
)

// Whatever fails, is delayed, loses its answer or dies: at most one vend, exactly
// one end for each request, and no result that the vendor does not state.
func TestHistories(t *testing.T) {
	if *oneSeed != 0 {
		history(t, *oneSeed)
		return
	}
	for n := range *histories {
		seed := seedOf(t, n)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, seed) })
	}
}
