package dedupe

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/vendstream/vendstream/internal/purchase"
)

// The key of a record is
//
//	<prefix>:claim:<account>:<reference>
//
// with the reference as it is: it comes last, and neither a prefix nor an
// account holds a colon, so that no two purchases share a key. What is done
// with a record touches no other, so that records may lie anywhere in a Redis Cluster; a
// reference with braces in it merely chooses its slot by what they enclose.
//
// The record is a hash of these fields. One that is not there is empty or 0.
//
//	state     claimed, released, pending or settled
//	owner     claimed: who works on it; released: who did; pending: the poller
//	          that may post it again, if any
//	lease     claimed, pending: when the owner's right ends, in milliseconds of
//	          the server's clock since 1970
//	digest    the fingerprint of the payload, as fingerprint writes it
//	attempts  purchase calls that the vendor may have acted on, as far as known
//	sent      1: a purchase call may have been made
//	txid      the vendor's transaction, where it is known
const keyPart = ":claim:"

func (s *Store) key(k Key) string {
	return s.cfg.Prefix + keyPart + k.Account + ":" + k.Reference
}

// Reasons for which a call is refused before anything is sent.
var (
	errNoKey    = errors.New("account or reference is empty")
	errNoOwner  = errors.New("owner is empty")
	errNoDigest = errors.New("digest is empty")
)

func (k Key) check() error {
	if k.Account == "" || k.Reference == "" {
		return errNoKey
	}
	return nil
}

func (c Claim) check() error {
	if c.Owner == "" {
		return errNoOwner
	}
	return checkRecord(c.Key, c.Digest)
}

func checkRecord(k Key, d purchase.Digest) error {
	if d == "" {
		return errNoDigest
	}
	return k.check()
}

// A digest as purchase writes it is 71 or 76 bytes long. Redis keeps a hash in
// its compact form only while no value is longer than 64 bytes; a settled
// record takes 250 bytes in the compact form and 570 without. So the 32 bytes
// of a digest are kept as base64url behind one letter for the algorithm.
const (
	sha256Prefix = "sha256:"
	hmacPrefix   = "hmac-sha256:"

	sha256Mark   = 's'
	hmacMark     = 'h'
	verbatimMark = '='
)

// fingerprint is the digest as a record holds it: "s" (sha256) or "h"
// (hmac-sha256) and 43 characters of base64url, or "=" and the digest itself
// where it has another form.
func fingerprint(d purchase.Digest) string {
	mark, digits := byte(sha256Mark), ""
	if rest, ok := strings.CutPrefix(string(d), sha256Prefix); ok {
		digits = rest
	} else if rest, ok := strings.CutPrefix(string(d), hmacPrefix); ok {
		mark, digits = hmacMark, rest
	}
	var sum [sha256.Size]byte
	// Digits in upper case decode to the same bytes and must not be the same digest.
	if len(digits) != hex.EncodedLen(len(sum)) || strings.ContainsAny(digits, "ABCDEF") {
		return string(verbatimMark) + string(d)
	}
	if _, err := hex.Decode(sum[:], []byte(digits)); err != nil {
		return string(verbatimMark) + string(d)
	}
	var short [1 + 43]byte
	short[0] = mark
	base64.RawURLEncoding.Encode(short[1:], sum[:])
	return string(short[:])
}

// digestOf is the inverse of fingerprint; "" for what fingerprint never writes.
func digestOf(stored string) purchase.Digest {
	if stored == "" {
		return ""
	}
	mark, rest := stored[0], stored[1:]
	if mark == verbatimMark {
		return purchase.Digest(rest)
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	switch {
	case err == nil && mark == sha256Mark:
		return purchase.Digest(sha256Prefix + hex.EncodeToString(sum))
	case err == nil && mark == hmacMark:
		return purchase.Digest(hmacPrefix + hex.EncodeToString(sum))
	default:
		return ""
	}
}
