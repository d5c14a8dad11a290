package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/due"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// plainClient asks a program something now and then.
func plainClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
}

// handOver stores hand-offs of purchases that the vendor has taken and not ended. tell
// is called now and then with how many there are.
func (w *world) handOver(ctx context.Context, prefix string, spread spreadOut, tell func(int)) error {
	var refused error // written by the connection's goroutine, read after all are answered
	js, err := jetstream.New(w.nc, jetstream.WithPublishAsyncMaxPending(fillWindow),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { refused = err }))
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	subjects := publisher.Subjects{Prefix: prefix}
	told := time.Now()
	for i := range spread.pending {
		body, err := handoff(i, spread.submitted(i))
		if err != nil {
			return err
		}
		m := &nats.Msg{Subject: subjects.Pending(account, reference(i)), Data: body, Header: nats.Header{publisher.HeaderContentType: {"application/json"}}}
		if _, err := js.PublishMsgAsync(m, jetstream.WithExpectStream(subjects.PendingStream()),
			jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithStallWait(time.Minute)); err != nil {
			return fmt.Errorf("bench: store a hand-off: %w", err)
		}
		if i%fillWindow == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(told) > progressPeriod {
			told = time.Now()
			tell(i)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		return fmt.Errorf("bench: %d hand-offs were not acknowledged within a minute", js.PublishAsyncPending())
	}
	if refused != nil {
		return fmt.Errorf("bench: store a hand-off: %w", refused)
	}
	return nil
}

// handoff is the body of one, as the consumer writes it.
func handoff(number int, submitted time.Time) ([]byte, error) {
	request, err := purchase.Parse(asked(number).Body, purchase.Account{Name: account})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	h := request.HandOver(purchase.Outcome{Kind: purchase.InFlight, TransactionID: "VAS-" + reference(number)},
		purchase.Submission{Attempts: 1, RequestSequence: uint64(number) + 1, RequestedAt: submitted, SubmittedAt: submitted})
	return h.Encode()
}

// undelivered is how many hand-offs their consumer has never delivered.
func (w *world) undelivered(ctx context.Context, prefix string) (_ int, err error) {
	// The server may be too busy to answer at once.
	for range 5 {
		var c jetstream.Consumer
		if c, err = w.js.Consumer(ctx, publisher.Subjects{Prefix: prefix}.PendingStream(), account); err == nil {
			return int(c.CachedInfo().NumPending), nil
		}
		if errors.Is(err, jetstream.ErrConsumerNotFound) || ctx.Err() != nil {
			break
		}
	}
	return 0, fmt.Errorf("bench: ask for the hand-offs: %w", err)
}

// unindexed is how many hand-offs of so many are not in the index.
func (w *world) unindexed(ctx context.Context, prefix string, of int) (int, error) {
	n, err := due.NewIndex(w.client, prefix, account, 0).Len(ctx)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return max(0, of-int(n)), nil
}

// configurePoller writes the configuration of `vendstream poller`: the defaults, and
// one interval for all purchases.
func (w *world) configurePoller(prefix, vendorURL string, inFlight int, every time.Duration, dueIndex bool) (string, error) {
	name, err := w.configure(prefix, vendorURL, "", inFlight)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	_, err = fmt.Fprintf(file, "poller: {schedule: [{every: %s}], due_index: %t}\n", every, dueIndex)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	return name, nil
}
