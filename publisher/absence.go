package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Most purchases are new, and the streams hold nothing of them. For many at once
// a few requests show it, instead of two for each:
//
//   - the leader of the hand-offs lists those of the account, and after that is asked
//     for a newer one as a message is read;
//   - then the server of the results says how far its stream goes, where it has the
//     only copy;
//   - then a direct get asks for all results at once. A mirror may answer it, so the
//     answer has to show that its stream is the one meant, that nothing of it is
//     lost, and that it goes as far: a result that is not in it was not stored then.
//
// That something is read as ever beside the lists is since a server that has lost the
// others of its cluster refuses such a read before it notices that it leads a stream
// no longer, and lists and gets go on until then.
//
// What is there is read from the leader one by one, and so is all where one of these
// could not be shown.

const (
	// fewestShown is how many purchases are worth it.
	fewestShown = 8
	// openForRead is how many open hand-offs a list may hold in place of each read
	// that it saves: as many cost the server about as much.
	openForRead = 20
	// showTimeout bounds each of them: a look that takes long is too old for a call.
	showTimeout = 200 * time.Millisecond
	// showAgain is how long after a failure nothing more is tried.
	showAgain = 10 * time.Second
	// mostNewer is how many newer hand-offs are added to a list.
	mostNewer = 4
	// Servers before that version look for many subjects in another way: it is slow
	// where one of them is old, and was not looked into.
	directMajor, directMinor = 2, 15

	infoSubject   = "$JS.API.STREAM.INFO."
	directSubject = "$JS.API.DIRECT.GET."
)

// shown is what a Store remembers from one look to the next.
type shown struct {
	open    atomic.Int64           // hand-offs on the stream when last counted, plus one; 0: not known
	counted atomic.Int64           // when that was tried, in Unix nanoseconds
	failed  atomic.Int64           // when the results could last not be shown; 0: they were
	witness atomic.Pointer[string] // subject of a result that is stored
}

// saw remembers the subject of a stored result: an answer that has its message says
// by that whose it is, also where there is none of the others.
func (s *shown) saw(subject string) { s.witness.Store(&subject) }

// again reports whether it is time to try once more what failed then, and lets one
// caller try.
func again(then *atomic.Int64) bool {
	before := then.Load()
	now := time.Now()
	return now.Sub(time.Unix(0, before)) > showAgain && then.CompareAndSwap(before, now.UnixNano())
}

// streamInfo is what the server's API tells of a stream; the parts that are used.
type streamInfo struct {
	Error  *jetstream.APIError `json:"error"`
	Total  int                 `json:"total"` // subjects that match the filter, on all pages
	Config struct {
		Name        string `json:"name"`
		Replicas    int    `json:"num_replicas"`
		AllowDirect bool   `json:"allow_direct"`
		Metadata    struct {
			Server string `json:"_nats.ver"` // version of the server that answers
		} `json:"metadata"`
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

// led reports whether it is a leader that answered, by its own account. For a moment
// without a leader any copy answers (jsStreamInfoRequest in nats-server 2.15); it has
// led since no time.
func (i *streamInfo) led() bool {
	return i.single() || i.Cluster != nil && i.Cluster.LeaderSince != nil
}

// single reports whether there is no other copy of the stream, nor will be soon.
func (i *streamInfo) single() bool {
	c := i.Cluster
	return i.Config.Replicas <= 1 && (c == nil || c.RaftGroup == "" && len(c.Replicas) == 0 && len(c.Desired) == 0)
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
	if info.Config.Name != stream {
		return nil, fmt.Errorf("publisher: the answer is of the stream %q", info.Config.Name)
	}
	if !info.led() {
		return nil, errNotLed
	}
	return info, nil
}

// newer reads the first message from the sequence on whose subject matches, and nil
// where there is none.
func (s *Store) newer(ctx context.Context, stream, subjects string, sequence uint64) (*stored, error) {
	call, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	return get(call, s.Wire, stream, query{NextBySubject: subjects, Sequence: sequence})
}

// handoffsOf reads the last hand-off of each subject, all of one account.
func (s *Store) handoffsOf(ctx context.Context, account string, subjects []string) ([]*stored, error) {
	var there map[string]uint64
	n := int64(len(subjects))
	switch open := s.shown.open.Load() - 1; {
	case n < fewestShown:
	case open >= 0 && fewestShown/2+open/openForRead < n:
		there = s.openOf(ctx, account)
	case again(&s.shown.counted):
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
	all := s.subjects.AllPending(account)
	info, err := s.info(ctx, s.pending, all)
	s.count(info, err)
	if err != nil || info.Total != len(info.State.Subjects) {
		return nil
	}
	there := info.State.Subjects
	if there == nil {
		there = map[string]uint64{}
	}
	// Whoever leads now, and reads: what it has beyond the list is all that is missing.
	from := info.State.LastSequence + 1
	for range mostNewer {
		m, err := s.newer(ctx, s.pending, all, from)
		if err != nil {
			return nil
		}
		if m == nil {
			return there
		}
		there[m.Subject], from = m.Sequence, m.Sequence+1
	}
	return nil
}

// resultsOf reads the result of each subject.
func (s *Store) resultsOf(ctx context.Context, subjects []string) ([]*stored, error) {
	var there map[string]uint64
	if witness := s.shown.witness.Load(); witness != nil && len(subjects) >= fewestShown &&
		(s.shown.failed.Load() == 0 || again(&s.shown.failed)) {
		var err error
		if there, err = s.storedOf(ctx, s.results, subjects, *witness); err != nil {
			there = nil
			s.shown.failed.Store(time.Now().UnixNano())
		} else {
			s.shown.failed.Store(0)
		}
	}
	return s.lastOfThese(ctx, s.results, subjects, there)
}

// answersMany reports whether the server is one that is asked for many results at once.
func (i *streamInfo) answersMany() bool {
	var major, minor int
	_, err := fmt.Sscanf(i.Config.Metadata.Server, "%d.%d", &major, &minor)
	return err == nil && (major > directMajor || major == directMajor && minor >= directMinor) && i.Config.AllowDirect && i.single()
}

// storedOf finds out which of the subjects have a message on the stream: the keys of
// what it returns. The witness is another, or one of them, which has one.
func (s *Store) storedOf(ctx context.Context, stream string, subjects []string, witness string) (map[string]uint64, error) {
	info, err := s.info(ctx, stream, "")
	if err != nil {
		return nil, err
	}
	if !info.answersMany() {
		return nil, errors.New("publisher: the stream has several copies, allows no direct gets, or is an older server's")
	}
	if _, err := s.newer(ctx, stream, subjects[0], info.State.LastSequence+1); err != nil {
		return nil, err
	}
	of := slices.Clone(subjects)
	slices.Sort(of)
	if of = slices.Compact(of); !slices.Contains(of, witness) {
		of = append(of, witness)
	}
	body, err := json.Marshal(struct {
		Subjects []string `json:"multi_last"`
	}{of})
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
	if left := headerOf(end, headerPending); left != "0" {
		return nil, fmt.Errorf("publisher: a direct get left out %q messages", left)
	}
	if of := headerOf(end, jetstream.StreamHeader); of != "" {
		return nil, fmt.Errorf("publisher: a message of %q was taken for the end of a direct get", of)
	}
	if upTo, err := strconv.ParseUint(headerOf(end, headerUpTo), 10, 64); err != nil || upTo < sequence {
		return nil, fmt.Errorf("publisher: a direct get went to %d, and the stream to %d", upTo, sequence)
	}
	there := make(map[string]uint64, len(messages))
	last := "0"
	for _, m := range replies {
		// Each names the one before it, and the end does.
		if before := headerOf(m, jetstream.LastSequenceHeader); before != last {
			return nil, fmt.Errorf("publisher: a direct get has lost what came before: %q after %q", before, last)
		}
		if m == end {
			break
		}
		if of := headerOf(m, jetstream.StreamHeader); of != stream {
			return nil, fmt.Errorf("publisher: a direct get was answered for the stream %q", of)
		}
		last = headerOf(m, jetstream.SequenceHeader)
		sequence, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("publisher: a direct get: %w", err)
		}
		there[headerOf(m, jetstream.SubjectHeader)] = sequence
	}
	if _, ok := there[witness]; !ok {
		return nil, errors.New("publisher: a direct get does not show whose answer it is")
	}
	return there, nil
}

const (
	headerPending = "Nats-Num-Pending"
	headerUpTo    = "Nats-UpTo-Sequence"
)

// headerOf is a header as the server set it, which adds its own behind those that
// the message was stored with.
func headerOf(m *nats.Msg, name string) string {
	values := m.Header.Values(name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// lastOfThese is lastOfAll where it is known which subjects have a message, by the
// keys of there; nil: it is not known.
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
