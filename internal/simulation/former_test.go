package simulation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// former is a spell in which a server that led a stream, was stopped and woke up
// takes itself for its leader still: it answers, and delivers, from before it was
// stopped, beside the leader, who hears all of it too. It ends when it hears from
// the others.
type former struct {
	asOf, until time.Time
	heard       func(process string) bool // and not the leader, this time
	reads       bool                      // it led the stream
	delivers    bool                      // it led its consumers, which need not be the same server
	given       map[given]bool
}

// given is what was delivered, and to whom: once in a spell.
type given struct {
	process string
	who     int
	message *message
}

const (
	// longestFormer is how long a leader may take to notice that it is none: the server
	// looks for its quorum every ten seconds.
	longestFormer = 10 * time.Second
	// longestStopped is how long it was stopped before.
	longestStopped = 3 * time.Minute
	// formerApart is the least time between two of them: a cluster that has had no
	// leader changes it no sooner.
	formerApart = time.Minute
)

// formers has such spells come, until ctx ends.
func (w *world) formers(ctx context.Context) {
	for n := 0; w.fate.weather.former; n++ {
		d := newDice(w.fate.seed, "former", fmt.Sprint(n))
		select {
		case <-ctx.Done():
			return
		case <-time.After(formerApart + d.upTo(time.Minute)):
		}
		// One server leads several streams and their consumers. Whoever asks is answered
		// by it and by the leader, and hears the first.
		which := 1 + d.intn(15)
		stopped, lasts := d.upTo(longestStopped), d.upTo(longestFormer)
		until := time.Now().Add(lasts)
		for i, s := range w.streams.all {
			led := 1 + d.intn(3)
			if which>>i&1 == 0 {
				continue
			}
			w.fate.note("world", "former leader: "+short(s.config.Name), "", fmt.Sprint(stopped, " ago, for ", lasts, " led ", led))
			s.fallBack(&former{
				asOf: time.Now().Add(-stopped), until: until, reads: led&1 != 0, delivers: led&2 != 0, given: map[given]bool{},
				heard: func(process string) bool { return w.fate.dice("former heard", fmt.Sprint(n), process).percent(50) },
			})
		}
	}
}

// fallBack begins a spell.
func (s *stream) fallBack(f *former) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.former = f
	s.change()
}

// past is the spell that a process's reads and publishes are under, and nil where they
// reach the leader.
func (s *stream) past(process string) *former {
	if f := s.spell(0); f != nil && f.reads && f.heard(process) {
		return f
	}
	return nil
}

// consumerPast is the same for what is delivered, and for acks.
func (s *stream) consumerPast(process string) *former {
	if f := s.spell(0); f != nil && f.delivers && f.heard(process) {
		return f
	}
	return nil
}

// spell is the one that runs, or did a moment ago, whoever hears it.
func (s *stream) spell(moment time.Duration) *former {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.former; f != nil && time.Now().Before(f.until.Add(moment)) {
		return f
	}
	return nil
}

// had reports whether a message was there. It is called with the stream's lock held.
func (f *former) had(m *message) bool {
	return !m.stored.After(f.asOf) && (m.removed.IsZero() || m.removed.After(f.asOf))
}

// newestAt is newest as the former leader knows it.
func (s *stream) newestAt(f *former, subject string) *message {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range slices.Backward(s.messages) {
		if m.subject == subject && f.had(m) {
			return m
		}
	}
	return nil
}

// atAt is at as the former leader knows it.
func (s *stream) atAt(f *former, sequence uint64) *message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence < 1 || sequence > uint64(len(s.messages)) || !f.had(s.messages[sequence-1]) {
		return nil
	}
	return s.messages[sequence-1]
}

// thereAt is there as the former leader knows it.
func (s *stream) thereAt(f *former) []*message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.messages), func(m *message) bool { return !f.had(m) })
}

// publishAt is what the former leader says to a publish: it refuses what was to
// be refused then, and says nothing of what it would store, as nobody consents.
func (s *stream) publishAt(f *former, subject string, header nats.Header) (sequence uint64, refused *apiError, silent bool) {
	last := s.newestAt(f, subject)
	var is uint64
	if last != nil {
		is = last.sequence
	}
	if want := header.Get("Nats-Expected-Last-Subject-Sequence"); want != "" && want != decimal(is) {
		return 0, errWrongSequence, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := header.Get("Nats-Msg-Id")
	if seen := s.ids[id]; id != "" && seen != nil && time.Since(seen.stored) < duplicateWindow && !seen.stored.After(f.asOf) {
		return seen.sequence, nil, false
	}
	if last != nil && s.config.MaxMsgsPerSubject == 1 {
		return 0, errSubjectFull, false
	}
	return 0, nil, true
}

// takeAt is what the former leader of the stream's consumers delivers: what it had
// no ack of. It counts from where it was.
func (s *stream) takeAt(f *former, process string, who, n int) (due []delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		at := &m.at[who]
		key := given{process, who, m}
		if len(due) == n || !f.had(m) || !at.acked.IsZero() && !at.acked.After(f.asOf) || f.given[key] {
			continue
		}
		f.given[key] = true
		before := slices.IndexFunc(at.delivered, func(t time.Time) bool { return t.After(f.asOf) })
		if before < 0 {
			before = len(at.delivered)
		}
		due = append(due, delivery{m, before + 1})
	}
	return due
}
