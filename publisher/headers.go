package publisher

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Headers of a request. All are optional.
const (
	// HeaderMessageID is advised to be <account>/<merchantReference>.
	HeaderMessageID = "Nats-Msg-Id"
	// HeaderTraceParent is the W3C trace context of the request.
	HeaderTraceParent = "traceparent"
	// HeaderExpiresAt is an RFC 3339 time after which an unsent purchase is not sent.
	HeaderExpiresAt = "Vendstream-Expires-At"
	// HeaderPriority, PriorityLow, puts a purchase behind others of its account.
	HeaderPriority = "Vendstream-Priority"
	// HeaderLookup, "true", asks for the customer's account to be validated first.
	HeaderLookup = "Vendstream-Lookup"
)

// PriorityLow is the one value of HeaderPriority that means something.
const PriorityLow = "low"

// Headers of a dead letter.
const (
	// HeaderReason is one of the contract's reasons.
	HeaderReason = "Vendstream-Reason"
	// HeaderDetail says what was wrong, without a value of the body.
	HeaderDetail = "Vendstream-Detail"
	// HeaderStreamSequence is the message's sequence in the requests stream.
	HeaderStreamSequence = "Vendstream-Stream-Sequence"
	// HeaderOriginalPrefix is put before the name of an original header that
	// JetStream would obey if it were published again, such as Nats-Msg-Id.
	HeaderOriginalPrefix = "Vendstream-Original-"
	// HeaderTruncated is the size in bytes of a body that was too large for a
	// dead letter and was cut.
	HeaderTruncated = "Vendstream-Truncated"
	// HeaderHeadersLeftOut is how many of the original's headers a dead letter had no
	// room for; then it has none of them.
	HeaderHeadersLeftOut = "Vendstream-Headers-Left-Out"
)

// CloudEvents 1.0 attributes of a result, in binary mode.
const (
	HeaderSpecVersion = "ce-specversion"
	HeaderEventID     = "ce-id"
	HeaderEventSource = "ce-source"
	HeaderEventType   = "ce-type"
	HeaderSubject     = "ce-subject"
	HeaderEventTime   = "ce-time"
	HeaderContentType = "content-type"

	// TypeCompleted is the ce-type of a purchase that succeeded.
	TypeCompleted = "vendstream.purchase.completed"
	// TypeFailed is the ce-type of a purchase that failed.
	TypeFailed = "vendstream.purchase.failed"
)

const (
	specVersion     = "1.0"
	contentTypeJSON = "application/json"
)

func eventType(status purchase.Status) string {
	if status == purchase.StatusCompleted {
		return TypeCompleted
	}
	return TypeFailed
}

func resultHeader(r *purchase.Result, traceParent string) nats.Header {
	id := MessageID(r.Account, r.MerchantReference)
	// Room for what the client adds when it publishes.
	h := make(nats.Header, 12)
	values := [...]string{
		id, "/vendstream/" + r.Account, eventType(r.Status), percentEncode(r.MerchantReference),
		r.ResolvedAt.UTC().Format(time.RFC3339Nano), ChildTrace(traceParent), specVersion, contentTypeJSON,
	}
	for i, names := range resultHeaders {
		for _, name := range names {
			h[name] = values[i : i+1 : i+1]
		}
	}
	return h
}

// resultHeaders are the names under which each of resultHeader's values stands.
var resultHeaders = [...][]string{
	{HeaderMessageID, HeaderEventID}, {HeaderEventSource}, {HeaderEventType}, {HeaderSubject},
	{HeaderEventTime}, {HeaderTraceParent}, {HeaderSpecVersion}, {HeaderContentType},
}

// percentEncode writes a header value as CloudEvents asks: space, quotation
// mark, percent sign, and all outside printable ASCII, byte by byte
// (CloudEvents HTTP protocol binding 1.0, section 3.1.3.2).
func percentEncode(s string) string {
	escaped := func(c byte) bool { return c <= ' ' || c == '"' || c == '%' || c >= 0x7F }
	plain := 0
	for plain < len(s) && !escaped(s[plain]) {
		plain++
	}
	if plain == len(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		if escaped(c) {
			out.WriteByte('%')
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&15])
			continue
		}
		out.WriteByte(c)
	}
	return out.String()
}
