package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/lab"
	"github.com/vendstream/vendstream/internal/purchase"
)

// Evidence is all that was seen of a run from outside.
type Evidence struct {
	lab.Evidence
	Acks     []Ack
	Calls    []Call
	Handoffs []Stored
	// Held are the times in which a process was held still or its calls were
	// slowed, so that it may have acted on what it saw before.
	Held map[string][]Span
	// Settled is when each result was stored, by the server.
	Settled map[lab.Key]time.Time
	Faults  []Injected
	// Redelivered are deliveries beyond the first of each message.
	Redelivered map[string]uint64
	// Falls are programs that ended by themselves, and BadStops those that did not
	// end well at SIGTERM.
	Falls    map[string][]string
	BadStops []string
}

// noteHandoff is called by the watchers.
func (w *world) noteHandoff(m *nats.Msg) {
	at, errTime := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	sequence, errSequence := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	var handoff purchase.Handoff
	if errors.Join(errTime, errSequence, json.Unmarshal(m.Data, &handoff)) != nil {
		return // the checker reads what is on the stream; this is about time alone
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handoffs[sequence] = Stored{at, lab.Key{Account: handoff.Account, Reference: handoff.MerchantReference}, string(handoff.State)}
}

// unfinished counts, by account, the requests that are not acknowledged, and the
// deliveries beyond the first of each message of both consumers.
func (w *world) unfinished(ctx context.Context) (map[string]uint64, error) {
	counts := map[string]uint64{}
	for _, account := range served {
		consumer, err := w.nats.js.Consumer(ctx, subjects.RequestsStream(), account)
		if err != nil {
			return nil, fmt.Errorf("chaos: read the consumer of %s: %w", account, err)
		}
		info := consumer.CachedInfo()
		counts[account] = info.NumPending + uint64(max(0, info.NumAckPending))
	}
	return counts, nil
}

// redelivered counts deliveries beyond the first of each message.
func (w *world) redelivered(ctx context.Context, requests []lab.Message, handoffs []Stored) (map[string]uint64, error) {
	messages := map[string]uint64{}
	for _, m := range requests {
		messages["requests/"+subjects.AccountOf(m.Subject)]++
	}
	for _, h := range handoffs {
		messages["pending/"+h.Key.Account]++
	}
	counts := map[string]uint64{}
	for name, stream := range map[string]string{"requests": subjects.RequestsStream(), "pending": subjects.PendingStream()} {
		for _, account := range served {
			consumer, err := w.nats.js.Consumer(ctx, stream, account)
			if err != nil {
				return nil, fmt.Errorf("chaos: read the consumer of %s: %w", account, err)
			}
			if deliveries := consumer.CachedInfo().Delivered.Consumer; deliveries > messages[name+"/"+account] {
				counts[name] += deliveries - messages[name+"/"+account]
			}
		}
	}
	return counts, nil
}

// idle says how many results there are, and whether nothing is left to do.
func (w *world) idle(ctx context.Context) (results uint64, done bool, err error) {
	unfinished, err := w.unfinished(ctx)
	if err != nil {
		return 0, false, err
	}
	done = true
	for _, n := range unfinished {
		done = done && n == 0
	}
	count := func(name, filter string) (uint64, error) {
		stream, err := w.nats.js.Stream(ctx, name)
		if err != nil {
			return 0, fmt.Errorf("chaos: read stream %s: %w", name, err)
		}
		if filter == "" {
			return stream.CachedInfo().State.Msgs, nil
		}
		c, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			FilterSubject: filter, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true,
			InactiveThreshold: 5 * time.Second, Replicas: 1,
		})
		if err != nil {
			return 0, fmt.Errorf("chaos: count %s: %w", filter, err)
		}
		return c.CachedInfo().NumPending, nil
	}
	pending, err := count(subjects.PendingStream(), "")
	if err != nil {
		return 0, false, err
	}
	if results, err = count(subjects.ResultsStream(), ""); err != nil {
		return 0, false, err
	}
	if done = done && pending == 0; !done {
		return results, false, nil
	}
	strays, err := count(subjects.RequestsStream(), subjects.Requests(nobody))
	if err != nil {
		return results, false, err
	}
	buried, err := count(subjects.DeadStream(), subjects.AllDead(nobody))
	return results, err == nil && buried >= strays, err
}

// collect reads all that can be seen when the daemons have ended.
func (w *world) collect(ctx context.Context) (Evidence, error) {
	e := Evidence{Held: map[string][]Span{}, Settled: map[lab.Key]time.Time{}, Falls: map[string][]string{}}
	e.Killed, e.Limited = true, map[lab.Key]bool{}
	for _, account := range w.config.Accounts {
		e.Accounts = append(e.Accounts, purchase.Account{Name: account.Name, ChannelID: account.ChannelID})
	}
	e.Sales = w.vendor.sales()
	for _, sale := range e.Sales {
		e.Limited[lab.Key{Account: sale.Account, Reference: sale.Reference}] = true // by order, not by the limit
	}
	for name, into := range map[string]*[]lab.Message{
		subjects.RequestsStream(): &e.Requests,
		subjects.ResultsStream():  &e.Results,
		subjects.DeadStream():     &e.Dead,
		subjects.PendingStream():  &e.Pending,
	} {
		messages, times, err := w.read(ctx, name)
		if err != nil {
			return e, err
		}
		*into = messages
		if name != subjects.ResultsStream() {
			continue
		}
		for i, m := range messages {
			var result purchase.Result
			if json.Unmarshal(m.Data, &result) == nil { // else the check tells it
				e.Settled[lab.Key{Account: result.Account, Reference: result.MerchantReference}] = times[i]
			}
		}
	}
	w.mu.Lock()
	for _, h := range w.handoffs {
		e.Handoffs = append(e.Handoffs, h)
	}
	w.mu.Unlock()
	w.vendor.mu.Lock()
	e.Calls = append(e.Calls, w.vendor.calls...)
	w.vendor.mu.Unlock()
	for _, d := range w.daemons {
		d.still.Lock()
		e.Held[d.name] = append(e.Held[d.name], d.spans...)
		d.still.Unlock()
		if falls := d.fallen(); len(falls) > 0 {
			e.Falls[d.name] = falls
		}
	}
	for _, p := range w.servers() {
		if falls := p.fallen(); len(falls) > 0 {
			e.Falls[p.name] = falls
		}
	}
	var err error
	if e.Unfinished, err = w.unfinished(ctx); err != nil {
		return e, err
	}
	e.Redelivered, err = w.redelivered(ctx, e.Requests, e.Handoffs)
	return e, err
}

// servers are the processes that are no daemons.
func (w *world) servers() []*process {
	var all []*process
	for _, n := range w.nats.nodes {
		all = append(all, &n.process)
	}
	for _, n := range w.redis.nodes {
		all = append(all, &n.process)
	}
	return append(all, w.redis.sentinels...)
}

// read reads every message of a stream from its leader, and when each was stored.
func (w *world) read(ctx context.Context, name string) ([]lab.Message, []time.Time, error) {
	stream, err := w.nats.js.Stream(ctx, name)
	if err != nil {
		return nil, nil, fmt.Errorf("chaos: read stream %s: %w", name, err)
	}
	state := stream.CachedInfo().State
	var messages []lab.Message
	var times []time.Time
	for sequence := max(1, state.FirstSeq); sequence <= state.LastSeq; sequence++ {
		var m *jetstream.RawStreamMsg
		err := again(ctx, 20*time.Second, "message "+strconv.FormatUint(sequence, 10)+" of "+name, func(ctx context.Context) (err error) {
			if m, err = stream.GetMsg(ctx, sequence); errors.Is(err, jetstream.ErrMsgNotFound) {
				m, err = nil, nil // ended, or purged
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		if m != nil {
			messages = append(messages, lab.Message{Subject: m.Subject, Sequence: m.Sequence, Header: m.Header, Data: m.Data})
			times = append(times, m.Time)
		}
	}
	if uint64(len(messages)) != state.Msgs {
		return nil, nil, fmt.Errorf("chaos: stream %s has %d messages and %d could be read", name, state.Msgs, len(messages))
	}
	return messages, times, nil
}
