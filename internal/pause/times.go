//go:build !failpoint

package pause

import "time"

const (
	// probeEvery is the time between the probes of one pause, over all processes. A
	// minute keeps logins with wrong credentials well below the vendor's five.
	probeEvery = time.Minute
	// watchAgain is how long one watch lasts. A watch that has fallen silent is
	// found by the next one, which begins with all records.
	watchAgain = time.Minute
)
