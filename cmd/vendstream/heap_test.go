package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	const mega = 1 << 20
	for _, test := range []struct {
		live, others uint64
		want         int
	}{
		{0, 0, 1600}, {1, 0, 1600}, {mega, 0, 1600}, {8 * mega, 0, 700}, {16 * mega, 0, 300}, {32 * mega, 0, 100}, {33 * mega, 0, 100},
		{4 * mega, 16 * mega, 300}, {8 * mega, 48 * mega, 100}, {1 << 40, 0, 100}, {0, 1 << 40, 100}, {1 << 40, 1 << 40, 100},
	} {
		if got := percentFor(test.live, test.others); got != test.want {
			t.Errorf("of %d and %d bytes: %d, want %d", test.live, test.others, got, test.want)
		}
	}
}

// It is not parallel: what it looks at is the whole program's.
func TestRoomyHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	percent := func() int {
		p := debug.SetGCPercent(usualPercent)
		debug.SetGCPercent(p)
		return p
	}
	before := percent()
	defer debug.SetGCPercent(before)
	large := make([]byte, 2*leastHeap)
	end := roomyHeap()
	// A collection brings it back to what the runtime does with a heap that is large
	// without it, and the next one, when that is gone, to more.
	becomes := func(ok func(int) bool) {
		t.Helper()
		for began := time.Now(); !ok(percent()); runtime.Gosched() {
			runtime.GC()
			if time.Since(began) > 20*time.Second {
				t.Fatalf("the percentage stays %d", percent())
			}
		}
	}
	becomes(func(p int) bool { return p == usualPercent })
	runtime.KeepAlive(large)
	becomes(func(p int) bool { return p > usualPercent })
	end()
	if p := percent(); p != usualPercent {
		t.Errorf("%d at the end", p)
	}
	for range 3 { // a collection after the end changes nothing
		runtime.GC()
	}
	if p := percent(); p != usualPercent {
		t.Errorf("%d after the end", p)
	}
	t.Setenv("GOGC", "50")
	debug.SetGCPercent(50)
	end = roomyHeap()
	if p := percent(); p != 50 {
		t.Errorf("%d with GOGC set", p)
	}
	end()
	if p := percent(); p != 50 {
		t.Errorf("%d after the end with GOGC set", p)
	}
}
