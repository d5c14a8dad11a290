package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// ledger is a nats-server with a stream of results.
type ledger struct {
	place
	study  Study
	dir    string // of the server
	size   int
	byID   bool
	server *process
	nc     *nats.Conn
	js     jetstream.JetStream

	stream   string
	template *jetstream.RawStreamMsg
}

var ledgerSubjects = publisher.Subjects{Prefix: "ledger"}

// start starts the server and returns how long it took until it told how much the
// stream holds, or, before the stream is made, until it answered.
func (l *ledger) start(ctx context.Context) (time.Duration, error) {
	if l.nc != nil {
		l.nc.Close()
	}
	began := time.Now()
	var url string
	var err error
	if l.server, url, err = beginServerWithin(ctx, recoverWait, "nats-server", filepath.Join(l.place.dir, "nats.log"), l.self, "bench", "nats-server", "--dir", l.dir); err != nil {
		return 0, err
	}
	if l.nc, err = nats.Connect(url); err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	if l.js, err = jetstream.New(l.nc); err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	if l.stream == "" {
		return time.Since(began), nil
	}
	err = until(ctx, recoverWait, 5*time.Millisecond, "the stream holds what was stored", func() (bool, error) {
		if err := l.server.ended(); err != nil {
			return false, err
		}
		s, err := l.js.Stream(ctx, l.stream)
		if err != nil {
			return false, nil // asked again: it may still be reading
		}
		return int(s.CachedInfo().State.Msgs) == l.size, nil
	})
	return time.Since(began), err
}

// close ends the server and removes what it stored.
func (l *ledger) close() error {
	if l.nc != nil {
		l.nc.Close()
	}
	l.server.kill()
	return os.RemoveAll(l.dir)
}

// prepare makes the stream, and a result as the pipeline stores it to copy.
func (l *ledger) prepare(ctx context.Context) error {
	config := resultsConfig()
	if _, err := l.js.CreateStream(ctx, config); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := l.sample(ctx); err != nil {
		return err
	}
	if err := l.js.DeleteStream(ctx, config.Name); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if l.byID {
		config.Subjects = []string{l.subject("")}
		config.MaxMsgsPerSubject, config.DiscardNewPerSubject = -1, false
	}
	if _, err := l.js.CreateStream(ctx, config); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	l.stream = config.Name
	return nil
}

// resultsConfig is the results stream as it is declared.
func resultsConfig() jetstream.StreamConfig {
	topology := broker.Topology{Subjects: ledgerSubjects, Replicas: 1, AckWait: dedupe.DefaultLease, Results: 90 * 24 * time.Hour}
	for _, config := range topology.Streams() {
		if config.Name == ledgerSubjects.ResultsStream() {
			return config
		}
	}
	return jetstream.StreamConfig{}
}

// sample has the publisher store a result and reads it back.
func (l *ledger) sample(ctx context.Context) error {
	request, err := purchase.Parse(asked(0).Body, purchase.Account{Name: account})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	now := time.Now()
	result, err := request.Settle(purchase.Outcome{
		Kind: purchase.Completed, TransactionID: "VAS-" + reference(0), Code: purchase.CodeSuccess, Message: "Approved",
		Receipt: json.RawMessage(`{"pin":"1234 5678 9012 3456","serialNumber":"98765432101234","expiryDate":"2027-04-21"}`),
	}, purchase.Ending{Source: purchase.SourcePurchase, Attempts: 1, RequestedAt: now, ResolvedAt: now})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	store, err := publisher.NewStore(l.nc, ledgerSubjects)
	if err != nil {
		return err
	}
	if _, err := store.PublishResult(ctx, &result, ""); err != nil {
		return err
	}
	stream, err := l.js.Stream(ctx, ledgerSubjects.ResultsStream())
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if l.template, err = stream.GetLastMsgForSubject(ctx, ledgerSubjects.Result(account, reference(0))); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	for _, name := range []string{jetstream.ExpectedLastSubjSeqHeader, jetstream.ExpectedStreamHeader} {
		l.template.Header.Del(name) // the client writes them again, as the case needs them
	}
	return nil
}

// subject is the one of a result.
func (l *ledger) subject(reference string) string {
	if l.byID {
		return "ledger.results." + account
	}
	return ledgerSubjects.Result(account, reference)
}

// message is the result of a purchase: the sample with another reference, which is
// as long.
func (l *ledger) message(number int) *nats.Msg {
	was, is := []byte(reference(0)), []byte(reference(number))
	m := &nats.Msg{Subject: l.subject(string(is)), Data: bytes.ReplaceAll(l.template.Data, was, is), Header: make(nats.Header, len(l.template.Header)+2)}
	for name, values := range l.template.Header {
		m.Header[name] = values
	}
	id := publisher.MessageID(account, string(is))
	m.Header[publisher.HeaderMessageID], m.Header[publisher.HeaderEventID] = []string{id}, []string{id}
	m.Header[publisher.HeaderSubject] = []string{string(is)}
	return m
}

// publish stores all results, with a window of them under way.
func (l *ledger) publish(ctx context.Context, f figures) error {
	var refused error // written by the connection's goroutine, read after all are answered
	js, err := jetstream.New(l.nc, jetstream.WithPublishAsyncMaxPending(fillWindow),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { refused = err }))
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	options := []jetstream.PublishOpt{jetstream.WithExpectStream(l.stream), jetstream.WithStallWait(time.Minute)}
	if !l.byID {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(0))
	}
	before, err := l.server.used()
	if err != nil {
		return err
	}
	began, told := time.Now(), time.Now()
	var tenths []time.Time
	for i := range l.size {
		if _, err := js.PublishMsgAsync(l.message(i), options...); err != nil {
			return fmt.Errorf("bench: publish: %w", err)
		}
		if i+1 == (len(tenths)+1)*l.size/10 && len(tenths) < 9 {
			tenths = append(tenths, time.Now())
		}
		if i%fillWindow == 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if time.Since(told) > progressPeriod {
				told = time.Now()
				l.study.say("  %d of %d stored", i, l.size)
			}
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		return fmt.Errorf("bench: %d publishes were not answered within a minute", js.PublishAsyncPending())
	}
	if refused != nil {
		return fmt.Errorf("%w: %w", errRefused, refused)
	}
	rates(l.size, began, append(tenths, time.Now()), f)
	after, err := l.server.used()
	f[measurePublishCPU] = microseconds(after-before) / float64(l.size)
	return err
}

// progressPeriod is the time between two words of how far it is.
const progressPeriod = 10 * time.Second

const (
	// recent is how many of the last results are looked up as such.
	recent = 10_000
	// lookupTime bounds the look-ups of one kind.
	lookupTime = 30 * time.Second
)

// lookups measures how long the leader takes to find a result. Without subjects
// there is no look-up by reference: what is measured is the read of a message by
// its place in the stream, the least that a look-up costs.
func (l *ledger) lookups(ctx context.Context, n int, f figures) error {
	choose := rand.New(rand.NewPCG(1, 2)) // the same ones every time
	for _, kind := range []struct {
		p50, p99 string
		number   func() int
		there    bool
	}{
		{measureHitP50, measureHitP99, func() int { return choose.IntN(l.size) }, true},
		{measureMissP50, measureMissP99, func() int { return l.size + choose.IntN(l.size) }, false},
		{measureRecentP50, measureRecentP99, func() int { return l.size - 1 - choose.IntN(min(recent, l.size)) }, true},
	} {
		var took []time.Duration
		for began := time.Now(); len(took) < n && time.Since(began) < lookupTime; {
			one, err := l.lookup(ctx, kind.number(), kind.there)
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		f[kind.p50], f[kind.p99] = milliseconds(percentile(took, 0.50)), milliseconds(percentile(took, 0.99))
	}
	return nil
}

func (l *ledger) lookup(ctx context.Context, number int, there bool) (time.Duration, error) {
	question := fmt.Appendf(nil, `{"last_by_subj":%q}`, l.subject(reference(number)))
	if l.byID {
		question = fmt.Appendf(nil, `{"seq":%d}`, number+1)
	}
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	began := time.Now()
	reply, err := l.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+l.stream, question)
	took := time.Since(began)
	if err != nil {
		return took, fmt.Errorf("bench: look up: %w", err)
	}
	var answer said
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return took, fmt.Errorf("bench: look up: %w", err)
	}
	return took, answer.check(there)
}
