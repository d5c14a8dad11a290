package purchase

import (
	"encoding/json"
	"unicode/utf8"
)

// MaxBody is the largest request body in bytes (contract, "Request message").
const MaxBody = 64 << 10

// maxNesting is the deepest body that is read. It stays below the 10,000 levels
// of encoding/json, so that a hand-off that holds the body can be read too.
const maxNesting = 9000

// kind is the JSON type of a value.
type kind byte

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

// member is one name and value of the top-level object. raw is the value as it
// was written; text is the decoded value of a string.
type member struct {
	name       string
	start, end int // of the value in the body
	kind       kind
	raw        []byte
	text       string
	wellFormed bool // a string without lone surrogates, so valid as UTF-8
}

// document is a body that was read once: its members in order, and the
// canonical form of each.
type document struct {
	body    []byte
	members []member
	// canonical[i] is the canonical form of members[i]'s value.
	canonical [][]byte
}

// readDocument reads a body strictly: at most MaxBody bytes, valid UTF-8, one
// JSON object and nothing after it, no key twice in any object, nesting of at
// most maxNesting levels. The error is a *Rejection.
func readDocument(body []byte) (*document, error) {
	if len(body) > MaxBody {
		return nil, reject(ReasonTooLarge, "the body is larger than 64 KiB: send a smaller one")
	}
	if !utf8.Valid(body) {
		return nil, reject(ReasonMalformed, "the body is not valid UTF-8")
	}
	if !json.Valid(body) {
		return nil, reject(ReasonMalformed, "the body is not one JSON value, or is nested too deeply to be read")
	}
	r := reader{in: body}
	r.space()
	if r.in[r.at] != '{' {
		return nil, reject(ReasonMalformed, "the body is JSON but not an object")
	}
	doc := &document{body: body}
	r.at++
	for {
		r.space()
		if r.in[r.at] == '}' {
			break
		}
		if r.in[r.at] == ',' {
			r.at++
			continue
		}
		m := member{}
		m.name, _ = r.string()
		r.space()
		r.at++ // the colon
		r.space()
		m.kind = kindOf(r.in[r.at])
		m.start = r.at
		var canonical []byte
		if m.kind == kindString {
			m.text, m.wellFormed = r.string()
			canonical = appendString(nil, m.text)
		} else {
			v := r.value()
			canonical = v.appendCanonical(nil)
		}
		m.end = r.at
		m.raw = body[m.start:m.end]
		doc.members = append(doc.members, m)
		doc.canonical = append(doc.canonical, canonical)
	}
	names := make(map[string]struct{}, len(doc.members))
	for i := range doc.members {
		if _, twice := names[doc.members[i].name]; twice {
			r.twice(doc.members[i].name)
		}
		names[doc.members[i].name] = struct{}{}
	}
	if r.deepest > maxNesting {
		return nil, reject(ReasonMalformed, "the body is nested too deeply: at most 9,000 levels")
	}
	if r.duplicate != "" {
		return nil, reject(ReasonMalformed, "a key stands twice in one object: "+r.duplicate)
	}
	return doc, nil
}

// find returns the index of the top-level member of that name, or -1.
func (d *document) find(name string) int {
	for i := range d.members {
		if d.members[i].name == name {
			return i
		}
	}
	return -1
}
