// Package publisher is everything that puts a message on one of vendstream's
// streams, and the names that go with it: subjects, headers, event types, and
// the JSON Schemas of request and result.
//
// Upstream programs in Go use Publisher: Submit for one purchase, SubmitMany
// for many with asynchronous acknowledgements and back-pressure. Subscribers use
// Subjects, Result and the header names. The rest, Store, is what the consumer
// and the poller write with.
package publisher
