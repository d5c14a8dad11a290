// Package broker is NATS: the connection, the streams and consumers as one
// declared topology, and the source that a pool of workers pulls from.
package broker
