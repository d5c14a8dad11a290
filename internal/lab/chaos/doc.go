// Package chaos is what `vendlab chaos` runs: the built vendstream, a cluster of
// nats-servers, redis-servers with sentinels and the simulated vendor, all as real
// processes or real sockets, under a seeded schedule of faults.
//
// The driver, which is this process, is never killed. It publishes purchases until
// they are acknowledged, kills and stops processes, cuts and slows connections in
// proxies of its own, fills streams and disks, and sees to it that everything comes
// back. In the end it reads the streams and the vendor's ledger from outside and
// names every promise of the contract that did not hold.
//
// A seed gives the same purchases and the same faults at the same planned times;
// what the processes do in between is as different each time as it is in life.
package chaos
