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
		return spell("sha256:", sum[:])
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(canonical)
	return spell("hmac-sha256:", mac.Sum(nil))
}

func spell(algorithm string, sum []byte) Digest {
	text := append(make([]byte, 0, 80), algorithm...)
	return Digest(hex.AppendEncode(text, sum))
}
