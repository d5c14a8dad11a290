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

// member is one name and value of the top-level object. text is the decoded
// value of a string, and the literal of a number, as it was written.
type member struct {
	name       string
	text       string
	start, end int // of the value in the body
	// Of its canonical form in the document's.
	canonicalStart, canonicalEnd int
	kind                         kind
	wellFormed                   bool // a string without lone surrogates, so valid as UTF-8
}

// document is a body that was read once: its members in order, and the
// canonical forms of their values, one after the other.
type document struct {
	body      []byte
	members   []member
	canonical []byte
}

// raw is a member's value as it was written.
func (d *document) raw(at int) []byte { return d.body[d.members[at].start:d.members[at].end] }

// canonicalOf is the canonical form of a member's value.
func (d *document) canonicalOf(at int) []byte {
	return d.canonical[d.members[at].canonicalStart:d.members[at].canonicalEnd]
}

// usualMembers is how many members a request has room for at once, and up to
// which names are compared one by one.
const usualMembers = 12

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
	// One copy as a string, of which names and texts are parts.
	r := reader{in: string(body)}
	r.space()
	if r.in[r.at] != '{' {
		return nil, reject(ReasonMalformed, "the body is JSON but not an object")
	}
	doc := &document{
		body:      body,
		members:   make([]member, 0, usualMembers),
		canonical: make([]byte, 0, len(body)+16),
	}
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
		m := member{canonicalStart: len(doc.canonical)}
		m.name, _ = r.string()
		r.space()
		r.at++ // the colon
		r.space()
		m.kind = kindOf(r.in[r.at])
		m.start = r.at
		switch m.kind {
		case kindString:
			m.text, m.wellFormed = r.string()
			doc.canonical = appendString(doc.canonical, m.text)
		case kindNumber:
			m.text = r.scalar()
			doc.canonical = parseNumber(m.text).appendCanonical(doc.canonical)
		default:
			v := r.value()
			doc.canonical = v.appendCanonical(doc.canonical)
		}
		m.end, m.canonicalEnd = r.at, len(doc.canonical)
		doc.members = append(doc.members, m)
	}
	doc.findTwice(&r)
	if r.deepest > maxNesting {
		return nil, reject(ReasonMalformed, "the body is nested too deeply: at most 9,000 levels")
	}
	if r.duplicate != "" {
		return nil, reject(ReasonMalformed, "a key stands twice in one object: "+r.duplicate)
	}
	return doc, nil
}

// findTwice tells the reader of a name that stands twice.
func (d *document) findTwice(r *reader) {
	if len(d.members) <= usualMembers {
		for i := range d.members {
			if d.find(d.members[i].name) < i {
				r.twice(d.members[i].name)
			}
		}
		return
	}
	names := make(map[string]struct{}, len(d.members))
	for i := range d.members {
		if _, twice := names[d.members[i].name]; twice {
			r.twice(d.members[i].name)
		}
		names[d.members[i].name] = struct{}{}
	}
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
