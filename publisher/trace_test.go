package publisher_test

import (
	"regexp"
	"testing"

	"github.com/vendstream/vendstream/publisher"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

var traceShape = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$`)

func TestChildTraceOfTheSameTrace(t *testing.T) {
	for parent, flags := range map[string]string{
		"00-" + traceID + "-" + spanID + "-01":            "01",
		"00-" + traceID + "-" + spanID + "-00":            "00",
		"01-" + traceID + "-" + spanID + "-01":            "01", // a later version
		"cc-" + traceID + "-" + spanID + "-01-what-comes": "01",
	} {
		m := traceShape.FindStringSubmatch(publisher.ChildTrace(parent))
		if m == nil || m[1] != traceID || m[2] == spanID || m[3] != flags {
			t.Errorf("child of %s: %v", parent, m)
		}
		if again := publisher.ChildTrace(parent); again == m[0] {
			t.Errorf("two children of %s have one span", parent)
		}
	}
}

func TestChildTraceOfABrokenParent(t *testing.T) {
	for _, parent := range []string{
		"",
		"rubbish",
		"00-" + traceID + "-" + spanID,
		"00-" + traceID + "-" + spanID + "-01-more",
		"ff-" + traceID + "-" + spanID + "-01",
		"00-00000000000000000000000000000000-" + spanID + "-01",
		"00-" + traceID + "-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" + spanID + "-01",
		" 00-" + traceID + "-" + spanID + "-01",
		"00-" + traceID + "-" + spanID + "-01\n",
	} {
		m := traceShape.FindStringSubmatch(publisher.ChildTrace(parent))
		if m == nil || m[1] == traceID || m[3] != "00" {
			t.Errorf("child of %q: %v, want a new trace", parent, m)
		}
	}
}

func TestHeader(t *testing.T) {
	h := map[string][]string{
		"Traceparent":           {"first", "second"},
		"vendstream-lookup":     {"true"},
		"VENDSTREAM-EXPIRES-AT": {},
		"exact":                 {"exact"}, "Exact": {"other"},
	}
	for name, want := range map[string]string{
		"traceparent": "first", "Traceparent": "first", "TRACEPARENT": "first",
		"Vendstream-Lookup": "true", "Vendstream-Expires-At": "", "missing": "",
		"exact": "exact", "Exact": "other",
	} {
		if got := publisher.Header(h, name); got != want {
			t.Errorf("Header(%s) = %q, want %q", name, got, want)
		}
	}
	if got := publisher.Header(nil, "x"); got != "" {
		t.Errorf("Header of nothing: %q", got)
	}
}
