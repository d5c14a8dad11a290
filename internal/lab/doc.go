// Package lab is what vendlab runs: a whole world in one process. An embedded
// nats-server with JetStream on disk, an embedded Redis, the simulated vendor
// over HTTP, and the daemons as internal/app starts them.
//
// Demo vends a batch that meets every kind of outcome and then audits the run
// from outside: Check reads the streams and the vendor's ledger and names every
// promise of the contract that did not hold. Dev keeps the same world running on
// fixed ports. Nothing here is for production.
package lab
