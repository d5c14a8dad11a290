package purchase_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// What is stored on the streams may be anybody's: a hand-off or a result that can
// be read is written again with the same meaning, and any other is an error.
func FuzzStored(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", "[]", `{"request":{"merchantReference":"r","amount":5}}`,
		`{"account":"acme","merchantReference":"r","state":"unknown","request":{"merchantReference":"r"},"attempts":-1,"requestSequence":18446744073709551615}`,
		`{"status":"COMPLETED","receipt":{"a":30.0000},"requestedAt":"2026-01-01T00:00:00Z"}`, `{"request":` + nested(40) + `}`,
		`{"request":"x","requestedAt":"9999-12-31T23:59:59.999999999Z"}`, `{"attempts":1e99}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var h purchase.Handoff
		if json.Unmarshal(body, &h) == nil {
			if r, err := h.Purchase(); err == nil && !purchase.ValidReference(r.Reference) {
				t.Fatalf("a request of reference %q", r.Reference)
			}
			again(t, &h, h.Encode)
		}
		var r purchase.Result
		if json.Unmarshal(body, &r) == nil {
			again(t, &r, r.Encode)
		}
	})
}

func again[T any](t *testing.T, v *T, encode func() ([]byte, error)) {
	t.Helper()
	one, err := encode()
	if err != nil {
		return // a time that JSON cannot hold
	}
	if err := json.Unmarshal(one, v); err != nil {
		t.Fatalf("%s cannot be read again: %v", one, err)
	}
	if two, err := encode(); err != nil || !bytes.Equal(one, two) {
		t.Fatalf("%s became %s, %v", one, two, err)
	}
}
