//go:build failpoint

package consumer

import "time"

// With failpoints there is one server, which is the leader for as long as it runs.
const formerLeader = time.Second
