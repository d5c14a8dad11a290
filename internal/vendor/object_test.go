package vendor

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// byDecoder reads an object as readObject does, with encoding/json's own reader.
func byDecoder(raw []byte, names []string) (map[string]string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	fields, seen := map[string]string{}, map[string]bool{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, false
		}
		for _, name := range names {
			if !strings.EqualFold(name, key.(string)) {
				continue
			}
			if seen[name] || name != key {
				return nil, false
			}
			seen[name] = true
			if string(value) != "null" {
				fields[name] = string(value)
			}
		}
	}
	return fields, true
}

// FuzzObject holds the scanner against encoding/json: on valid JSON they read the
// same fields, on anything else the scanner does not panic.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		flatAnswer, envelopedAnswer, `{}`, ` { } `, `[]`, `7`, `{"status":null}`, `{"Status":1}`, `{"status":1,"status":2}`,
		`{"\u0073tatus":"a"}`, `{"ſtatus":"long s"}`, `{"x":{"status":"\"}"},"status":[1,{"a":"]"}]}`, `{"status" : -1.5e3 , "code":true}`,
		`{"status"`, `{"status":`, `{"status":"`, `{"status":"\`, `{,}`, `{"a":1 "b":2}`, `{"a":[}`, "", "{",
	} {
		f.Add([]byte(seed))
	}
	names := topFields
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := readObject(raw, names)
		if wholeJSON(raw) != nil {
			return
		}
		want, ok := byDecoder(raw, names)
		if ok != (err == nil) {
			t.Fatalf("%q: %v, and encoding/json says %t", raw, err, ok)
		}
		if len(got) != len(want) && ok {
			t.Fatalf("%q: %v, want %v", raw, got, want)
		}
		for name, value := range want {
			if string(got.get(name)) != value {
				t.Fatalf("%q: %s is %s, want %s", raw, name, got.get(name), value)
			}
		}
		for _, one := range got {
			text, err := got.text(one.name)
			var plain string
			if json.Unmarshal(one.raw, &plain) == nil && (err != nil || text != plain) {
				t.Fatalf("%s is read as %q, %v", one.raw, text, err)
			}
		}
	})
}

// A value has no room behind it: what is appended to one must not run into the
// rest of the body.
func TestValuesAreApart(t *testing.T) {
	body := []byte(`{"status":"a","receipt":{"pin":1}}`)
	fields, err := readObject(body, topFields)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(fields.get("status"), "XXXXXXXXXX"...)
	if string(fields.get("receipt")) != `{"pin":1}` {
		t.Errorf("%s", body)
	}
	if left := fields.without("status"); left.get("status") != nil || left.get("receipt") == nil {
		t.Errorf("%v", left)
	}
	if _, err := readObject([]byte(`{"status":1,"STATUS":2}`), topFields); !errors.Is(err, errAmbiguous) {
		t.Errorf("%v", err)
	}
}
