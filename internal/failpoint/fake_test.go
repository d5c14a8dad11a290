package failpoint

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// fake has every effect of every port: each does nothing but count, and answers
// with something that is not zero where it can.
type fake struct{ calls *int }

var someone = purchase.Outcome{Kind: purchase.Completed, TransactionID: "t-1"}

func (f fake) Pull(_ context.Context, _ int, each func([]*worker.Delivery)) error {
	*f.calls++
	each([]*worker.Delivery{{Acker: f}})
	return nil
}
func (f fake) Ack(context.Context) error                  { *f.calls++; return nil }
func (f fake) Retry(context.Context, time.Duration) error { *f.calls++; return nil }
func (f fake) Progress(context.Context) error             { *f.calls++; return nil }

func (f fake) Purchase(context.Context, string, []byte) purchase.Outcome {
	*f.calls++
	return someone
}
func (f fake) Transaction(context.Context, string, string) purchase.Outcome {
	*f.calls++
	return someone
}
func (f fake) Lookup(context.Context, purchase.LookupKind, []byte) (purchase.Outcome, json.RawMessage) {
	*f.calls++
	return someone, json.RawMessage("{}")
}

func (f fake) Claim(context.Context, []dedupe.Claim) ([]dedupe.Answer, error) {
	*f.calls++
	return make([]dedupe.Answer, 1), nil
}
func (f fake) Release(context.Context, dedupe.Claim, int, bool) (bool, error) {
	*f.calls++
	return true, nil
}
func (f fake) Reopen(context.Context, dedupe.Claim, purchase.ClaimState) (dedupe.Answer, error) {
	*f.calls++
	return dedupe.Answer{Attempts: 1}, nil
}
func (f fake) Extend(context.Context, []dedupe.Claim) ([]bool, error) {
	*f.calls++
	return []bool{true}, nil
}
func (f fake) MarkSent(context.Context, dedupe.Claim) (bool, error) { *f.calls++; return true, nil }
func (f fake) MarkPending(context.Context, dedupe.Key, purchase.Digest, string, int) (purchase.ClaimState, error) {
	*f.calls++
	return purchase.Pending, nil
}
func (f fake) MarkSettled(context.Context, dedupe.Key, purchase.Digest) (purchase.ClaimState, error) {
	*f.calls++
	return purchase.Settled, nil
}
func (f fake) Ping(context.Context) error { *f.calls++; return nil }
func (f fake) HoldPost(context.Context, dedupe.Claim, time.Duration) (dedupe.Hold, error) {
	*f.calls++
	return dedupe.Hold{Ours: true}, nil
}

func (f fake) Result(context.Context, string, string) (*purchase.Result, error) {
	*f.calls++
	return &purchase.Result{}, nil
}
func (f fake) Look(context.Context, string, []string) ([]publisher.Known, error) {
	*f.calls++
	return []publisher.Known{{}}, nil
}
func (f fake) Handoff(context.Context, string, string) (*purchase.Handoff, uint64, error) {
	*f.calls++
	return &purchase.Handoff{}, 7, nil
}
func (f fake) PublishResult(context.Context, *purchase.Result, string) (*purchase.Result, error) {
	*f.calls++
	return &purchase.Result{}, nil
}
func (f fake) PublishHandoff(context.Context, *purchase.Handoff, string) (*purchase.Handoff, error) {
	*f.calls++
	return &purchase.Handoff{}, nil
}
func (f fake) ReplaceHandoff(context.Context, *purchase.Handoff, string, uint64) (*purchase.Handoff, error) {
	*f.calls++
	return &purchase.Handoff{}, nil
}

func (f fake) PublishDead(context.Context, publisher.DeadLetter) error { *f.calls++; return nil }
func (f fake) DeadSequences(context.Context, string) (map[uint64]bool, error) {
	*f.calls++
	return map[uint64]bool{7: true}, nil
}
func (f fake) Original(context.Context, string, uint64) (publisher.DeadLetter, error) {
	*f.calls++
	return publisher.DeadLetter{Sequence: 7}, nil
}

func (f fake) Take(context.Context, int) (quota.Permits, time.Duration, error) {
	*f.calls++
	return quota.Permits{}, time.Second, nil
}
func (f fake) GiveBack(context.Context, quota.Permits) error { *f.calls++; return nil }
func (f fake) Penalize(context.Context, time.Duration) error { *f.calls++; return nil }
func (f fake) Check(context.Context, *purchase.Request) *purchase.Refusal {
	*f.calls++
	return &purchase.Refusal{}
}
func (f fake) Stale() { *f.calls++ }

func (f fake) Accounts(context.Context) ([]string, error)   { *f.calls++; return []string{"a"}, nil }
func (f fake) Served(context.Context, string) (bool, error) { *f.calls++; return true, nil }
func (f fake) Next(context.Context, string, uint64) (*worker.Delivery, error) {
	*f.calls++
	return &worker.Delivery{}, nil
}

func (f fake) Load(context.Context, string) ([]byte, time.Duration, error) {
	*f.calls++
	return []byte("r"), time.Second, nil
}
func (f fake) Acquire(context.Context, string, string, []byte, time.Duration) (bool, error) {
	*f.calls++
	return true, nil
}
func (f fake) Store(context.Context, string, string, []byte, time.Duration) (bool, error) {
	*f.calls++
	return true, nil
}

func (f fake) Publish(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	*f.calls++
	return &jetstream.PubAck{}, nil
}
func (f fake) RequestAll(context.Context, []publisher.Ask) ([]*nats.Msg, error) {
	*f.calls++
	return nil, nil
}
func (f fake) Collect(context.Context, publisher.Ask) ([]*nats.Msg, error) {
	*f.calls++
	return nil, nil
}
func (f fake) PublishAsync(*nats.Msg, ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	*f.calls++
	return nil, nil
}
func (f fake) Request(context.Context, string, []byte) (*nats.Msg, error) {
	*f.calls++
	return &nats.Msg{}, nil
}

func (f fake) Record() pause.Record                         { return pause.Record{} }
func (f fake) Probe(context.Context, bool) bool             { *f.calls++; return true }
func (f fake) Observe(purchase.Outcome, pause.Call)         { *f.calls++ }
func (f fake) Make(context.Context) error                   { *f.calls++; return nil }
func (f fake) Pass(context.Context, *worker.Delivery) error { *f.calls++; return nil }
func (f fake) Find(context.Context) (broker.Puller, error) {
	*f.calls++
	return &broker.Source{}, nil
}

// fakePauses is the same for the store of pauses, whose Load is another.
type fakePauses struct{ calls *int }

func (f fakePauses) Load(context.Context, string) (pause.Entry, error) {
	*f.calls++
	return pause.Entry{Revision: 7}, nil
}
func (f fakePauses) Save(context.Context, string, pause.Record, uint64) (pause.Entry, error) {
	*f.calls++
	return pause.Entry{Revision: 7}, nil
}
func (f fakePauses) Watch(_ context.Context, each func(string, pause.Entry), seen func()) error {
	*f.calls++
	seen()
	each("acme", pause.Entry{})
	return nil
}
