package purchase

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
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

// Of reports whether d is the digest of body as account reads it, or read it once:
// while the account had another channel, or no digest key yet. channels are those
// that it may have had beside its present one; the end that bears d names the
// channel of its purchase. A body that has no digest is not d's.
//
// known is false where d was made with a key and account has none: then nothing is
// known of body.
func (d Digest) Of(body []byte, account Account, channels ...string) (same, known bool) {
	switch keyed := strings.HasPrefix(string(d), "hmac-"); {
	case keyed && len(account.DigestKey) == 0:
		return false, false
	case !keyed:
		account.DigestKey = nil
	}
	for _, channel := range slices.Concat([]string{account.ChannelID, ""}, channels) {
		account.ChannelID = channel
		if r, err := Parse(body, account); err == nil && r.Digest == d {
			return true, true
		}
	}
	return false, true
}
