package purchase

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Digest is the fingerprint of a request by value: "sha256:" or "hmac-sha256:"
// and 64 hexadecimal digits. Two payloads with the same value have the same
// digest; with it a reference used twice for different purchases is seen.
type Digest string

func digest(canonical, key []byte) Digest {
	if len(key) == 0 {
		sum := sha256.Sum256(canonical)
		return Digest("sha256:" + hex.EncodeToString(sum[:]))
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(canonical)
	return Digest("hmac-sha256:" + hex.EncodeToString(mac.Sum(nil)))
}
