package publisher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Reads are the leader's. Direct gets cost the server less, but any replica may
// answer them, and mirrors that were told to: by itself a miss there proves nothing.

const readTimeout = 5 * time.Second

// stored is a message as the stream's leader holds it.
type stored struct {
	Subject  string
	Sequence uint64
	Header   nats.Header
	Data     []byte
	Time     time.Time
}

// query is what the server's API for single messages is asked.
type query struct {
	LastBySubject string `json:"last_by_subj,omitempty"`
	NextBySubject string `json:"next_by_subj,omitempty"` // from the sequence on; wildcards may stand in it
	Sequence      uint64 `json:"seq,omitempty"`
}

// getSubject begins the subject on which a stream is asked for a message.
const getSubject = "$JS.API.STREAM.MSG.GET."

// last reads the last message of a subject, and nil where there is none.
func (s *Store) last(ctx context.Context, stream, subject string) (*stored, error) {
	return get(ctx, s.Wire, stream, query{LastBySubject: subject})
}

// lastOfAll is last for many subjects. All of it has the time of one read: where the
// server is so far away that this is not enough, each has to be read by itself.
func (s *Store) lastOfAll(ctx context.Context, stream string, subjects []string) ([]*stored, error) {
	asks := make([]Ask, len(subjects))
	of := getSubject + stream
	for i, subject := range subjects {
		body, err := json.Marshal(query{LastBySubject: subject})
		if err != nil {
			return nil, err
		}
		asks[i] = Ask{of, body}
	}
	call, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	replies, err := s.Wire.RequestAll(call, asks)
	if err != nil {
		return nil, err
	}
	all := make([]*stored, len(replies))
	for i, reply := range replies {
		if all[i], err = read(reply.Data); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func get(ctx context.Context, w Wire, stream string, query query) (*stored, error) {
	body, err := json.Marshal(query)
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	reply, err := w.Request(call, getSubject+stream, body)
	if err != nil {
		return nil, err
	}
	return read(reply.Data)
}

// notThere is what the server answers for a subject without a message, as it
// writes it today. It saves the reading of the most frequent answer; one that is
// written in another way is read as any other.
var notThere = []byte(`{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","error":{"code":404,"err_code":10037,"description":"no message found"}}`)

// read reads the answer for a single message: nil where there is none.
func read(reply []byte) (*stored, error) {
	if bytes.Equal(reply, notThere) {
		return nil, nil
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply, &answer); err != nil {
		return nil, err
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil, nil
		}
		return nil, answer.Error
	}
	if answer.Message == nil {
		return nil, errors.New("the server answered without a message")
	}
	m := &stored{Subject: answer.Message.Subject, Sequence: answer.Message.Sequence, Data: answer.Message.Data, Time: answer.Message.Time}
	if len(answer.Message.Header) > 0 {
		// Headers that cannot be read are left out, as the client does with a
		// delivery: they must not keep the message from being read.
		m.Header, _ = nats.DecodeHeadersMsg(answer.Message.Header)
	}
	return m, nil
}
