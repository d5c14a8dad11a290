// Package simulation runs the real consumer, poller, publisher and vendor client
// against models of JetStream, Redis and the vendor, in virtual time, with a
// seeded fate for every single effect: it happens, it fails, it happens and its
// answer is lost, it comes late, or the process dies before or after it. Redis is
// emptied and its clock jumps, processes are stopped and go on, streams are full,
// and references are used again. The model of JetStream passes the same suite of
// tests as a real server. It holds tests only.
package simulation
