package vendor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Faults of a body. They name fields of the API and never hold a value.
var (
	errEmpty     = errors.New("the body is empty")
	errNotJSON   = errors.New("the body is not one JSON value in UTF-8")
	errWrongType = errors.New("a field has another type than documented")
	errAmbiguous = errors.New("a field stands twice, or in two spellings")
)

// wholeJSON checks that a body is one JSON value in UTF-8 with nothing after it.
func wholeJSON(body []byte) error {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return errEmpty
	case !utf8.Valid(body) || !json.Valid(body):
		return errNotJSON
	default:
		return nil
	}
}

// object holds the fields that were asked of a JSON object, as they were
// written. A field that is null is not there.
type object map[string]json.RawMessage

// readObject reads the named fields of an object that is known to be valid JSON.
// encoding/json would take the last of two equal keys and would take "SUCCESS"
// for "success"; here both are errAmbiguous, as it is not known which one the
// vendor means. Fields that were not asked for are passed over, twice or not.
func readObject(raw []byte, names []string) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%w: not an object", errWrongType)
	}
	seen := make(map[string]bool, len(names))
	fields := make(object, len(names))
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, errNotJSON
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errNotJSON
		}
		for _, name := range names {
			if !strings.EqualFold(name, key.(string)) {
				continue
			}
			if seen[name] || name != key {
				return nil, fmt.Errorf("%w: %s", errAmbiguous, name)
			}
			seen[name] = true
			if !bytes.Equal(value, []byte("null")) {
				fields[name] = value
			}
		}
	}
	return fields, nil
}

// text is a string, or a number as it is spelled. A field that is not there is "".
func (o object) text(name string) (string, error) {
	raw, there := o[name]
	if !there {
		return "", nil
	}
	switch c := raw[0]; {
	case c == '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", fmt.Errorf("%w: %s", errWrongType, name)
		}
		return text, nil
	case c == '-' || ('0' <= c && c <= '9'):
		return string(raw), nil
	default:
		return "", fmt.Errorf("%w: %s", errWrongType, name)
	}
}

// flag is a boolean; there is false where the field is not there.
func (o object) flag(name string) (value, there bool, err error) {
	switch raw, there := o[name]; {
	case !there:
		return false, false, nil
	case string(raw) == "true":
		return true, true, nil
	case string(raw) == "false":
		return false, true, nil
	default:
		return false, false, fmt.Errorf("%w: %s", errWrongType, name)
	}
}

// message is a text that decides nothing: one of another type is as good as none.
func (o object) message(name string) string {
	text, err := o.text(name)
	if err != nil {
		return ""
	}
	return text
}
