package purchase

import (
	"bytes"
	"encoding/json"
	"sort"
	"unicode/utf16"
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
		return nil, reject(ReasonMalformed, "the body is not one JSON value")
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
			canonical = r.value(nil)
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

// reader walks JSON that encoding/json has found valid, so it has no errors of
// grammar to report. It writes the canonical form of values: keys sorted by
// their bytes, no white space, one spelling for each string and number.
type reader struct {
	in        []byte
	at        int
	depth     int // of the value being read, below the top-level object
	deepest   int
	duplicate string // the first key found twice in one object, quoted
}

func (r *reader) twice(name string) {
	if r.duplicate == "" {
		r.duplicate = quoteASCII(name)
	}
}

func (r *reader) space() {
	for r.at < len(r.in) {
		switch r.in[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

func kindOf(first byte) kind {
	switch first {
	case '{':
		return kindObject
	case '[':
		return kindArray
	case '"':
		return kindString
	case 't', 'f':
		return kindBool
	case 'n':
		return kindNull
	default:
		return kindNumber
	}
}

// value consumes one value and appends its canonical form.
func (r *reader) value(dst []byte) []byte {
	r.depth++
	r.deepest = max(r.deepest, r.depth)
	defer func() { r.depth-- }()
	switch kindOf(r.in[r.at]) {
	case kindObject:
		return r.object(dst)
	case kindArray:
		return r.array(dst)
	case kindString:
		s, _ := r.string()
		return appendString(dst, s)
	case kindNumber:
		return parseNumber(r.scalar()).appendCanonical(dst)
	default:
		return append(dst, r.scalar()...)
	}
}

// scalar consumes a number or a literal name.
func (r *reader) scalar() []byte {
	start := r.at
	for r.at < len(r.in) && bytes.IndexByte([]byte(" \t\r\n,]}:"), r.in[r.at]) < 0 {
		r.at++
	}
	return r.in[start:r.at]
}

func (r *reader) array(dst []byte) []byte {
	r.at++
	dst = append(dst, '[')
	for first := true; ; first = false {
		r.space()
		if r.in[r.at] == ']' {
			r.at++
			return append(dst, ']')
		}
		if r.in[r.at] == ',' {
			r.at++
			r.space()
		}
		if !first {
			dst = append(dst, ',')
		}
		dst = r.value(dst)
	}
}

// object appends the members in the order of their names. They are written as
// they come and put in order afterwards only where that is needed, so that a
// deep chain of objects is not copied at every level.
func (r *reader) object(dst []byte) []byte {
	type part struct {
		name       string
		start, end int
	}
	r.at++
	dst = append(dst, '{')
	open := len(dst)
	var parts []part
	sorted := true
	for {
		r.space()
		if r.in[r.at] == '}' {
			r.at++
			break
		}
		if r.in[r.at] == ',' {
			r.at++
			r.space()
		}
		p := part{}
		p.name, _ = r.string()
		r.space()
		r.at++ // the colon
		r.space()
		p.start = len(dst)
		dst = appendString(dst, p.name)
		dst = append(dst, ':')
		dst = r.value(dst)
		dst = append(dst, ',')
		p.end = len(dst)
		if len(parts) > 0 && parts[len(parts)-1].name >= p.name {
			sorted = false
		}
		parts = append(parts, p)
	}
	if !sorted {
		sort.SliceStable(parts, func(i, j int) bool { return parts[i].name < parts[j].name })
		ordered := make([]byte, 0, len(dst)-open)
		for i, p := range parts {
			if i > 0 && parts[i-1].name == p.name {
				r.twice(p.name)
			}
			ordered = append(ordered, dst[p.start:p.end]...)
		}
		dst = append(dst[:open], ordered...)
	}
	if len(parts) > 0 {
		dst = dst[:len(dst)-1] // the last comma
	}
	return append(dst, '}')
}

// string consumes a string and decodes it. A lone surrogate escape, which UTF-8
// cannot hold, is kept apart from every other by the three bytes that UTF-8
// would give it; wellFormed is false then.
func (r *reader) string() (text string, wellFormed bool) {
	r.at++
	start := r.at
	for r.in[r.at] != '"' && r.in[r.at] != '\\' {
		r.at++
	}
	if r.in[r.at] == '"' {
		text = string(r.in[start:r.at])
		r.at++
		return text, true
	}
	wellFormed = true
	out := append([]byte(nil), r.in[start:r.at]...)
	for {
		c := r.in[r.at]
		switch {
		case c == '"':
			r.at++
			return string(out), wellFormed
		case c != '\\':
			out = append(out, c)
			r.at++
		case r.in[r.at+1] == 'u':
			unit := r.unit()
			if !utf16.IsSurrogate(unit) {
				out = utf8.AppendRune(out, unit)
				continue
			}
			if r.in[r.at] == '\\' && r.in[r.at+1] == 'u' {
				back := r.at
				if pair := utf16.DecodeRune(unit, r.unit()); pair != utf8.RuneError {
					out = utf8.AppendRune(out, pair)
					continue
				}
				r.at = back
			}
			wellFormed = false
			out = append(out, 0xE0|byte(unit>>12), 0x80|byte(unit>>6)&0x3F, 0x80|byte(unit)&0x3F)
		default:
			out = append(out, unescape(r.in[r.at+1]))
			r.at += 2
		}
	}
}

// unit consumes a \uXXXX escape.
func (r *reader) unit() rune {
	var v rune
	for _, c := range r.in[r.at+2 : r.at+6] {
		switch {
		case c >= 'a':
			c -= 'a' - 10
		case c >= 'A':
			c -= 'A' - 10
		default:
			c -= '0'
		}
		v = v<<4 | rune(c)
	}
	r.at += 6
	return v
}

func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return c
	}
}

// appendString writes the canonical form of a decoded string: quotation mark,
// backslash and control characters escaped, all else as it is.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
