package publisher

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"strings"
)

// traceParent is version 00 of the W3C trace context, and later versions as far
// as it goes.
var traceParent = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$`)

// traceEnd is where the id of the trace ends in a traceparent; it begins at 3.
const traceEnd = 35

// ValidTrace reports whether text is a traceparent whose trace ChildTrace goes on
// with.
func ValidTrace(text string) bool {
	return len(text) >= traceEnd && ChildTrace(text)[:traceEnd] == "00"+text[2:traceEnd]
}

// ChildTrace is a traceparent of the same trace with a span of its own. A parent
// that is missing or unreadable starts a new trace, as the standard asks.
func ChildTrace(parent string) string {
	trace, flags := "", "00"
	m := traceParent.FindStringSubmatch(parent)
	if m != nil && m[1] != "ff" && (m[1] != "00" || m[5] == "") &&
		strings.Trim(m[2], "0") != "" && strings.Trim(m[3], "0") != "" {
		trace, flags = m[2], m[4]
	}
	if trace == "" {
		trace = randomHex(16)
	}
	return "00-" + trace + "-" + randomHex(8) + "-" + flags
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
