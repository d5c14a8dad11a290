package lab

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// subjects are those of the default prefix, which the lab always uses.
var subjects publisher.Subjects

// idle says how many results there are, and whether nothing is left to do: every
// request is acknowledged, no purchase is pending, and the strays are buried.
// The order matters: a request is acknowledged after its hand-off was stored.
func idle(ctx context.Context, js jetstream.JetStream, cfg *config.Config, strays int) (results int, done bool, err error) {
	unfinished, err := unfinished(ctx, js, cfg)
	if err != nil {
		return 0, false, err
	}
	done = true
	for _, n := range unfinished {
		done = done && n == 0
	}
	var messages [3]uint64
	for i, name := range []string{subjects.PendingStream(), subjects.ResultsStream(), subjects.DeadStream()} {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return 0, false, fmt.Errorf("lab: read stream %s: %w", name, err)
		}
		messages[i] = stream.CachedInfo().State.Msgs
		if name == subjects.DeadStream() {
			info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subjects.AllDead(unknownAccount)))
			if err != nil {
				return 0, false, fmt.Errorf("lab: read stream %s: %w", name, err)
			}
			messages[i] = uint64(len(info.State.Subjects))
		}
	}
	return int(messages[1]), done && messages[0] == 0 && messages[2] >= uint64(max(0, strays)), nil
}

// unfinished counts, by account, the requests that are not acknowledged.
func unfinished(ctx context.Context, js jetstream.JetStream, cfg *config.Config) (map[string]uint64, error) {
	counts := map[string]uint64{}
	for _, account := range cfg.Accounts {
		consumer, err := js.Consumer(ctx, subjects.RequestsStream(), account.Name)
		if err != nil {
			return nil, fmt.Errorf("lab: read the consumer of %s: %w", account.Name, err)
		}
		info := consumer.CachedInfo()
		counts[account.Name] = info.NumPending + uint64(max(0, info.NumAckPending))
	}
	return counts, nil
}

// collect reads all that can be seen of a run.
func collect(ctx context.Context, js jetstream.JetStream, vendor *simulator.Simulator, cfg *config.Config) (Evidence, error) {
	e := Evidence{}
	for _, account := range cfg.Accounts {
		e.Accounts = append(e.Accounts, purchase.Account{Name: account.Name, ChannelID: account.ChannelID})
		for _, entry := range vendor.Ledger(account.Username) {
			e.Sales = append(e.Sales, Sale{Entry: entry, Receipt: vendor.Receipt(account.Username, entry.Reference)})
		}
	}
	e.Lost = vendor.Stats().Total(simulator.EndpointPurchase)
	for _, sale := range e.Sales {
		e.Lost -= int64(sale.Calls)
	}
	for name, into := range map[string]*[]Message{
		subjects.RequestsStream(): &e.Requests,
		subjects.ResultsStream():  &e.Results,
		subjects.DeadStream():     &e.Dead,
		subjects.PendingStream():  &e.Pending,
	} {
		messages, err := readStream(ctx, js, name)
		if err != nil {
			return e, err
		}
		*into = messages
	}
	var err error
	e.Unfinished, err = unfinished(ctx, js, cfg)
	return e, err
}

// readStream reads every message of a stream.
func readStream(ctx context.Context, js jetstream.JetStream, name string) ([]Message, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("lab: read stream %s: %w", name, err)
	}
	state := stream.CachedInfo().State
	var messages []Message
	for sequence := max(1, state.FirstSeq); sequence <= state.LastSeq; sequence++ {
		m, err := stream.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // ended, or purged
		}
		if err != nil {
			return nil, fmt.Errorf("lab: read message %d of %s: %w", sequence, name, err)
		}
		messages = append(messages, Message{m.Subject, m.Sequence, m.Header, m.Data})
	}
	return messages, nil
}
