package publisher

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Wire carries single messages to the servers and back: every write, and every
// read that a decision rests on. It is a seam for tests, which lose answers and
// end the process there; the documented errors are those of jetstream.
type Wire interface {
	Publish(ctx context.Context, m *nats.Msg, options ...jetstream.PublishOpt) (*jetstream.PubAck, error)
	PublishAsync(m *nats.Msg, options ...jetstream.PublishOpt) (jetstream.PubAckFuture, error)
	Request(ctx context.Context, subject string, body []byte) (*nats.Msg, error)
	// RequestAll sends the next of them with each reply, a few at once, and returns
	// the replies in the same order. An error means that one of them is missing.
	RequestAll(ctx context.Context, asks []Ask) ([]*nats.Msg, error)
	// Collect returns all replies to one request, in the order in which they come. The
	// last one is the first that bears a status.
	Collect(ctx context.Context, ask Ask) ([]*nats.Msg, error)
}

// wire is a connection as it is.
type wire struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	gather *gatherer
}

func newWire(nc *nats.Conn, js jetstream.JetStream) wire {
	return wire{nc, js, &gatherer{nc: nc}}
}

func (w wire) Publish(ctx context.Context, m *nats.Msg, options ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return w.js.PublishMsg(ctx, m, options...)
}

func (w wire) PublishAsync(m *nats.Msg, options ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return w.js.PublishMsgAsync(m, options...)
}

func (w wire) Request(ctx context.Context, subject string, body []byte) (*nats.Msg, error) {
	return w.nc.RequestWithContext(ctx, subject, body)
}

func (w wire) RequestAll(ctx context.Context, asks []Ask) ([]*nats.Msg, error) {
	return w.gather.ask(ctx, asks)
}

func (w wire) Collect(ctx context.Context, ask Ask) ([]*nats.Msg, error) {
	return w.gather.collect(ctx, ask)
}
