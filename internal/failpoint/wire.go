package failpoint

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/publisher"
)

// Store puts points around the single messages of a store that the roles share.
// What nobody of them asks for has none.
func (s *Set) Store(store *publisher.Store) { store.Wire = wire{set: s, next: store.Wire} }

// Wire puts points around the single messages of a publisher, for its option
// WithWire.
func (s *Set) Wire(next publisher.Wire) publisher.Wire {
	return wire{set: s, role: rolePublisher, next: next}
}

type wire struct {
	set  *Set
	role string // "": the context says
	next publisher.Wire
}

func (w wire) at(ctx context.Context) at {
	if w.role != "" {
		return at{w.set, w.role}
	}
	return at{w.set, roleOf(ctx)}
}

// published is the stream of a subject: requests, pending, results or dead.
func published(subject string) string {
	for _, stream := range []string{"requests", "pending", "results", "dead"} {
		if strings.Contains(subject, "."+stream+".") {
			return stream
		}
	}
	return subject
}

// read is the stream that a message is asked of: the end of its name.
func read(subject string) string {
	return strings.ToLower(subject[strings.LastIndexByte(subject, '_')+1:])
}

func (w wire) Publish(ctx context.Context, m *nats.Msg, options ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	a := w.at(ctx)
	if a.role == "" {
		return w.next.Publish(ctx, m, options...)
	}
	return value(a, "publish."+published(m.Subject), func() (*jetstream.PubAck, error) {
		return w.next.Publish(ctx, m, options...)
	})
}

func (w wire) PublishAsync(m *nats.Msg, options ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return value(at{w.set, w.role}, "publishasync."+published(m.Subject), func() (jetstream.PubAckFuture, error) {
		return w.next.PublishAsync(m, options...)
	})
}

func (w wire) RequestAll(ctx context.Context, asks []publisher.Ask) ([]*nats.Msg, error) {
	a := w.at(ctx)
	if a.role == "" || len(asks) == 0 {
		return w.next.RequestAll(ctx, asks)
	}
	return value(a, "read."+read(asks[0].Subject), func() ([]*nats.Msg, error) {
		return w.next.RequestAll(ctx, asks)
	})
}

func (w wire) Collect(ctx context.Context, ask publisher.Ask) ([]*nats.Msg, error) {
	a := w.at(ctx)
	if a.role == "" {
		return w.next.Collect(ctx, ask)
	}
	return value(a, "read."+read(ask.Subject), func() ([]*nats.Msg, error) {
		return w.next.Collect(ctx, ask)
	})
}

func (w wire) Request(ctx context.Context, subject string, body []byte) (*nats.Msg, error) {
	a := w.at(ctx)
	if a.role == "" {
		return w.next.Request(ctx, subject, body)
	}
	return value(a, "read."+read(subject), func() (*nats.Msg, error) {
		return w.next.Request(ctx, subject, body)
	})
}
