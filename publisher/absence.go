package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Most purchases are new, and the streams hold nothing of them. For many at once
// three requests show it, instead of two for each:
//
//   - the leader of the hand-offs lists those of the account;
//   - then the leader of the results says how far its stream goes;
//   - then a direct get asks for all results at once. Any copy of the stream may
//     answer it, so the answer has to show that its stream is the one meant and goes
//     as far as the leader's did: a result that is not in it was not stored then.
//
// What is there is read from the leader as ever, and so is all where one of these
// could not be shown.

const (
	// fewestShown is how many purchases are worth three requests.
	fewestShown = 8
	// openForRead is how many open hand-offs a list may hold in place of each read
	// that it saves: as many cost the server about as much.
	openForRead = 20
	// showTimeout bounds each of the three.
	showTimeout = time.Second
	// showAgain is how long after a failure nothing more is tried.
	showAgain = 10 * time.Second

	infoSubject   = "$JS.API.STREAM.INFO."
	directSubject = "$JS.API.DIRECT.GET."
)

// shown is what a Store remembers from one look to the next.
type shown struct {
	open    atomic.Int64           // hand-offs on the stream when last counted, plus one; 0: not known
	counted atomic.Int64           // when, in Unix nanoseconds
	failed  atomic.Int64           // when the results could last not be shown
	witness atomic.Pointer[string] // subject of a result that is stored
}

// saw remembers the subject of a stored result: an answer that has its message says
// by that whose it is, also where there is none of the others.
func (s *shown) saw(subject string) { s.witness.Store(&subject) }

// streamInfo is what the server's API tells of a stream; the parts that are used.
type streamInfo struct {
	Error  *jetstream.APIError `json:"error"`
	Total  int                 `json:"total"` // subjects that match the filter, on all pages
	Config struct {
		Replicas    int  `json:"num_replicas"`
		AllowDirect bool `json:"allow_direct"`
	} `json:"config"`
	State struct {
		LastSequence uint64            `json:"last_seq"`
		Count        int64             `json:"num_subjects"`
		Subjects     map[string]uint64 `json:"subjects"`
	} `json:"state"`
	Cluster *struct {
		RaftGroup   string            `json:"raft_group"`
		LeaderSince *time.Time        `json:"leader_since"`
		Replicas    []json.RawMessage `json:"replicas"`
		Desired     json.RawMessage   `json:"desired"`
	} `json:"cluster"`
}

// led reports whether it is a leader that answered: by its own account, which is what
// a read of a message rests on, too. For a moment without a leader any copy answers
// (jsStreamInfoRequest in nats-server 2.15); it has led since no time. Where there is
// one copy, nobody is elected.
func (i *streamInfo) led() bool {
	c := i.Cluster
	switch {
	case c == nil:
		return i.Config.Replicas <= 1
	case c.LeaderSince != nil:
		return true
	default:
		return c.RaftGroup == "" && len(c.Replicas) == 0 && len(c.Desired) == 0 && i.Config.Replicas <= 1
	}
}

var errNotLed = errors.New("publisher: the answer is not shown to be the leader's")

// info asks the leader of a stream, and for the subjects that match the filter, if any.
func (s *Store) info(ctx context.Context, stream, filter string) (*streamInfo, error) {
	body, err := json.Marshal(struct {
		Filter string `json:"subjects_filter,omitempty"`
	}{filter})
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	reply, err := s.Wire.Request(call, infoSubject+stream, body)
	if err != nil {
		return nil, err
	}
	info := new(streamInfo)
	if err := json.Unmarshal(reply.Data, info); err != nil {
		return nil, err
	}
	if info.Error != nil {
		return nil, info.Error
	}
	if !info.led() {
		return nil, errNotLed
	}
	return info, nil
}

// handoffsOf reads the last hand-off of each subject, all of one account.
func (s *Store) handoffsOf(ctx context.Context, account string, subjects []string) ([]*stored, error) {
	var there map[string]uint64
	n := int64(len(subjects))
	switch open := s.shown.open.Load() - 1; {
	case n < fewestShown:
	case open >= 0 && fewestShown/2+open/openForRead < n:
		there = s.openOf(ctx, account)
	case time.Since(time.Unix(0, s.shown.counted.Load())) > showAgain:
		s.count(s.info(ctx, s.pending, "")) // for those that come after these
	}
	return s.lastOfThese(ctx, s.pending, subjects, there)
}

// count remembers how many hand-offs there are.
func (s *Store) count(info *streamInfo, err error) {
	s.shown.counted.Store(time.Now().UnixNano())
	if err != nil {
		s.shown.open.Store(0)
		return
	}
	s.shown.open.Store(info.State.Count + 1)
}

// openOf lists the subjects of an account's hand-offs; nil: not shown.
func (s *Store) openOf(ctx context.Context, account string) map[string]uint64 {
	info, err := s.info(ctx, s.pending, s.subjects.AllPending(account))
	s.count(info, err)
	if err != nil || info.Total != len(info.State.Subjects) {
		return nil
	}
	if info.State.Subjects == nil {
		return map[string]uint64{}
	}
	return info.State.Subjects
}

// resultsOf reads the result of each subject.
func (s *Store) resultsOf(ctx context.Context, subjects []string) ([]*stored, error) {
	var there map[string]uint64
	if witness := s.shown.witness.Load(); witness != nil && len(subjects) >= fewestShown &&
		time.Since(time.Unix(0, s.shown.failed.Load())) > showAgain {
		var err error
		if there, err = s.storedOf(ctx, s.results, subjects, *witness); err != nil {
			there = nil
			s.shown.failed.Store(time.Now().UnixNano())
		}
	}
	return s.lastOfThese(ctx, s.results, subjects, there)
}

// storedOf finds out which of the subjects have a message on the stream, with the
// sequences of these. The witness is another, which has one.
func (s *Store) storedOf(ctx context.Context, stream string, subjects []string, witness string) (map[string]uint64, error) {
	info, err := s.info(ctx, stream, "")
	if err != nil {
		return nil, err
	}
	if !info.Config.AllowDirect {
		return nil, errors.New("publisher: the stream allows no direct gets")
	}
	body, err := json.Marshal(struct {
		Subjects []string `json:"multi_last"`
	}{append(subjects[:len(subjects):len(subjects)], witness)})
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	replies, err := s.Wire.Collect(call, Ask{directSubject + stream, body})
	if err != nil {
		return nil, err
	}
	return present(replies, stream, witness, info.State.LastSequence)
}

// present reads the answer to a direct get of many subjects: which have a message. An
// error says that it does not show that the others had none at the sequence: it has to
// be whole, of that stream, which a mirror is not, and to go as far as that.
func present(replies []*nats.Msg, stream, witness string, sequence uint64) (map[string]uint64, error) {
	messages, end := replies[:len(replies)-1], replies[len(replies)-1]
	if status := end.Header.Get("Status"); status != "204" {
		return nil, fmt.Errorf("publisher: a direct get ended with status %q", status)
	}
	if upTo, _ := strconv.ParseUint(end.Header.Get("Nats-UpTo-Sequence"), 10, 64); upTo < sequence {
		return nil, fmt.Errorf("publisher: a direct get went to %d, and the leader is at %d", upTo, sequence)
	}
	there := make(map[string]uint64, len(messages))
	for i, m := range messages {
		if of := m.Header.Get(jetstream.StreamHeader); of != stream {
			return nil, fmt.Errorf("publisher: a direct get was answered for the stream %q", of)
		}
		// Each says how many come after it.
		if after := m.Header.Get("Nats-Num-Pending"); after != strconv.Itoa(len(messages)-1-i) {
			return nil, fmt.Errorf("publisher: a direct get is not whole: %q after message %d of %d", after, i+1, len(messages))
		}
		sequence, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("publisher: a direct get: %w", err)
		}
		there[m.Header.Get(jetstream.SubjectHeader)] = sequence
	}
	if _, ok := there[witness]; !ok {
		return nil, errors.New("publisher: a direct get does not show whose answer it is")
	}
	return there, nil
}

// lastOfThese is lastOfAll where it is known which subjects have a message; nil: it is not.
func (s *Store) lastOfThese(ctx context.Context, stream string, subjects []string, there map[string]uint64) ([]*stored, error) {
	if there == nil {
		return s.lastOfAll(ctx, stream, subjects)
	}
	var with []string
	for _, subject := range subjects {
		if _, ok := there[subject]; ok {
			with = append(with, subject)
		}
	}
	found, err := s.lastOfAll(ctx, stream, with)
	if err != nil {
		return nil, err
	}
	all := make([]*stored, len(subjects))
	next := 0
	for i, subject := range subjects {
		if _, ok := there[subject]; ok {
			all[i] = found[next]
			next++
		}
	}
	return all, nil
}
