package worker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queue is a source in memory. A delivery that is put back comes again after its
// time; one that is neither ended nor kept alive within ackWait comes again too.
type queue struct {
	ackWait time.Duration

	mu       sync.Mutex
	waiting  []uint64
	count    map[uint64]int
	out      map[*token]struct{}
	acked    map[uint64]int
	retried  []time.Duration
	progress int
	asked    []int // of each pull
	pullErr  error
	ackErr   error
}

// token is one delivery's acker.
type token struct {
	q        *queue
	sequence uint64
	alive    time.Time
}

func newQueue(n int) *queue {
	q := &queue{ackWait: time.Minute, count: map[uint64]int{}, out: map[*token]struct{}{}, acked: map[uint64]int{}}
	for i := range n {
		q.waiting = append(q.waiting, uint64(i+1))
	}
	return q
}

const pullTime = time.Second

func (q *queue) Pull(ctx context.Context, n int, each func([]*worker.Delivery)) error {
	q.mu.Lock()
	q.asked = append(q.asked, n)
	err := q.pullErr
	var chunk []*worker.Delivery
	for t := range q.out {
		if time.Since(t.alive) > q.ackWait {
			delete(q.out, t)
			q.waiting = append(q.waiting, t.sequence)
		}
	}
	for len(chunk) < n && len(q.waiting) > 0 && err == nil {
		t := &token{q, q.waiting[0], time.Now()}
		q.waiting = q.waiting[1:]
		q.count[t.sequence]++
		q.out[t] = struct{}{}
		chunk = append(chunk, &worker.Delivery{Sequence: t.sequence, Count: q.count[t.sequence], Acker: t})
	}
	q.mu.Unlock()
	if err != nil {
		return err
	}
	if len(chunk) == 0 {
		worker.Sleep(ctx, pullTime)
		return nil
	}
	// In two chunks, where there are two.
	if half := len(chunk) / 2; half > 0 {
		each(chunk[:half])
		chunk = chunk[half:]
	}
	each(chunk)
	return nil
}

func (t *token) end() error {
	if t.q.ackErr != nil {
		return t.q.ackErr
	}
	if _, ok := t.q.out[t]; !ok {
		return errors.New("ended twice, or taken back")
	}
	delete(t.q.out, t)
	return nil
}

func (t *token) Ack(context.Context) error {
	t.q.mu.Lock()
	defer t.q.mu.Unlock()
	t.q.acked[t.sequence]++
	return t.end()
}

func (t *token) Retry(_ context.Context, after time.Duration) error {
	t.q.mu.Lock()
	defer t.q.mu.Unlock()
	t.q.retried = append(t.q.retried, after)
	back := func() { t.q.waiting = append(t.q.waiting, t.sequence) }
	if after == 0 {
		back()
	} else {
		time.AfterFunc(after, func() {
			t.q.mu.Lock()
			defer t.q.mu.Unlock()
			back()
		})
	}
	return t.end()
}

func (t *token) Progress(context.Context) error {
	t.q.mu.Lock()
	defer t.q.mu.Unlock()
	t.q.progress++
	t.alive = time.Now()
	return t.q.ackErr
}

// look reads the queue's own account.
func look[T any](q *queue, read func(*queue) T) T {
	q.mu.Lock()
	defer q.mu.Unlock()
	return read(q)
}

func ackedOnce(q *queue) int {
	n := 0
	for _, times := range q.acked {
		if times == 1 {
			n++
		}
	}
	return n
}

// handler makes the same task of every delivery.
type handler struct {
	task  func(d *worker.Delivery, work, stop context.Context) worker.Disposition
	admit func(ctx context.Context, room int) int
	begin func(chunk []*worker.Delivery)
	// prepare, where set, is what is to be done before a chunk's tasks run.
	prepare func(chunk []*worker.Delivery)
}

func (h handler) Admit(ctx context.Context, room int) int {
	if h.admit != nil {
		return h.admit(ctx, room)
	}
	return room
}

func (h handler) Begin(_ context.Context, chunk []*worker.Delivery) ([]worker.Task, func()) {
	if h.begin != nil {
		h.begin(chunk)
	}
	tasks := make([]worker.Task, len(chunk))
	for i, d := range chunk {
		tasks[i] = func(work, stop context.Context) worker.Disposition { return h.task(d, work, stop) }
	}
	if h.prepare == nil {
		return tasks, nil
	}
	return tasks, func() { h.prepare(chunk) }
}

// reports collects what a pool reports.
type reports struct {
	mu  sync.Mutex
	all []error
	at  []time.Time
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all, r.at = append(r.all, err), append(r.at, time.Now())
}

func (r *reports) list() ([]error, []time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]error(nil), r.all...), append([]time.Time(nil), r.at...)
}

// start runs a pool and returns how to stop it and what it returns then.
func start(t *testing.T, c worker.Config) (p *worker.Pool, stop context.CancelFunc, done <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p = worker.New(c)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return p, cancel, ended
}
