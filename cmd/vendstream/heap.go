package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// leastHeap is how large the heap of a daemon may always grow, in bytes.
	leastHeap = 64 << 20
	// usualPercent is the runtime's own GOGC, and mostPercent as much as is asked of it.
	usualPercent = 100
	mostPercent  = 1600
)

// roomyHeap lets the heap grow to leastHeap between two garbage collections. By
// itself the runtime collects whenever it has doubled: of a few megabytes, as a
// daemon has them, many times a second, which is a tenth of what a purchase costs.
// A larger heap is collected as always, GOMEMLIMIT holds all the same, and where
// GOGC is set nothing is done. It ends with a call of what it returns.
func roomyHeap() (end func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	h := &heap{percent: usualPercent}
	h.watch(0)
	return h.end
}

type heap struct {
	mu      sync.Mutex
	percent int
	ended   bool
}

// watch is called after every collection, while there is a heap to be watched.
func (h *heap) watch(int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return
	}
	// An object that nobody holds is gone with the next collection.
	runtime.AddCleanup(&struct{ next *heap }{h}, h.watch, 0)
	// Setting it stops the world for a moment.
	if percent := percentFor(scanned()); 8*abs(percent-h.percent) > h.percent {
		h.percent = percent
		debug.SetGCPercent(percent)
	}
}

// scanned is what the last collection found alive in the heap, and what else it
// had to look through: both count for GOGC.
func scanned() (live, others uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	var bytes [3]uint64
	for i, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 { // as it is, but nobody promises it
			bytes[i] = s.Value.Uint64()
		}
	}
	return bytes[0], bytes[1] + bytes[2]
}

func (h *heap) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	debug.SetGCPercent(usualPercent)
}

// percentFor is the GOGC with which the heap grows to leastHeap: it may grow by that
// part of all that had to be looked through.
func percentFor(live, others uint64) int {
	if live+usualPercent*(live+others)/100 >= leastHeap {
		return usualPercent
	}
	return int(min((leastHeap-live)*100/max(live+others, 1), mostPercent))
}

func abs(n int) int { return max(n, -n) }
