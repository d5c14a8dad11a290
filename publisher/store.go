package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Result is the terminal result of a purchase.
type Result = purchase.Result

// Store writes and reads the streams that the pipeline owns: results,
// hand-offs and dead letters. It is safe for concurrent use. Its writes wait for
// a stream that is away or full as long as their context allows, and never
// replace what is there.
type Store struct {
	// Failed, where set, is told the stream of every publish that was refused
	// or not answered. Set it before the first use.
	Failed func(stream string)
	// Wire carries what is published and read, except DeadSequences. NewStore sets
	// it; tests put something before it, before the first use.
	Wire Wire

	nc       *nats.Conn
	js       jetstream.JetStream
	subjects Subjects
	// Names of the streams, which every write and read needs.
	results, pending, dead string
	shown                  shown
}

// NewStore makes a Store on a connection.
func NewStore(nc *nats.Conn, subjects Subjects) (*Store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	return &Store{
		Wire: newWire(nc, js), nc: nc, js: js, subjects: subjects,
		results: subjects.ResultsStream(), pending: subjects.PendingStream(), dead: subjects.DeadStream(),
	}, nil
}

// PublishResult stores the one result of a purchase. It returns nil when r was
// stored, and the result that is there when one was: compare the two.
func (s *Store) PublishResult(ctx context.Context, r *purchase.Result, traceParent string) (*purchase.Result, error) {
	body, err := r.Encode()
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{
		Subject: s.subjects.Result(r.Account, r.MerchantReference),
		Header:  resultHeader(r, traceParent),
		Data:    body,
	}
	there, err := s.storeOnce(ctx, s.results, m)
	if err != nil {
		return nil, err
	}
	s.shown.saw(m.Subject)
	if there == nil {
		return nil, nil
	}
	return decode[purchase.Result](there)
}

// Result reads a purchase's result from the ledger, and nil where it has none.
func (s *Store) Result(ctx context.Context, account, reference string) (*purchase.Result, error) {
	m, err := s.last(ctx, s.results, s.subjects.Result(account, reference))
	if err != nil {
		return nil, fmt.Errorf("publisher: read a result: %w", err)
	}
	if m == nil {
		return nil, nil
	}
	return decode[purchase.Result](m)
}

// PublishHandoff stores the hand-off of a purchase that has none. It returns nil
// when h was stored, and the hand-off that is there when one was.
func (s *Store) PublishHandoff(ctx context.Context, h *purchase.Handoff, traceParent string) (*purchase.Handoff, error) {
	return s.handoff(ctx, h, traceParent, 0)
}

// ReplaceHandoff stores what has become of a hand-off, after the one with that
// sequence. It returns nil when h was stored, and the newer hand-off that is
// there when somebody else was first. The caller then acknowledges the old one.
func (s *Store) ReplaceHandoff(ctx context.Context, h *purchase.Handoff, traceParent string, sequence uint64) (*purchase.Handoff, error) {
	return s.handoff(ctx, h, traceParent, sequence)
}

func (s *Store) handoff(ctx context.Context, h *purchase.Handoff, traceParent string, after uint64) (*purchase.Handoff, error) {
	body, err := h.Encode()
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{
		Subject: s.subjects.Pending(h.Account, h.MerchantReference),
		Header:  nats.Header{HeaderContentType: {contentTypeJSON}, HeaderTraceParent: {ChildTrace(traceParent)}},
		Data:    body,
	}
	there, err := s.storeAfter(ctx, s.pending, m, after)
	if err != nil || there == nil {
		return nil, err
	}
	return decode[purchase.Handoff](there)
}

// Handoff reads a purchase's newest hand-off and its sequence, and nil where it
// has none.
func (s *Store) Handoff(ctx context.Context, account, reference string) (*purchase.Handoff, uint64, error) {
	m, err := s.last(ctx, s.pending, s.subjects.Pending(account, reference))
	if err != nil {
		return nil, 0, fmt.Errorf("publisher: read a hand-off: %w", err)
	}
	if m == nil {
		return nil, 0, nil
	}
	h, err := decode[purchase.Handoff](m)
	return h, m.Sequence, err
}

// Known is what the streams hold of a purchase; nil: nothing.
type Known struct {
	Handoff *purchase.Handoff // the newest
	Result  *purchase.Result
}

// Look reads what the streams hold of many purchases of an account, in the order
// of the references: all hand-offs first, and then all results. A result is stored
// before its hand-off is removed, so that of a purchase that was handed over one of
// them is always seen. An error is one for all.
func (s *Store) Look(ctx context.Context, account string, references []string) ([]Known, error) {
	of := make([]string, len(references))
	for i, reference := range references {
		of[i] = s.subjects.Pending(account, reference)
	}
	handoffs, err := s.handoffsOf(ctx, account, of)
	if err != nil {
		return nil, fmt.Errorf("publisher: read hand-offs: %w", err)
	}
	for i, reference := range references {
		of[i] = s.subjects.Result(account, reference)
	}
	results, err := s.resultsOf(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("publisher: read results: %w", err)
	}
	all := make([]Known, len(references))
	for i := range all {
		if handoffs[i] != nil {
			if all[i].Handoff, err = decode[purchase.Handoff](handoffs[i]); err != nil {
				return nil, err
			}
		}
		if results[i] != nil {
			if all[i].Result, err = decode[purchase.Result](results[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// ErrUnreadable is wrapped where what is stored is not what belongs there.
var ErrUnreadable = errors.New("publisher: unreadable")

func decode[T any](m *stored) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(m.Data, v); err != nil {
		return nil, fmt.Errorf("%w: message %d does not hold a %T: %w", ErrUnreadable, m.Sequence, *v, err)
	}
	return v, nil
}

// DeadLetter is a message that can have no result.
type DeadLetter struct {
	Account  string // as it stands in the subject
	Sequence uint64 // in the requests stream
	Reason   purchase.Reason
	Detail   string
	Header   map[string][]string // the original's
	Body     []byte              // the original's
}

// PublishDead stores a dead letter; one that is there already is left as it is.
// A body that no longer fits into a message with the added headers is cut, and
// the header Vendstream-Truncated says so; where the headers alone are too large
// the original's are left out, and Vendstream-Headers-Left-Out says how many. The
// original stays in the requests stream.
func (s *Store) PublishDead(ctx context.Context, d DeadLetter) error {
	m := &nats.Msg{Subject: s.subjects.Dead(d.Account, d.Sequence), Header: deadHeader(d), Data: d.Body}
	s.fit(m)
	_, err := s.storeOnce(ctx, s.dead, m)
	return err
}

// IsDead reports whether the message with that sequence is a dead letter.
func (s *Store) IsDead(ctx context.Context, account string, sequence uint64) (bool, error) {
	m, err := s.last(ctx, s.dead, s.subjects.Dead(account, sequence))
	if err != nil {
		return false, fmt.Errorf("publisher: read a dead letter: %w", err)
	}
	return m != nil, nil
}

// DeadSequences reads which messages of an account are dead letters.
func (s *Store) DeadSequences(ctx context.Context, account string) (map[uint64]bool, error) {
	stream, err := s.js.Stream(ctx, s.dead)
	if err != nil {
		return nil, fmt.Errorf("publisher: read the dead letters: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(s.subjects.AllDead(account)))
	if err != nil {
		return nil, fmt.Errorf("publisher: read the dead letters: %w", err)
	}
	sequences := make(map[uint64]bool, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		sequence, err := strconv.ParseUint(subject[strings.LastIndexByte(subject, '.')+1:], 10, 64)
		if err == nil {
			sequences[sequence] = true
		}
	}
	return sequences, nil
}

// Original reads a request's message again, with its headers, and returns its
// dead letter to be. The body is nil where the request is no longer there.
func (s *Store) Original(ctx context.Context, account string, sequence uint64) (DeadLetter, error) {
	d := DeadLetter{Account: account, Sequence: sequence}
	m, err := get(ctx, s.Wire, s.subjects.RequestsStream(), query{Sequence: sequence})
	if err != nil {
		return d, fmt.Errorf("publisher: read a request: %w", err)
	}
	if m != nil {
		d.Header, d.Body = m.Header, m.Data
		if d.Body == nil {
			d.Body = []byte{} // there, and empty
		}
	}
	return d, nil
}

func deadHeader(d DeadLetter) nats.Header {
	h := nats.Header{}
	for name, values := range d.Header {
		switch {
		case strings.ContainsAny(name, "\r\n:"):
			// Cannot be a name: written out, it would begin another header.
		case obeyed(name):
			h[HeaderOriginalPrefix+name] = values
		case slices.ContainsFunc(deadHeaders, func(ours string) bool { return strings.EqualFold(ours, name) }):
			// Of an earlier burial, or somebody's invention: ours take their place.
		default:
			h[name] = values
		}
	}
	h[HeaderMessageID] = []string{"dead/" + d.Account + "/" + strconv.FormatUint(d.Sequence, 10)}
	h[HeaderReason] = []string{string(d.Reason)}
	h[HeaderDetail] = []string{d.Detail}
	h[HeaderStreamSequence] = []string{strconv.FormatUint(d.Sequence, 10)}
	return h
}

// Incomplete reports whether a dead letter with these headers lacks something of
// the original: a part of its body, or its headers.
func Incomplete(header map[string][]string) bool {
	return Header(header, HeaderTruncated) != "" || Header(header, HeaderHeadersLeftOut) != ""
}

// deadHeaders are what a dead letter says of itself.
var deadHeaders = []string{HeaderReason, HeaderDetail, HeaderStreamSequence, HeaderTruncated, HeaderHeadersLeftOut}

// obeyed reports whether JetStream acts on a header of that name: an expected
// sequence, a roll-up, a time to live or a schedule of the original must not
// bear on its dead letter.
func obeyed(name string) bool {
	return len(name) > 5 && strings.EqualFold(name[:5], "Nats-")
}

// headerRoom is what the client adds to a message's own headers.
const headerRoom = 1 << 10

// headerLimit is what JetStream stores of headers (error 10097), less the room.
// A request may have just fitted under its own, shorter names.
const headerLimit = 1<<16 - 1 - headerRoom

// fit cuts what does not fit into one message: the headers that are not ours,
// where there are too many for any message, then the body.
func (s *Store) fit(m *nats.Msg) {
	limit := int(s.nc.MaxPayload()) - headerRoom
	size := headerSize(m.Header)
	if size > min(headerLimit, limit/2) {
		before := len(m.Header)
		for name := range m.Header {
			if name != HeaderMessageID && !slices.Contains(deadHeaders, name) {
				delete(m.Header, name)
			}
		}
		m.Header[HeaderHeadersLeftOut] = []string{strconv.Itoa(before - len(m.Header))}
		size = headerSize(m.Header)
	}
	if size+len(m.Data) <= limit {
		return
	}
	m.Header[HeaderTruncated] = []string{strconv.Itoa(len(m.Data))}
	m.Data = m.Data[:max(0, limit-size)]
}

func headerSize(h nats.Header) int {
	size := len("NATS/1.0\r\n\r\n")
	for name, values := range h {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	return size
}
