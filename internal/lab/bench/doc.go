// Package bench is `vendlab bench`: what a purchase costs in the pipeline, beside
// the least that it could cost.
//
// Every server and every measured program is a process of its own, so that the
// processor time and memory of each is known: nats-server, redis-server, a lean
// vendor, and in turn `vendstream consumer` and a bare loop, which consumes, posts,
// publishes and acknowledges with the same libraries and makes no promise. Purchases
// wait on the stream before the program starts.
//
// What happened is read afterwards from the time stamps of the streams, and so
// costs nothing while it happens. On a machine that others use too only the ratios
// within one run mean anything.
package bench
