package purchase

import (
	"sort"
	"unicode/utf16"
	"unicode/utf8"
)

// reader walks JSON that encoding/json has found valid, so it has no errors of
// grammar to report. What it reads has one canonical form: keys sorted by their
// bytes, no white space, one spelling for each string and number.
type reader struct {
	in        string
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

// node is one value below the top-level object: the children of an object or an
// array, the text of a string, or the canonical form of a number or a literal.
// Values become nodes before they are written, so that each is written once,
// however deep it lies in objects whose keys are out of order.
type node struct {
	kind     kind
	name     string // of a member of an object
	text     string
	children []node
}

// value consumes one value.
func (r *reader) value() node {
	r.depth++
	r.deepest = max(r.deepest, r.depth)
	defer func() { r.depth-- }()
	n := node{kind: kindOf(r.in[r.at])}
	switch n.kind {
	case kindObject:
		n.children = r.object()
	case kindArray:
		n.children = r.array()
	case kindString:
		n.text, _ = r.string()
	case kindNumber:
		n.text = string(parseNumber(r.scalar()).appendCanonical(nil))
	default:
		n.text = r.scalar()
	}
	return n
}

// scalar consumes a number or a literal name.
func (r *reader) scalar() string {
	start := r.at
	for r.at < len(r.in) && !endsScalar(r.in[r.at]) {
		r.at++
	}
	return r.in[start:r.at]
}

func endsScalar(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ',', ']', '}':
		return true
	default:
		return false
	}
}

func (r *reader) array() []node {
	r.at++
	var items []node
	for {
		r.space()
		switch r.in[r.at] {
		case ']':
			r.at++
			return items
		case ',':
			r.at++
		default:
			items = append(items, r.value())
		}
	}
}

// object consumes an object and returns its members in the order of their names.
func (r *reader) object() []node {
	r.at++
	var members []node
	sorted := true
	for {
		r.space()
		if r.in[r.at] == '}' {
			r.at++
			break
		}
		if r.in[r.at] == ',' {
			r.at++
			continue
		}
		name, _ := r.string()
		r.space()
		r.at++ // the colon
		r.space()
		m := r.value()
		m.name = name
		if len(members) > 0 && members[len(members)-1].name >= name {
			sorted = false
		}
		members = append(members, m)
	}
	if sorted {
		return members
	}
	sort.SliceStable(members, func(i, j int) bool { return members[i].name < members[j].name })
	for i := 1; i < len(members); i++ {
		if members[i-1].name == members[i].name {
			r.twice(members[i].name)
		}
	}
	return members
}

// appendCanonical writes the one form that all spellings of the value share.
func (n *node) appendCanonical(dst []byte) []byte {
	switch n.kind {
	case kindString:
		return appendString(dst, n.text)
	case kindArray, kindObject:
		opening, closing := byte('['), byte(']')
		if n.kind == kindObject {
			opening, closing = '{', '}'
		}
		dst = append(dst, opening)
		for i := range n.children {
			if i > 0 {
				dst = append(dst, ',')
			}
			if n.kind == kindObject {
				dst = append(appendString(dst, n.children[i].name), ':')
			}
			dst = n.children[i].appendCanonical(dst)
		}
		return append(dst, closing)
	default:
		return append(dst, n.text...)
	}
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
		text = r.in[start:r.at]
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
	for _, c := range []byte(r.in[r.at+2 : r.at+6]) {
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
