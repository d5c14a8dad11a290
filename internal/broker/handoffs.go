package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/due"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// Handoffs reads and ends an account's hand-offs without a consumer. It implements
// due.Stream. What decides is read from the stream's leader. The hand-offs that are to
// be worked on are read with direct gets where the stream allows them, which cost the
// servers and the poller a part of that: any copy may answer, and what it has under a
// sequence is what the leader has or had. That it has none is no answer: then the
// leader is asked.
type Handoffs struct {
	trail           *Trail
	wire            publisher.Wire
	account         string
	stream, subject string
	direct          atomic.Bool // the stream allowed direct gets when it was last looked at
}

// NewHandoffs makes the Handoffs of an account. Many may share a wire.
func NewHandoffs(js jetstream.JetStream, wire publisher.Wire, subjects publisher.Subjects, account string) *Handoffs {
	return &Handoffs{
		trail: NewTrail(js, subjects), wire: wire, account: account,
		stream: subjects.PendingStream(), subject: subjects.AllPending(account),
	}
}

// State implements due.Stream.
func (h *Handoffs) State(ctx context.Context) (due.State, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	s, err := h.trail.js.Stream(ctx, h.stream)
	if err != nil {
		return due.State{}, fmt.Errorf("broker: stream %s: %w", h.stream, err)
	}
	info := s.CachedInfo()
	h.direct.Store(info.Config.AllowDirect)
	return due.State{Made: info.Created, Last: info.State.LastSeq}, nil
}

// getMessage begins the subject on which a stream's leader is asked for a message.
const getMessage = "$JS.API.STREAM.MSG.GET."

// question is one for a message by its sequence, or for the next of a subject.
type question struct {
	Sequence uint64 `json:"seq"`
	Next     string `json:"next_by_subj,omitempty"`
}

// Scan implements due.Stream.
func (h *Handoffs) Scan(ctx context.Context, from uint64, width int) ([]due.Found, error) {
	questions := make([]question, width)
	for i := range questions {
		questions[i] = question{max(1, from) + uint64(i), h.subject}
	}
	deliveries, err := h.askAll(ctx, getMessage+h.stream, leaders, questions)
	if err != nil {
		return nil, err
	}
	var found []due.Found
	last := uint64(0)
	for _, d := range deliveries {
		if d == nil {
			// What a later question found may have come after this one was answered, and
			// something else before it.
			break
		}
		if d.Sequence <= last {
			continue // many of the answers may be the same
		}
		last = d.Sequence
		found = append(found, due.Found{Sequence: d.Sequence, Submitted: submitted(d)})
	}
	return found, nil
}

// submitted is when the purchase of a hand-off was submitted; for one that cannot be
// read, when it was stored.
func submitted(d *worker.Delivery) time.Time {
	var handoff struct {
		SubmittedAt time.Time `json:"submittedAt"`
	}
	if json.Unmarshal(d.Body, &handoff) != nil || handoff.SubmittedAt.IsZero() {
		return d.Time
	}
	return handoff.SubmittedAt
}

// Read implements due.Stream.
func (h *Handoffs) Read(ctx context.Context, sequences []uint64) ([]*worker.Delivery, error) {
	if !h.direct.Load() {
		return h.readLeaders(ctx, sequences)
	}
	all, err := h.read(ctx, "$JS.API.DIRECT.GET."+h.stream, directs, sequences)
	if err != nil {
		return nil, err
	}
	var missing []uint64
	for i, d := range all {
		if d == nil {
			missing = append(missing, sequences[i])
		}
	}
	rest, err := h.readLeaders(ctx, missing)
	if err != nil {
		return nil, err
	}
	for i, d := range all {
		if d == nil {
			all[i], rest = rest[0], rest[1:]
		}
	}
	return all, nil
}

func (h *Handoffs) readLeaders(ctx context.Context, sequences []uint64) ([]*worker.Delivery, error) {
	return h.read(ctx, getMessage+h.stream, leaders, sequences)
}

func (h *Handoffs) read(ctx context.Context, subject string, read reading, sequences []uint64) ([]*worker.Delivery, error) {
	questions := make([]question, len(sequences))
	for i, sequence := range sequences {
		questions[i] = question{Sequence: sequence}
	}
	deliveries, err := h.askAll(ctx, subject, read, questions)
	if err != nil {
		return nil, err
	}
	for i, d := range deliveries {
		// A stream that lost its end gives sequences a second time.
		if d != nil && (d.Sequence != sequences[i] || h.trail.subjects.AccountOf(d.Subject) != h.account) {
			deliveries[i] = nil
		}
	}
	return deliveries, nil
}

// reading reads the answer to a question: nil where there is no such message.
type reading func(stream string, reply *nats.Msg) (*worker.Delivery, error)

// leaders reads an answer of the stream's leader.
func leaders(stream string, reply *nats.Msg) (*worker.Delivery, error) {
	var answer storedMessage
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("broker: read %s: %w", stream, err)
	}
	return answer.delivery(stream)
}

// directs reads an answer to a direct get, which is the message with some headers
// behind its own.
func directs(stream string, reply *nats.Msg) (*worker.Delivery, error) {
	last := func(name string) string {
		values := reply.Header.Values(name)
		if len(values) == 0 {
			return ""
		}
		return values[len(values)-1]
	}
	switch status := last("Status"); {
	case status == "404":
		return nil, nil
	case status != "":
		return nil, fmt.Errorf("broker: read %s: the server answered with status %s", stream, status)
	}
	sequence, err := strconv.ParseUint(last(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("broker: read %s: the server answered without a sequence: %w", stream, err)
	}
	stored, err := time.Parse(time.RFC3339Nano, last(jetstream.TimeStampHeaer))
	if err != nil {
		return nil, fmt.Errorf("broker: read %s: the server answered without a time: %w", stream, err)
	}
	return &worker.Delivery{
		Subject: last(jetstream.SubjectHeader), Header: reply.Header, Body: reply.Data,
		Sequence: sequence, Time: stored, Count: 1,
	}, nil
}

func (h *Handoffs) askAll(ctx context.Context, subject string, read reading, questions []question) ([]*worker.Delivery, error) {
	asks := make([]publisher.Ask, len(questions))
	for i, q := range questions {
		body, err := json.Marshal(q)
		if err != nil {
			return nil, err
		}
		asks[i] = publisher.Ask{Subject: subject, Body: body}
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	replies, err := h.wire.RequestAll(ctx, asks)
	if err != nil {
		return nil, fmt.Errorf("broker: read %s: %w", h.stream, err)
	}
	all := make([]*worker.Delivery, len(replies))
	for i, reply := range replies {
		if all[i], err = read(h.stream, reply); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Delete implements due.Stream. The server deletes by the sequence alone, which a
// stream that was made anew, or has lost its end, gives to another message: so it is
// looked at first. A purge by the subject would not need that, but goes through all
// that the account's consumer has delivered.
func (h *Handoffs) Delete(ctx context.Context, subject string, sequence uint64) (bool, error) {
	there, err := h.readLeaders(ctx, []uint64{sequence})
	if err != nil {
		return false, err
	}
	if there[0] == nil || there[0].Subject != subject {
		return false, nil
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	err = h.trail.ask(ctx, "STREAM.MSG.DELETE."+h.stream, map[string]any{"seq": sequence, "no_erase": true}, &answer)
	if err == nil && answer.Error != nil {
		err = answer.Error
	}
	if err != nil {
		return false, fmt.Errorf("broker: delete from %s: %w", h.stream, err)
	}
	return true, nil
}
