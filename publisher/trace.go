package publisher

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// ValidTrace reports whether text is a traceparent whose trace ChildTrace goes on
// with.
func ValidTrace(text string) bool { return validParent(text) }

// ChildTrace is a traceparent of the same trace with a span of its own. A parent
// that is missing or unreadable starts a new trace, as the standard asks.
func ChildTrace(parent string) string {
	var child [len(traceShape)]byte
	copy(child[:], traceShape)
	var random [24]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand.Read ends the program instead
	if validParent(parent) {
		copy(child[3:35], parent[3:35])
		copy(child[53:55], parent[53:55])
	} else {
		hex.Encode(child[3:35], random[8:])
	}
	hex.Encode(child[36:52], random[:8])
	return string(child[:])
}

// traceShape is version 00 of the W3C trace context: version, trace, span, flags.
const traceShape = "00-" + zeros + zeros + "-" + zeros + "-00"

const zeros = "0000000000000000"

// validParent reports whether a traceparent is of version 00, or of a later one
// as far as that goes.
func validParent(p string) bool {
	if len(p) < len(traceShape) || p[2] != '-' || p[35] != '-' || p[52] != '-' {
		return false
	}
	version, trace, span, flags, rest := p[:2], p[3:35], p[36:52], p[53:55], p[55:]
	for _, digits := range []string{version, trace, span, flags} {
		for i := range len(digits) {
			if c := digits[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
				return false
			}
		}
	}
	return version != "ff" && trace != zeros+zeros && span != zeros &&
		(rest == "" || version != "00" && rest[0] == '-' && !strings.Contains(rest, "\n"))
}

func randomHex(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails: crypto/rand.Read ends the program instead
	return hex.EncodeToString(raw)
}

// Values are all values of a header, without regard to the case of its name.
func Values(h map[string][]string, name string) []string {
	var all []string
	for key, v := range h {
		if strings.EqualFold(key, name) {
			all = append(all, v...)
		}
	}
	return all
}

// Header is the first value of a header, without regard to the case of its
// name: NATS keeps the case that the publisher wrote, and trace libraries write
// more than one.
func Header(h map[string][]string, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	for key, v := range h {
		if len(v) > 0 && strings.EqualFold(key, name) {
			return v[0]
		}
	}
	return ""
}
