package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/publisher"
)

// fillWindow is how many requests are unacknowledged while a stream is filled.
const fillWindow = 2048

// asked is one purchase as it is asked for. All are of one size.
func asked(number int) publisher.Request {
	return publisher.Request{Account: account, Body: fmt.Appendf(nil,
		`{"productCode":"AIR-VOD-001","amount":"50.00","paymentMethod":"cash","channelId":"web",`+
			`"merchantReference":"%s","mobileNumber":"+27821234567","additionalInfo":{"till":7,"operator":"bench"}}`, reference(number))}
}

func reference(number int) string { return fmt.Sprintf("bench-%08d", number) }

// numberOf is which purchase a message is about, by the reference at the end of
// its id or, as the bare loop writes none, of its subject.
func numberOf(m jetstream.Msg) (int, error) {
	name := m.Headers().Get(publisher.HeaderMessageID)
	if name == "" {
		name = m.Subject()
	}
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return 0, fmt.Errorf("bench: %s is no message of this run", name)
	}
	return n, nil
}

func (w *world) publisher(prefix string) (*publisher.Publisher, error) {
	return publisher.New(w.nc, publisher.WithSubjects(publisher.Subjects{Prefix: prefix}), publisher.WithWindow(fillWindow))
}

// fill puts the purchases from one number to another on the stream.
func (w *world) fill(ctx context.Context, prefix string, from, to int) error {
	p, err := w.publisher(prefix)
	if err != nil {
		return err
	}
	var failed error
	err = p.SubmitMany(ctx, func(yield func(publisher.Request) bool) {
		for i := from; i < to && yield(asked(i)); i++ {
			continue
		}
	}, func(s publisher.Submitted) { failed = errors.Join(failed, s.Err) })
	return errors.Join(err, failed)
}

// stored is how many messages a stream holds.
func (w *world) stored(ctx context.Context, stream string) (int, error) {
	s, err := w.js.Stream(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return int(s.CachedInfo().State.Msgs), nil
}

// stamp is when the server stored a message about a purchase.
type stamp struct {
	number int // of the purchase
	at     time.Time
}

// stamps reads the times of all messages of a stream, in order.
func (w *world) stamps(ctx context.Context, stream string, n int) ([]stamp, error) {
	consumer, err := w.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return nil, fmt.Errorf("bench: read %s: %w", stream, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(2000))
	if err != nil {
		return nil, fmt.Errorf("bench: read %s: %w", stream, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	all := make([]stamp, 0, n)
	for len(all) < n {
		m, err := messages.Next()
		if err != nil {
			return nil, fmt.Errorf("bench: read %s: %w", stream, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("bench: read %s: %w", stream, err)
		}
		number, err := numberOf(m)
		if err != nil {
			return nil, err
		}
		all = append(all, stamp{number, meta.Timestamp})
	}
	return all, nil
}

// complete fails where the results, which stamps are the first of, are not one for
// each purchase of the backlog.
func (w *world) complete(ctx context.Context, prefix string, stamps []stamp) error {
	all, err := w.stored(ctx, publisher.Subjects{Prefix: prefix}.ResultsStream())
	if err != nil {
		return err
	}
	return oneEach(stamps, all)
}

// oneEach fails where the stamps are not one for each number from 0 on, or are not
// all that is stored.
func oneEach(stamps []stamp, stored int) error {
	if stored != len(stamps) {
		return fmt.Errorf("bench: there are %d results for %d purchases", stored, len(stamps))
	}
	seen := make([]bool, len(stamps))
	for _, s := range stamps {
		if s.number < 0 || s.number >= len(seen) {
			return fmt.Errorf("bench: there is a result of %s, which nobody asked for", reference(s.number))
		}
		if seen[s.number] {
			return fmt.Errorf("bench: there are two results of %s", reference(s.number))
		}
		seen[s.number] = true
	}
	return nil
}

// settled waits until every request that was delivered is acknowledged, and every
// one delivered: the results are stored by then, and the acks follow them. Programs
// of others may have a consumer of their own; one that nothing was delivered to is
// not what is measured.
func (w *world) settled(ctx context.Context, prefix string) error {
	stream, err := w.js.Stream(ctx, publisher.Subjects{Prefix: prefix}.RequestsStream())
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	var open int
	for range 200 {
		open = 0
		consumers := stream.ListConsumers(ctx)
		for info := range consumers.Info() {
			if info.Delivered.Consumer > 0 {
				open += int(info.NumPending) + info.NumAckPending
			}
		}
		if err := consumers.Err(); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		if open == 0 {
			return nil
		}
		if err := sleep(ctx, 25*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("bench: %d requests have a result and were not acknowledged", open)
}
