package simulation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

const ackWait = 60 * time.Second

// queued is a message on a stream with a consumer: delivered again until acked.
type queued struct {
	sequence uint64
	subject  string // of the purchase: its reference
	body     []byte
	stored   time.Time
	visible  time.Time
	count    int
	acked    bool
}

// queue is a stream with one durable consumer.
type queue struct {
	mu       sync.Mutex
	messages []*queued
	// removes: an acked message is gone, as from a work queue.
	removes bool
}

func (q *queue) add(subject string, body []byte) uint64 {
	now := time.Now()
	m := &queued{sequence: uint64(len(q.messages) + 1), subject: subject, body: body, stored: now, visible: now}
	q.messages = append(q.messages, m)
	return m.sequence
}

func (q *queue) publish(subject string, body []byte) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.add(subject, body)
}

// last is the newest message of a subject that is still there.
func (q *queue) last(subject string) *queued {
	for i := len(q.messages) - 1; i >= 0; i-- {
		if m := q.messages[i]; m.subject == subject && !(q.removes && m.acked) {
			return m
		}
	}
	return nil
}

func (q *queue) open() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, m := range q.messages {
		if !m.acked {
			n++
		}
	}
	return n
}

// source is a process's view of a queue.
type source struct {
	process *process
	queue   *queue
}

func (s *source) Pull(ctx context.Context, n int, each func([]*worker.Delivery)) error {
	var chunk []*worker.Delivery
	err := s.process.effect("pull", func() error {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		now := time.Now()
		for _, m := range s.queue.messages {
			if len(chunk) < n && !m.acked && !m.visible.After(now) {
				m.count++
				m.visible = now.Add(ackWait)
				chunk = append(chunk, &worker.Delivery{
					Subject: m.subject, Body: m.body, Sequence: m.sequence, Time: m.stored, Count: m.count,
					Acker: &acker{s.process, s.queue, m},
				})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(chunk) == 0 {
		worker.Sleep(ctx, time.Second)
		return nil
	}
	each(chunk)
	return nil
}

type acker struct {
	process *process
	queue   *queue
	message *queued
}

// end changes a message. A message is not fenced: a late ack settles it too.
func (a *acker) end(name string, change func(*queued)) error {
	return a.process.effect(name, func() error {
		a.queue.mu.Lock()
		defer a.queue.mu.Unlock()
		change(a.message)
		return nil
	})
}

func (a *acker) Ack(context.Context) error {
	return a.end("ack", func(m *queued) { m.acked = true })
}

func (a *acker) Retry(_ context.Context, after time.Duration) error {
	return a.end("nak", func(m *queued) { m.visible = time.Now().Add(after) })
}

func (a *acker) Progress(context.Context) error {
	return a.end("progress", func(m *queued) { m.visible = time.Now().Add(ackWait) })
}

// streams is what all processes share.
type streams struct {
	requests, pending queue

	mu      sync.Mutex
	results map[string]purchase.Result
	dead    map[uint64]publisher.DeadLetter
	faults  []string // broken promises, seen where they happened
}

func newStreams() *streams {
	return &streams{
		pending: queue{removes: true},
		results: map[string]purchase.Result{},
		dead:    map[uint64]publisher.DeadLetter{},
	}
}

func (s *streams) broke(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// ledger is a process's view of the streams: the ports of consumer and poller.
type ledger struct {
	process *process
	streams *streams
}

func (l *ledger) Result(_ context.Context, _, reference string) (found *purchase.Result, err error) {
	err = l.process.effect("read result", func() error {
		l.streams.mu.Lock()
		defer l.streams.mu.Unlock()
		if r, ok := l.streams.results[reference]; ok {
			found = &r
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (l *ledger) Handoff(_ context.Context, _, reference string) (found *purchase.Handoff, sequence uint64, err error) {
	err = l.process.effect("read hand-off", func() error {
		found, sequence = l.streams.handoff(reference)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return found, sequence, nil
}

func (l *ledger) PublishResult(_ context.Context, r *purchase.Result, _ string) (there *purchase.Result, err error) {
	err = l.process.effect("publish result", func() error {
		l.streams.mu.Lock()
		defer l.streams.mu.Unlock()
		if old, ok := l.streams.results[r.MerchantReference]; ok {
			there = &old
			return nil
		}
		l.streams.results[r.MerchantReference] = *r
		return nil
	})
	if err != nil {
		return nil, err
	}
	return there, nil
}

func (l *ledger) PublishHandoff(ctx context.Context, h *purchase.Handoff, trace string) (*purchase.Handoff, error) {
	return l.ReplaceHandoff(ctx, h, trace, 0)
}

func (l *ledger) ReplaceHandoff(_ context.Context, h *purchase.Handoff, _ string, after uint64) (there *purchase.Handoff, err error) {
	gone := false
	err = l.process.effect("publish hand-off", func() error {
		body, err := h.Encode()
		if err != nil {
			return err
		}
		q := &l.streams.pending
		q.mu.Lock()
		defer q.mu.Unlock()
		switch last := q.last(h.MerchantReference); {
		case last == nil && after == 0, last != nil && last.sequence == after:
			q.add(h.MerchantReference, body)
		case last == nil:
			gone = true
		default:
			there = decodeHandoff(last.body)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case gone:
		return nil, publisher.ErrGone
	}
	return there, nil
}

func (l *ledger) PublishDead(_ context.Context, d publisher.DeadLetter) error {
	return l.process.effect("publish dead letter", func() error {
		l.streams.mu.Lock()
		defer l.streams.mu.Unlock()
		if _, ok := l.streams.dead[d.Sequence]; !ok {
			l.streams.dead[d.Sequence] = d
		}
		return nil
	})
}

func (l *ledger) DeadSequences(context.Context, string) (map[uint64]bool, error) {
	return map[uint64]bool{}, nil
}

func (l *ledger) Original(_ context.Context, account string, sequence uint64) (publisher.DeadLetter, error) {
	l.streams.requests.mu.Lock()
	defer l.streams.requests.mu.Unlock()
	return publisher.DeadLetter{Account: account, Sequence: sequence, Body: l.streams.requests.messages[sequence-1].body}, nil
}
