//go:build failpoint

package pause

import "time"

// With failpoints pauses are short: a run would be minutes long otherwise.
const (
	probeEvery = time.Second
	watchAgain = 5 * time.Second
)
