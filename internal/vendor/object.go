package vendor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
// written: parts of the body, which must not change. A field that is null is not
// there.
type object []field

type field struct {
	name string
	raw  json.RawMessage
}

// get is the value of a field, or nil where it is not there.
func (o object) get(name string) json.RawMessage {
	for i := range o {
		if o[i].name == name {
			return o[i].raw
		}
	}
	return nil
}

// without is the object without a field.
func (o object) without(name string) object {
	return slices.DeleteFunc(o, func(f field) bool { return f.name == name })
}

// usualFields is how many fields an object has room for at once.
const usualFields = 8

// readObject reads the named fields of an object that is known to be valid JSON.
// encoding/json would take the last of two equal keys and would take "SUCCESS"
// for "success"; here both are errAmbiguous, as it is not known which one the
// vendor means. Fields that were not asked for are passed over, twice or not.
func readObject(raw []byte, names []string) (object, error) {
	s := scanner{in: raw}
	if s.next() != '{' {
		return nil, fmt.Errorf("%w: not an object", errWrongType)
	}
	s.at++
	fields := make(object, 0, usualFields)
	var seen uint64 // of names, by their place
	for {
		if s.next() == ',' {
			s.at++
			s.next()
		}
		quoted, ok := s.key()
		if !ok {
			break
		}
		value, ok := s.value()
		if !ok {
			return nil, errNotJSON
		}
		at, exact := nameOf(quoted, names)
		if at < 0 {
			continue
		}
		if seen&(1<<at) != 0 || !exact {
			return nil, fmt.Errorf("%w: %s", errAmbiguous, names[at])
		}
		seen |= 1 << at
		if string(value) != "null" {
			fields = append(fields, field{names[at], value})
		}
	}
	if s.next() != '}' {
		return nil, errNotJSON
	}
	return fields, nil
}

// nameOf is the place of the name that a key spells, without regard to case, or
// -1; exact says that it is that very name. There are at most 64 names, none of
// which differs from another by case alone.
func nameOf(quoted []byte, names []string) (at int, exact bool) {
	key := quoted[1 : len(quoted)-1]
	if bytes.IndexFunc(key, func(r rune) bool { return r == '\\' || r >= utf8.RuneSelf }) >= 0 {
		// Escapes, and letters that are not ASCII and may fold to some that are.
		var decoded string
		if err := json.Unmarshal(quoted, &decoded); err != nil {
			return -1, false
		}
		at = slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, decoded) })
		return at, at >= 0 && names[at] == decoded
	}
	for i, name := range names {
		if len(name) == len(key) && strings.EqualFold(name, string(key)) {
			return i, name == string(key)
		}
	}
	return -1, false
}

// scanner walks the members of an object of valid JSON. What is not valid ends it
// before its time.
type scanner struct {
	in []byte
	at int
}

// next passes over white space and returns what is there, or 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.in); s.at++ {
		switch c := s.in[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// key passes over a key and its colon, and returns it with its quotation marks.
func (s *scanner) key() (quoted []byte, ok bool) {
	start := s.at
	if s.next() != '"' || !s.text() {
		return nil, false
	}
	quoted = s.in[start:s.at]
	if s.next() != ':' {
		return nil, false
	}
	s.at++
	return quoted, true
}

// text passes over a string.
func (s *scanner) text() bool {
	for s.at++; s.at < len(s.in); s.at++ {
		switch s.in[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return true
		}
	}
	return false
}

// value passes over a value and returns it.
func (s *scanner) value() (raw []byte, ok bool) {
	first := s.next()
	start := s.at
	switch first {
	case 0:
		return nil, false
	case '"':
		ok = s.text()
	case '{', '[':
		ok = s.nested()
	default:
		for s.at < len(s.in) && !bytes.ContainsRune(scalarEnds, rune(s.in[s.at])) {
			s.at++
		}
		ok = s.at > start
	}
	if !ok {
		return nil, false
	}
	// With no room behind it: what is appended must not run into the body.
	return s.in[start:s.at:s.at], true
}

var scalarEnds = []byte(",]} \t\r\n")

// nested passes over an object or an array.
func (s *scanner) nested() bool {
	for depth := 0; s.at < len(s.in); {
		switch s.in[s.at] {
		case '"':
			if !s.text() {
				return false
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return true
		}
	}
	return false
}

// text is a string, or a number as it is spelled. A field that is not there is "".
func (o object) text(name string) (string, error) {
	raw := o.get(name)
	if raw == nil {
		return "", nil
	}
	switch c := raw[0]; {
	case c == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw):
		return string(raw[1 : len(raw)-1]), nil // as json.Unmarshal would, at less cost
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
	switch raw := o.get(name); {
	case raw == nil:
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
