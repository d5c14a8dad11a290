package chaos

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/lab"
	"github.com/vendstream/vendstream/publisher"
)

var subjects publisher.Subjects // of the default prefix, which is always used here

// publishers is how many programs publish side by side.
const publishers = 8

// tryFor is how long one try to publish may take.
const tryFor = 10 * time.Second

// Ack is what a publisher was told of one message.
type Ack struct {
	At        time.Time
	Sequence  uint64
	Duplicate bool // the server had it already
	Account   string
	Reference string // "" where the body bears none that can be used
	Body      [sha256.Size]byte
	Plain     bool
}

// press publishes a plan from several connections, through the proxies, until all
// of it is acknowledged.
type press struct {
	url      string
	plan     []ask
	interval time.Duration // between two messages
	say      func(format string, args ...any)

	retries atomic.Int64 // publishes that were not acknowledged
	mu      sync.Mutex
	acks    []Ack
}

// run returns when all is acknowledged, or ctx ends.
func (p *press) run(ctx context.Context) error {
	work := make(chan ask)
	var running sync.WaitGroup
	errs := make(chan error, publishers)
	for i := range publishers {
		nc, err := nats.Connect(p.url, nats.Name(fmt.Sprintf("publisher-%d", i+1)), nats.MaxReconnects(-1),
			nats.ReconnectWait(200*time.Millisecond), nats.RetryOnFailedConnect(true), nats.ReconnectBufSize(-1),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // without, the client prints it
		if err != nil {
			return fmt.Errorf("chaos: connect a publisher: %w", err)
		}
		defer nc.Close()
		one, err := publisher.New(nc)
		if err != nil {
			return err
		}
		js, err := jetstream.New(nc)
		if err != nil {
			return fmt.Errorf("chaos: %w", err)
		}
		running.Go(func() {
			for a := range work {
				if err := p.publish(ctx, one, js, a); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	err := p.feed(ctx, work, errs)
	close(work)
	running.Wait()
	if err != nil {
		return err
	}
	select {
	case err = <-errs:
	default:
	}
	return err
}

// feed hands the messages out in order, each when it is due.
func (p *press) feed(ctx context.Context, work chan<- ask, errs <-chan error) error {
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, a := range p.plan {
		timer.Reset(time.Until(begun.Add(time.Duration(i) * p.interval)))
		select {
		case <-timer.C:
		case err := <-errs:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case work <- a:
		case err := <-errs:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// publish tries until the server has acknowledged the message.
func (p *press) publish(ctx context.Context, one *publisher.Publisher, js jetstream.JetStream, a ask) error {
	var expires time.Time
	if a.expiresIn != 0 {
		expires = time.Now().Add(a.expiresIn)
	}
	for {
		sequence, duplicate, err := put(ctx, one, js, a, expires)
		if err == nil {
			p.mu.Lock()
			p.acks = append(p.acks, Ack{
				At: time.Now(), Sequence: sequence, Duplicate: duplicate,
				Account: a.account, Reference: a.reference, Body: sha256.Sum256(a.body), Plain: a.plain && !a.bare,
			})
			p.mu.Unlock()
			return nil
		}
		var invalid *publisher.InvalidError
		if errors.As(err, &invalid) {
			return fmt.Errorf("chaos: the plan is wrong: %w", err)
		}
		p.retries.Add(1)
		p.say("not acknowledged yet: %s: %v", lab.Key{Account: a.account, Reference: a.reference}, err)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func put(ctx context.Context, one *publisher.Publisher, js jetstream.JetStream, a ask, expires time.Time) (sequence uint64, duplicate bool, err error) {
	call, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	if !a.bare {
		done, err := one.Submit(call, publisher.Request{Account: a.account, Body: a.body, ExpiresAt: expires})
		return done.Sequence, done.Duplicate, err
	}
	m := &nats.Msg{Subject: subjects.Requests(a.account), Header: nats.Header{}, Data: a.body}
	if !expires.IsZero() {
		m.Header.Set(publisher.HeaderExpiresAt, expires.UTC().Format(time.RFC3339Nano))
	}
	ack, err := js.PublishMsg(call, m)
	if err != nil {
		return 0, false, err
	}
	return ack.Sequence, ack.Duplicate, nil
}

// acknowledged is what publishers were told so far.
func (p *press) acknowledged() []Ack {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Ack(nil), p.acks...)
}

// bodyOf is the digest of what is stored.
func bodyOf(m lab.Message) [sha256.Size]byte { return sha256.Sum256(m.Data) }
