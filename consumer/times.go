//go:build !failpoint

package consumer

import "time"

// formerLeader is how long nothing is believed that NATS does not know and Redis
// does. A server that led a stream, was stopped and has woken up answers from
// before that until it has looked for its quorum, which it does every ten seconds.
const formerLeader = 30 * time.Second
