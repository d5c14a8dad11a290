package purchase

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Names of the members that this program reads; all others only travel.
const (
	fieldReference     = "merchantReference"
	fieldProductCode   = "productCode"
	fieldAmount        = "amount"
	fieldPaymentMethod = "paymentMethod"
	fieldChannelID     = "channelId"
	fieldMobileNumber  = "mobileNumber"
	fieldMeterNumber   = "meterNumber"
	fieldAccountNumber = "accountNumber"
	fieldAdditional    = "additionalInfo"
)

// Account is what the configuration says of an account that bears on the
// reading of its requests.
type Account struct {
	Name      string
	ChannelID string // used where a request leaves channelId out; may be empty
	DigestKey []byte // dedupe.digest_key; empty: plain SHA-256
}

// Request is a purchase request that bears a usable reference. It may still be
// invalid: see Validate. A Request does not change after Parse and is safe for
// concurrent use.
type Request struct {
	Account   string
	Reference string
	Digest    Digest

	doc       *document
	channelID string // of the account, where the request left its own out
}

// Parse reads a request body. The error is a *Rejection: the message can have
// no result. The Request keeps body, which must not change afterwards.
func Parse(body []byte, account Account) (*Request, error) {
	doc, err := readDocument(body)
	if err != nil {
		return nil, err
	}
	at := doc.find(fieldReference)
	if at < 0 || doc.members[at].kind != kindString {
		return nil, reject(ReasonInvalidReference, "merchantReference is missing or not a string")
	}
	if m := doc.members[at]; !m.wellFormed || !ValidReference(m.text) {
		return nil, reject(ReasonInvalidReference,
			"merchantReference must be 1 to 128 bytes of UTF-8 without control characters and without white space at either end")
	}
	r := &Request{Account: account.Name, Reference: doc.members[at].text, doc: doc}
	if r.absent(fieldChannelID) {
		r.channelID = account.ChannelID
	}
	r.Digest = digest(r.canonical(), account.DigestKey)
	return r, nil
}

// absent reports whether a field is left out: not there, null or "".
func (r *Request) absent(name string) bool {
	at := r.doc.find(name)
	if at < 0 {
		return true
	}
	m := &r.doc.members[at]
	return m.kind == kindNull || (m.kind == kindString && m.text == "")
}

// text is the decoded value of a string field, or "" where it is no string or,
// for a lone surrogate, cannot be UTF-8.
func (r *Request) text(name string) string {
	if at := r.doc.find(name); at >= 0 && r.doc.members[at].wellFormed {
		return r.doc.members[at].text
	}
	return ""
}

// scalar is the JSON of a field as it was written, or nil where the field is
// left out, an object or an array.
func (r *Request) scalar(name string) json.RawMessage {
	at := r.doc.find(name)
	if at < 0 || r.doc.members[at].kind == kindObject || r.doc.members[at].kind == kindArray {
		return nil
	}
	return json.RawMessage(r.doc.raw(at))
}

// amount is the literal of the amount as a JSON number, or "" where the request
// has none.
func (r *Request) amount() string {
	at := r.doc.find(fieldAmount)
	if at < 0 {
		return ""
	}
	switch m := &r.doc.members[at]; {
	case m.kind == kindNumber:
		return m.text
	case m.kind == kindString && isDecimal(m.text):
		return m.text
	default:
		return ""
	}
}

// canonical is the body by value: keys sorted by their bytes, one spelling for
// every string and number, an amount written as a string turned into its
// number, and the account's channelId where the request left it out.
func (r *Request) canonical() []byte {
	type part struct {
		name  string
		value []byte
	}
	var few [usualMembers + 1]part
	parts := few[:0]
	for i := range r.doc.members {
		name, value := r.doc.members[i].name, r.doc.canonicalOf(i)
		if name == fieldAmount && r.doc.members[i].kind == kindString {
			if literal := r.amount(); literal != "" {
				value = parseNumber(literal).appendCanonical(nil)
			}
		}
		if name == fieldChannelID && r.channelID != "" {
			continue
		}
		parts = append(parts, part{name, value})
	}
	if r.channelID != "" {
		parts = append(parts, part{fieldChannelID, appendString(nil, r.channelID)})
	}
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(a.name, b.name) })
	out := append(make([]byte, 0, len(r.doc.body)+64), '{')
	for i, p := range parts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, p.name), ':')
		out = append(out, p.value...)
	}
	return append(out, '}')
}

// Body is the request as it was published.
func (r *Request) Body() json.RawMessage { return json.RawMessage(r.doc.body) }

// VendorBody is the request as it goes to the vendor: the body as it was
// published, with an amount written as a string made a number of the same
// digits, and channelId filled in from the account.
func (r *Request) VendorBody() []byte {
	type edit struct {
		start, end int
		text       []byte
	}
	var few [2]edit
	edits := few[:0]
	if at := r.doc.find(fieldAmount); at >= 0 && r.doc.members[at].kind == kindString {
		if literal := r.amount(); literal != "" {
			edits = append(edits, edit{r.doc.members[at].start, r.doc.members[at].end, []byte(literal)})
		}
	}
	if r.channelID != "" {
		quoted := appendString(nil, r.channelID)
		if at := r.doc.find(fieldChannelID); at >= 0 {
			edits = append(edits, edit{r.doc.members[at].start, r.doc.members[at].end, quoted})
		} else {
			// There is at least one member, the reference, to put it in front of.
			open := bytes.IndexByte(r.doc.body, '{') + 1
			edits = append(edits, edit{open, open, append(append([]byte(`"channelId":`), quoted...), ',')})
		}
	}
	if len(edits) == 0 {
		return r.doc.body
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	out := make([]byte, 0, len(r.doc.body)+64)
	from := 0
	for _, e := range edits {
		out = append(append(out, r.doc.body[from:e.start]...), e.text...)
		from = e.end
	}
	return append(out, r.doc.body[from:]...)
}

// ProductCode is the product asked for, or "" where it is not a string.
func (r *Request) ProductCode() string { return r.text(fieldProductCode) }

// ChannelID is the channel that the purchase is made through.
func (r *Request) ChannelID() string {
	if r.channelID != "" {
		return r.channelID
	}
	return r.text(fieldChannelID)
}

var rfc3339 = regexp.MustCompile(
	`^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

// Expiry reads the values of the header Vendstream-Expires-At. The zero time stands
// for a header that is not there. One that is unreadable, which more than one value
// is too, is a refusal (contract, "Request message").
func Expiry(values []string) (time.Time, *Refusal) {
	unreadable := &Refusal{CodeInvalidFormat, messageBadExpiry, ClassValidation, SourceValidation}
	switch len(values) {
	case 0:
		return time.Time{}, nil
	case 1:
	default:
		return time.Time{}, unreadable
	}
	header := values[0]
	// The shape is checked apart, because time.Parse also takes one-digit hours, a
	// comma before the fraction and impossible zones. RFC 3339 allows small letters.
	at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(header))
	if err != nil || !rfc3339.MatchString(header) {
		return time.Time{}, unreadable
	}
	if at.IsZero() {
		at = at.Add(1) // long past, and not the sign for a header that is not there
	}
	return at, nil
}
