// Package simulation runs the real consumer and the real poller against models
// of JetStream, Redis and the vendor, in virtual time, with a seeded fate for
// every single effect: it happens, it fails, it happens and its answer is lost,
// or the process dies before or after it. It holds tests only.
package simulation
