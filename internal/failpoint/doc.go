// Package failpoint ends, stops or deceives a process at a named place: between
// any two effects of consumer, poller and publisher. Every effect goes through a
// port, and every method of a port has a point before it and one after it:
//
//	consumer.writer.publishresult:before   nothing has happened yet
//	consumer.writer.publishresult:after    it has, and the caller does not know
//
// It is for tests. A program that is built without the tag "failpoint" does not
// link it. With the tag, the points are armed by the variable Variable:
//
//	consumer.claims.claim:after=die@1;poller.acker.ack:before=error@2
//
// Each order is point=action@n: what is to happen at the n-th time that the
// process comes by. "trace" among the orders writes every hit to standard error.
package failpoint
