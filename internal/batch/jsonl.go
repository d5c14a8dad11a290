package batch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/vendstream/vendstream/publisher"
)

// jsonlReader reads one JSON object a line: the body of a request, or, where it
// has the key "request", an envelope of account, headers and request.
type jsonlReader struct {
	in      *bufio.Reader
	options Options
	line    int
	number  int
}

func newJSONL(in io.Reader, o Options) *jsonlReader {
	return &jsonlReader{in: bufio.NewReaderSize(in, 64<<10), options: o}
}

func (r *jsonlReader) Next() (Row, error) {
	for {
		text, err := r.text()
		if err != nil {
			return Row{}, err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		r.number++
		return r.row(text)
	}
}

// text reads one line, which is the caller's. Of one that is too long the rest is
// passed over.
func (r *jsonlReader) text() ([]byte, error) {
	r.line++
	var text []byte
	for long := false; ; {
		part, err := r.in.ReadSlice('\n')
		if !long {
			text = append(text, part...)
		}
		if len(text) > maxRow {
			long, text = true, nil
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case long:
			r.number++
			return nil, wrong(r.line, "is larger than 1 MiB")
		case err != nil && len(text) == 0:
			return nil, io.EOF
		}
		if r.line == 1 {
			text = bytes.TrimPrefix(text, byteOrderMark)
		}
		return bytes.TrimRight(text, "\r\n"), nil
	}
}

func (r *jsonlReader) row(text []byte) (Row, error) {
	row := Row{Line: r.line, Number: r.number, Request: publisher.Request{Priority: r.options.Priority}}
	members, err := membersOf(text)
	if err != nil {
		return row, wrong(r.line, "%v", err)
	}
	row.Request.Body = text
	if body, enveloped := find(members, "request"); enveloped {
		if err := r.envelope(&row, members); err != nil {
			return row, err
		}
		row.Request.Body = body
		if members, err = membersOf(body); err != nil {
			return row, wrong(r.line, "request: %v", err)
		}
	}
	if _, there := find(members, columnReference); !there {
		if r.options.Prefix == "" {
			return row, wrong(r.line, "merchantReference is missing")
		}
		row.Request.Body = withReference(row.Request.Body, len(members) == 0, r.options.reference(r.number))
	}
	return row, nil
}

// envelope reads what stands beside the request.
func (r *jsonlReader) envelope(row *Row, members []member) error {
	seen := map[string]bool{}
	for _, m := range members {
		if seen[m.name] {
			return wrong(r.line, "the key %q stands twice beside the request", m.name)
		}
		seen[m.name] = true
		switch m.name {
		case "request":
		case "account":
			if json.Unmarshal(m.value, &row.Request.Account) != nil || row.Request.Account == "" {
				return wrong(r.line, "account is not a string with an account's name")
			}
		case "headers":
			headers, err := membersOf(m.value)
			if err != nil {
				return wrong(r.line, "headers: %v", err)
			}
			given := map[string]bool{}
			for _, h := range headers {
				text := ""
				if given[h.name] || json.Unmarshal(h.value, &text) != nil || text == "" {
					return wrong(r.line, "header %q stands twice, or is not a string with a value", h.name)
				}
				given[h.name] = true
				if err := setHeader(&row.Request, r.line, "header "+quote(h.name), h.name, text); err != nil {
					return err
				}
			}
		default:
			return wrong(r.line, "the key %q stands beside a request: only account and headers may", m.name)
		}
	}
	return nil
}

// member is one name and value of an object, as it is written.
type member struct {
	name  string
	value json.RawMessage
}

func find(members []member, name string) (json.RawMessage, bool) {
	for _, m := range members {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// errNoObject is told without the parser's words, which may quote the text.
var errNoObject = errors.New("is not one JSON object")

// membersOf reads the top level of an object and nothing after it. Whether its
// values keep the rules of a request is for the check.
func membersOf(text []byte) ([]member, error) {
	in := json.NewDecoder(bytes.NewReader(text))
	if first, err := in.Token(); err != nil || first != json.Delim('{') {
		return nil, errNoObject
	}
	var members []member
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return nil, errNoObject
		}
		m := member{}
		m.name, _ = name.(string) // the decoder takes no other
		if err := in.Decode(&m.value); err != nil {
			return nil, errNoObject
		}
		members = append(members, m)
	}
	if _, err := in.Token(); err != nil {
		return nil, errNoObject
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errNoObject
	}
	return members, nil
}

// withReference puts a merchantReference in front of the members of an object.
func withReference(body []byte, empty bool, reference string) []byte {
	open := bytes.IndexByte(body, '{') + 1
	out := append(make([]byte, 0, len(body)+len(reference)+32), body[:open]...)
	out = appendMember(out, columnReference, reference)
	if !empty {
		out = append(out, ',')
	}
	return append(out, body[open:]...)
}

func quote(name string) string {
	quoted, _ := json.Marshal(name)
	return string(quoted)
}
