package simulation

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/publisher"
)

const (
	ackWait = 60 * time.Second
	// duplicateWindow is the server's default for how long message ids are remembered.
	duplicateWindow = 2 * time.Minute
)

var subjects publisher.Subjects

func topology(wait time.Duration) broker.Topology {
	return broker.Topology{Subjects: subjects, Replicas: 1, Results: 90 * 24 * time.Hour, AckWait: wait, Accounts: []string{"acme"}}
}

// message is a stored message, and how its stream's consumers stand to it.
type message struct {
	sequence uint64
	subject  string
	header   nats.Header
	body     []byte
	stored   time.Time
	removed  time.Time // zero: it is there

	at [2]place // by consumer
}

// The consumers of a stream. That of low priority is made when it is needed.
const (
	ordinary = 0
	low      = 1
)

// place is how a consumer stands to a message.
type place struct {
	visible   time.Time // when it may be delivered, again
	delivered []time.Time
	acked     time.Time // zero: it was not
}

// ended reports whether something has happened that ends something else.
func ended(at time.Time) bool { return !at.IsZero() }

// stream is a model of a JetStream stream with its durable consumers.
type stream struct {
	config  jetstream.StreamConfig
	ackWait time.Duration

	mu       sync.Mutex
	messages []*message // by sequence, which begins at 1
	full     bool       // takes nothing
	lane     bool       // there is a consumer of low priority
	ids      map[string]*message
	changed  chan struct{} // closed at every change
	former   *former       // nil: there was none
}

// delivery is a message that is delivered, for the how manieth time.
type delivery struct {
	message *message
	count   int
}

// streams is what all processes share.
type streams struct {
	requests, pending, results, dead *stream
	all                              []*stream

	heldBack sync.Map // subjects of publishes that arrived after their sender had given up
}

func newStreams(t broker.Topology) *streams {
	s := &streams{}
	for _, config := range t.Streams() {
		s.all = append(s.all, &stream{
			config: config, ackWait: t.RequestsConsumer("acme").Config.AckWait,
			ids: map[string]*message{}, changed: make(chan struct{}),
		})
	}
	s.requests, s.pending, s.results, s.dead = s.all[0], s.all[1], s.all[2], s.all[3]
	return s
}

// named is the stream of that name, and nil where there is none.
func (s *streams) named(name string) *stream {
	for _, one := range s.all {
		if one.config.Name == name {
			return one
		}
	}
	return nil
}

// of is the stream that stores a subject, and nil where none does.
func (s *streams) of(subject string) *stream {
	for _, one := range s.all {
		if matches(one.config.Subjects[0], subject) {
			return one
		}
	}
	return nil
}

func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	return len(p) == len(s) && !slices.ContainsFunc(p, func(token string) bool {
		i := slices.Index(p, token)
		return token != "*" && token != s[i]
	})
}

// apiError is an error of the server, as it writes it.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

var (
	errNotThere      = &apiError{404, 10037, "no message found"}
	errWrongStream   = &apiError{400, 10060, "expected stream does not match"}
	errWrongSequence = &apiError{400, 10071, "wrong last sequence"}
	errSubjectFull   = &apiError{503, 10077, "maximum messages per subject exceeded"}
	errStreamFull    = &apiError{503, 10077, "maximum bytes exceeded"}
)

// publish stores a message, or says why not. duplicate: the message id was seen.
func (s *stream) publish(subject string, header nats.Header, body []byte) (sequence uint64, duplicate bool, refused *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if want := header.Get("Nats-Expected-Stream"); want != "" && want != s.config.Name {
		return 0, false, errWrongStream
	}
	last := s.last(subject)
	if want := header.Get("Nats-Expected-Last-Subject-Sequence"); want != "" {
		var is uint64
		if last != nil {
			is = last.sequence
		}
		if want != decimal(is) {
			return 0, false, errWrongSequence
		}
	}
	id := header.Get("Nats-Msg-Id")
	if seen := s.ids[id]; id != "" && seen != nil && now.Sub(seen.stored) < duplicateWindow {
		return seen.sequence, true, nil
	}
	if last != nil && s.config.MaxMsgsPerSubject == 1 {
		return 0, false, errSubjectFull
	}
	if s.full {
		return 0, false, errStreamFull
	}
	m := &message{sequence: uint64(len(s.messages) + 1), subject: subject, header: header, body: body, stored: now, at: [2]place{{visible: now}, {visible: now}}}
	s.messages = append(s.messages, m)
	if id != "" {
		s.ids[id] = m
	}
	s.change()
	return m.sequence, false, nil
}

// change wakes whoever waits for a message. It is called with the lock held.
func (s *stream) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// last is the newest message of a subject. It is called with the lock held.
func (s *stream) last(subject string) *message {
	for _, m := range slices.Backward(s.messages) {
		if m.subject == subject && !ended(m.removed) {
			return m
		}
	}
	return nil
}

// newest is the newest message of a subject.
func (s *stream) newest(subject string) *message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last(subject)
}

func (s *stream) at(sequence uint64) *message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence < 1 || sequence > uint64(len(s.messages)) || ended(s.messages[sequence-1].removed) {
		return nil
	}
	return s.messages[sequence-1]
}

func (s *stream) remove(sequence uint64) {
	if m := s.at(sequence); m != nil {
		s.mu.Lock()
		m.removed = time.Now()
		s.mu.Unlock()
	}
}

// there are the messages that are still there, in order.
func (s *stream) there() []*message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.messages), func(m *message) bool { return ended(m.removed) })
}

// setFull makes the stream take nothing, or again.
func (s *stream) setFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

// take delivers up to n messages of a consumer that are due, and says when the next
// will be.
func (s *stream) take(who, n int) (due []delivery, next time.Time, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, m := range s.messages {
		at := &m.at[who]
		switch {
		case ended(at.acked) || ended(m.removed):
		case at.visible.After(now):
			if next.IsZero() || at.visible.Before(next) {
				next = at.visible
			}
		case len(due) < n:
			at.delivered = append(at.delivered, now)
			at.visible = now.Add(s.ackWait)
			due = append(due, delivery{m, len(at.delivered)})
		}
	}
	return due, next, s.changed
}

// settle changes how a consumer stands to a message. The message is not fenced
// by who was given it last: a late ack settles another's delivery.
func (s *stream) settle(who int, m *message, change func(*place)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&m.at[who])
	if ended(m.at[who].acked) && s.config.Retention == jetstream.WorkQueuePolicy && !ended(m.removed) {
		m.removed = time.Now()
	}
	s.change()
}

// open is how many messages some consumer has not acknowledged.
func (s *stream) open() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if !ended(m.removed) && (!ended(m.at[ordinary].acked) || s.lane && !ended(m.at[low].acked)) {
			n++
		}
	}
	return n
}

// reset forgets what the consumer has acknowledged, as one that is made again does.
func (s *stream) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		m.at[ordinary] = place{visible: time.Now()}
	}
	s.change()
}

// hasLane reports whether there is a consumer of low priority.
func (s *stream) hasLane() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lane
}

// makeLane makes the consumer of low priority, which begins with the first message.
func (s *stream) makeLane() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lane {
		return
	}
	s.lane = true
	for _, m := range s.messages {
		m.at[low] = place{visible: time.Now()}
	}
	s.change()
}
