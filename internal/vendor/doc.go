// Package vendor is the HTTP client of the vendor's API (pagamio-api.md).
//
// Every call that bears on a purchase ends in a purchase.Outcome, and what is not
// proven is Unknown: a time-out, a reset, a 5xx, an answer that cannot be read or
// contradicts itself. An answer is read in three steps that do not know each
// other: exchange.go gets bytes over HTTP, answer.go and transactions.go read
// signals out of them, and classify.go turns signals into an outcome by the one
// table in codes.go. The last two are pure. The catalog's calls end in an error or
// what they ask for.
//
// The package logs nothing and retries nothing but what the token rules ask for
// (401): the caller decides about retries, with RetryPolicy. No error or Cause
// holds a credential, token, PIN, reference or phone number; an Outcome's Message
// is the vendor's text and may.
package vendor
