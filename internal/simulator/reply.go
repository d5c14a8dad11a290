package simulator

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// wire is how an answer ends on the connection.
type wire uint8

const (
	wireWhole     wire = iota
	wireTruncated      // half the body that was announced
	wireReset          // the connection is reset, nothing is sent
	wireNone           // the caller has gone, or the simulator is closed
)

// reply is an answer before it is put on a connection.
type reply struct {
	status      int
	contentType string // JSON where empty
	location    string
	body        []byte
	padding     int64 // bytes of padding in front of the body's members
	wire        wire
}

// content is the body with its padding, and its length.
func (rep *reply) content() (io.Reader, int64) {
	if rep.padding == 0 {
		return bytes.NewReader(rep.body), int64(len(rep.body))
	}
	head, tail := []byte(`{"padding":"`), []byte(`"}`)
	if len(rep.body) > 2 && rep.body[0] == '{' {
		tail = append([]byte(`",`), rep.body[1:]...)
	}
	return io.MultiReader(bytes.NewReader(head), io.LimitReader(filler{}, rep.padding), bytes.NewReader(tail)),
		int64(len(head)) + rep.padding + int64(len(tail))
}

// filler is an endless stream of one letter.
type filler struct{}

func (filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func (rep *reply) setHeader(h http.Header) {
	if len(rep.body) > 0 || rep.padding > 0 {
		contentType := rep.contentType
		fill(&contentType, "application/json")
		h.Set("Content-Type", contentType)
	}
	if rep.location != "" {
		h.Set("Location", rep.location)
	}
}

func jsonReply(status int, body []byte) reply { return reply{status: status, body: body} }

// plainError is a refusal without a code of the vendor's table, in the form that
// is documented for 429 (pagamio-api.md, "Purchase": rate limited).
func plainError(status int, title, message string) reply {
	b := append(make([]byte, 0, 96), `{"error":`...)
	b = appendText(b, title)
	b = append(b, `,"message":`...)
	b = appendText(b, message)
	return jsonReply(status, append(b, '}'))
}

// limited has never a Retry-After (pagamio-api.md, "Purchase": rate limited).
func limited(path string) reply {
	return plainError(http.StatusTooManyRequests, "Too Many Requests", "Rate limit exceeded for "+path)
}

// statusReply is the documented body of an HTTP status (pagamio-api.md,
// "Purchase": rate limited, 401 and 403); of the others none is documented.
func statusReply(status int, path string) reply {
	switch status {
	case http.StatusTooManyRequests:
		return limited(path)
	case http.StatusUnauthorized, http.StatusForbidden:
		b := append(make([]byte, 0, 64), `{"responseCode":"`...)
		b = strconv.AppendInt(b, int64(status), 10)
		b = append(b, `","responseMessage":`...)
		b = appendText(b, http.StatusText(status))
		return jsonReply(status, append(b, '}'))
	case http.StatusConflict:
		return failure(Flat, status, codeDuplicate, "")
	case http.StatusBadRequest:
		return failure(Flat, status, codeOldFieldsMissing, "")
	default:
		return plainError(status, http.StatusText(status), http.StatusText(status))
	}
}

// failure is a failure in either shape (pagamio-api.md, "Purchase": failure).
func failure(shape Shape, status int, code, message string) reply {
	if message == "" {
		message = messageOf(code)
	}
	b := make([]byte, 0, 160)
	if shape == Enveloped {
		b = append(b, `{"success":false,"error":{"code":`...)
		b = appendCode(b, code)
		b = append(b, `,"message":`...)
		b = appendText(b, message)
		b = append(b, `}}`...)
	} else {
		b = append(b, `{"responseCode":`...)
		b = appendText(b, code)
		b = append(b, `,"responseMessage":`...)
		b = appendText(b, message)
		b = append(b, `,"successful":false}`...)
	}
	return jsonReply(status, b)
}

// appendCode writes a code as the number that the enveloped shapes hold; a code
// that is none stays a string.
func appendCode(b []byte, code string) []byte {
	if isFigure(code) && (len(code) == 1 || code[0] != '0') {
		return append(b, code...)
	}
	return appendText(b, code)
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf || c == '<' {
			quoted, _ := json.Marshal(s) // a string always has a JSON form
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// disturb applies what a step does to an answer on any endpoint. rep is the
// ordinary answer; it is empty where the step came before it.
func (s *Simulator) disturb(c *call, step *Step, rep reply) reply {
	if step.Answer == AnswerHang {
		s.hang(c)
		return reply{wire: wireNone}
	}
	if step.Answer == AnswerReset {
		return reply{wire: wireReset}
	}
	switch {
	case step.Answer == AnswerContradiction:
		rep = contradiction(step, rep)
	case step.Code != "" && step.Code != codeSuccess:
		rep = stepFailure(step, s.cfg.PurchaseShape)
	case step.Status >= 400:
		rep = statusReply(step.Status, c.path)
	}
	if rep.status == 0 {
		rep = failure(Flat, http.StatusOK, codeFailed, "")
	}
	if step.Status != 0 {
		rep.status = step.Status
	}
	switch step.Answer {
	case AnswerGarbage:
		rep.body, rep.contentType = []byte(step.Body), "text/html"
		if step.Body == "" {
			rep.body = []byte("<html><body><h1>It works!</h1></body></html>")
		}
	case AnswerTruncated:
		rep.wire = wireTruncated
	case AnswerEmpty:
		rep.body = nil
	case AnswerRedirect:
		if step.Status == 0 {
			rep.status = http.StatusTemporaryRedirect
		}
		rep.body, rep.location = nil, step.Location
		fill(&rep.location, controlPrefix+"redirected")
	case AnswerOversized:
		rep.padding = step.Size
		fill(&rep.padding, 16<<20)
	default:
	}
	return rep
}

func stepFailure(step *Step, shape Shape) reply {
	if step.Shape != "" {
		shape = step.Shape
	}
	rep := failure(shape, http.StatusOK, step.Code, step.Message)
	if step.Rejection && shape == Flat {
		// "sometimes with rejectionCode and rejectionReason"
		b := append(rep.body[:len(rep.body)-1], `,"rejectionCode":`...)
		b = appendText(b, step.Code)
		b = append(b, `,"rejectionReason":`...)
		b = appendText(b, messageOf(step.Code))
		rep.body = append(b, '}')
	}
	return rep
}

// contradiction says successful and gives a failure code.
func contradiction(step *Step, rep reply) reply {
	code := step.Code
	fill(&code, codeProviderFailed)
	b := append(make([]byte, 0, 128), `{"responseCode":`...)
	b = appendText(b, code)
	b = append(b, `,"responseMessage":`...)
	b = appendText(b, messageOf(code))
	b = append(b, `,"successful":true}`...)
	fill(&rep.status, http.StatusOK)
	rep.body = b
	return rep
}
