package publisher

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/purchase"
)

// DefaultWindow is how many purchases SubmitMany has unacknowledged at most.
const DefaultWindow = 256

// submitTimeout is how long one purchase is tried where ctx sets no end.
const submitTimeout = 30 * time.Second

// Publisher submits purchase requests. It is safe for concurrent use.
type Publisher struct {
	wire     Wire
	subjects Subjects
	window   int
}

// Option changes a default of a Publisher.
type Option func(*Publisher)

// WithSubjects sets the subject prefix. Default: "purchases".
func WithSubjects(s Subjects) Option { return func(p *Publisher) { p.subjects = s } }

// WithWindow sets how many purchases SubmitMany has unacknowledged at most.
// Default: DefaultWindow.
func WithWindow(n int) Option { return func(p *Publisher) { p.window = max(1, n) } }

// WithWire puts something between a Publisher and the servers, for tests.
func WithWire(through func(Wire) Wire) Option {
	return func(p *Publisher) { p.wire = through(p.wire) }
}

// New makes a Publisher on a connection, which stays the caller's to close.
func New(nc *nats.Conn, options ...Option) (*Publisher, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	p := &Publisher{window: DefaultWindow, wire: newWire(nc, js)}
	for _, option := range options {
		option(p)
	}
	return p, nil
}

// Submitted is the acknowledgement of one request: it is stored, and will end in
// exactly one result or one dead letter.
type Submitted struct {
	Request   Request
	Reference string
	Sequence  uint64 // in the requests stream
	// Duplicate: the server has seen this very payload under this reference within
	// its window of duplicates, two minutes by default, and stored nothing. The
	// first request's result is this one's. Another payload is stored.
	Duplicate bool
	// Err is set by SubmitMany where this request was not acknowledged.
	Err error
}

// ErrNotAcknowledged is wrapped where the server did not acknowledge a request
// in time. It may be stored all the same: submit it again under the same
// reference, never under another.
var ErrNotAcknowledged = errors.New("not acknowledged: it may be stored, so submit it again only under the same reference")

// Submit publishes one purchase and waits until the server has stored it. A time-out
// is tried again under the same message id until ctx ends (30 s where ctx
// has no deadline); then the error wraps ErrNotAcknowledged. A request that could
// only become a dead letter is an *InvalidError and is not published. A full
// stream is an error of the server.
func (p *Publisher) Submit(ctx context.Context, r Request) (Submitted, error) {
	m, reference, err := r.message(p.subjects)
	if err != nil {
		return Submitted{Request: r}, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, submitTimeout)
		defer cancel()
	}
	return p.submit(ctx, r, m, reference)
}

func (p *Publisher) submit(ctx context.Context, r Request, m *nats.Msg, reference string) (Submitted, error) {
	done := Submitted{Request: r, Reference: reference}
	ack, err := ask(ctx, p.wire, p.subjects, m)
	if err != nil {
		return done, err
	}
	done.Sequence, done.Duplicate = ack.Sequence, ack.Duplicate
	return p.distinct(ctx, done, m)
}

// ask publishes a request until the server answers or ctx ends; then the error
// wraps ErrNotAcknowledged.
func ask(ctx context.Context, w Wire, subjects Subjects, m *nats.Msg) (*jetstream.PubAck, error) {
	var last error // why, where only ctx's end is returned
	ack, err := backoff.RetryWithData(func() (*jetstream.PubAck, error) {
		call, cancel := context.WithTimeout(ctx, publishTimeout)
		defer cancel()
		ack, err := w.Publish(call, copyMsg(m), jetstream.WithExpectStream(subjects.RequestsStream()))
		if err != nil && (refused(err) || errors.Is(err, nats.ErrConnectionClosed)) {
			return nil, backoff.Permanent(err)
		}
		if err != nil {
			last = err
		}
		return ack, err
	}, backoff.WithContext(patiently(), ctx))
	switch {
	case err == nil:
		return ack, nil
	case refused(err):
		return nil, fmt.Errorf("publisher: the server refused the request: %w", err)
	case last != nil && !errors.Is(err, last):
		return nil, fmt.Errorf("publisher: %w: %w: %w", ErrNotAcknowledged, err, last)
	default:
		return nil, fmt.Errorf("publisher: %w: %w", ErrNotAcknowledged, err)
	}
}

// distinct makes sure that a request which the server took for a duplicate is one.
// The server looks at the message id alone: within its window of duplicates it
// drops another payload under the same reference without a trace. Such a request
// is published once more under an id of its payload, so that it ends as every
// other does: as a repeat, or as a dead letter.
func (p *Publisher) distinct(ctx context.Context, done Submitted, m *nats.Msg) (Submitted, error) {
	if !done.Duplicate {
		return done, nil
	}
	ours, err := purchase.Parse(m.Data, purchase.Account{Name: done.Request.Account})
	if err != nil {
		return done, fmt.Errorf("publisher: %w", err)
	}
	same, err := backoff.RetryWithData(func() (bool, error) {
		// Each try has its own end: an answer that is lost never comes.
		call, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		same, err := p.holds(call, done.Sequence, ours)
		if errors.Is(err, nats.ErrConnectionClosed) {
			err = backoff.Permanent(err)
		}
		return same, err
	}, backoff.WithContext(patiently(), ctx))
	if err != nil {
		return done, fmt.Errorf("publisher: %w: the server has a request under this reference, which could not be read: %w", ErrNotAcknowledged, err)
	}
	id := MessageID(done.Request.Account, done.Reference) + "/" + string(ours.Digest)
	if same || m.Header.Get(HeaderMessageID) == id {
		return done, nil
	}
	m.Header.Set(HeaderMessageID, id)
	return p.submit(ctx, done.Request, m, done.Reference)
}

// holds reports whether the message with that sequence holds the same payload.
func (p *Publisher) holds(ctx context.Context, sequence uint64, ours *purchase.Request) (bool, error) {
	m, err := get(ctx, p.wire, p.subjects.RequestsStream(), query{Sequence: sequence})
	if err != nil || m == nil {
		return false, err
	}
	theirs, err := purchase.Parse(m.Data, purchase.Account{Name: ours.Account})
	return err == nil && theirs.Digest == ours.Digest, nil
}

// refused reports whether the server has answered, and stored nothing.
func refused(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode == 10077 || api.Code < 500 && !retried[api.ErrorCode]
	}
	return errors.Is(err, nats.ErrMaxPayload)
}

// SubmitMany publishes many purchases, with up to a window of them
// unacknowledged, and calls done for each, in order, from one goroutine at a
// time; Err tells what became of it. One that is not acknowledged is tried again
// for up to 30 s. It stops taking requests when ctx ends, still reports those it
// has sent, within 10 s for all of them, and returns ctx's error then.
func (p *Publisher) SubmitMany(ctx context.Context, requests iter.Seq[Request], done func(Submitted)) error {
	window := make(chan struct{}, p.window) // one for each that is unacknowledged
	queue := make(chan sent, p.window)
	finished := make(chan struct{})
	finish, release := lingering(ctx, 2*publishTimeout)
	defer release()
	go func() {
		defer close(finished)
		for s := range queue {
			result := Submitted{Request: s.request, Reference: s.reference, Err: s.err}
			if s.err == nil {
				ack := s.wait()
				if ack != nil {
					result.Sequence, result.Duplicate = ack.Sequence, ack.Duplicate
					result, result.Err = p.distinct(finish, result, s.message)
				} else {
					// Whether it was stored is not known, or the connection is away, or the
					// client's own window was full: once more, under the same id.
					result, result.Err = p.again(finish, s.request, s.message, s.reference)
				}
			}
			<-window
			done(result)
		}
	}()
	for r := range requests {
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		s := sent{request: r}
		s.message, s.reference, s.err = r.message(p.subjects)
		if s.err == nil {
			s.future, _ = p.wire.PublishAsync(copyMsg(s.message), // an error leaves it nil: not sent
				jetstream.WithExpectStream(p.subjects.RequestsStream()))
		}
		queue <- s
	}
	close(queue)
	<-finished
	return ctx.Err()
}

// sent is a request on its way through SubmitMany.
type sent struct {
	request   Request
	reference string
	message   *nats.Msg
	future    jetstream.PubAckFuture // nil: not sent
	err       error
}

// wait returns the acknowledgement, or nil where there was none. The client ends
// every future, at the latest after publishTimeout.
func (s sent) wait() *jetstream.PubAck {
	if s.future == nil {
		return nil
	}
	select {
	case ack := <-s.future.Ok():
		return ack
	case <-s.future.Err():
		return nil
	}
}

// again repeats a publish that was not acknowledged.
func (p *Publisher) again(ctx context.Context, r Request, m *nats.Msg, reference string) (Submitted, error) {
	call, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	return p.submit(call, r, m, reference)
}

// lingering is a context that ends some time after ctx has.
func lingering(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(after, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() {
		unhook()
		cancel()
	}
}
