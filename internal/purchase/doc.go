// Package purchase is the domain: what a purchase request is, what can become
// of it, and what is said about it in the end.
//
// It decides and describes; it talks to nobody. It imports the standard library
// only, and no other package of this module. Everything that arrives from
// outside as JSON is read here once, strictly, and what is fingerprinted is what
// is sent.
package purchase
