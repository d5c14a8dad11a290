package simulation

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// shortWait is the ack wait of the suite, which runs in real time.
const shortWait = 2 * time.Second

// target is what the suite is run against: the model, or a real server.
type target struct {
	nc      *nats.Conn
	source  func(t *testing.T) worker.Source // of requests
	low     func(t *testing.T) worker.Source // of the consumer of low priority, which it makes
	remove  func(t *testing.T, stream string, sequence uint64)
	setFull func(t *testing.T, stream string, full bool)
}

func modelTarget(t *testing.T) target {
	s := newStreams(topology(shortWait))
	quiet := &fate{seed: 1, calm: true, start: time.Now(), nth: map[uint64]int{}, away: map[string]time.Time{}}
	p := &process{fate: quiet, name: "suite", die: func() {}}
	nc, err := (&link{process: p, streams: s}).connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return target{
		nc:     nc,
		source: func(*testing.T) worker.Source { return &source{process: p, stream: s.requests, wait: time.Second} },
		low: func(*testing.T) worker.Source {
			s.requests.makeLane()
			return &source{process: p, stream: s.requests, wait: time.Second, who: low}
		},
		remove:  func(_ *testing.T, stream string, sequence uint64) { s.named(stream).remove(sequence) },
		setFull: func(_ *testing.T, stream string, full bool) { s.named(stream).setFull(full) },
	}
}

func realTarget(t *testing.T) target {
	nc, js := servertest.NATS(t).Connect()
	top := topology(shortWait)
	if _, err := broker.Ensure(t.Context(), js, top); err != nil {
		t.Fatal(err)
	}
	stream := func(t *testing.T, name string) jetstream.Stream {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return target{
		nc: nc,
		source: func(t *testing.T) worker.Source {
			s, err := broker.NewSource(t.Context(), js, top.RequestsConsumer("acme"))
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		low: func(t *testing.T) worker.Source {
			want := top.LowConsumer("acme")
			if _, err := js.CreateConsumer(t.Context(), want.Stream, want.Config); err != nil {
				t.Fatal(err)
			}
			s, err := broker.NewSource(t.Context(), js, want)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		remove: func(t *testing.T, name string, sequence uint64) {
			if err := stream(t, name).DeleteMsg(t.Context(), sequence); err != nil {
				t.Fatal(err)
			}
		},
		setFull: func(t *testing.T, name string, full bool) {
			config := stream(t, name).CachedInfo().Config
			config.MaxBytes = -1
			if full {
				config.MaxBytes = int64(stream(t, name).CachedInfo().State.Bytes) + 1
			}
			if _, err := js.UpdateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// The model of JetStream does what the real one does, as far as the pipeline
// rests on it.
func TestModelIsLikeTheServer(t *testing.T) {
	for name, make := range map[string]func(*testing.T) target{"model": modelTarget, "server": realTarget} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, run := range map[string]func(*testing.T, target){
				"once":       suiteOnce,
				"expected":   suiteExpected,
				"duplicates": suiteDuplicates,
				"full":       suiteFull,
				"read":       suiteRead,
				"store":      suiteStore,
				"redelivery": suiteRedelivery,
				"nak":        suiteNak,
				"late ack":   suiteLateAck,
				"progress":   suiteProgress,
				"lane":       suiteLane,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					run(t, make(t))
				})
			}
		})
	}
}

// put publishes, and gives the sequence or the error's code.
func put(t *testing.T, x target, subject, id string, options ...jetstream.PublishOpt) (sequence uint64, code jetstream.ErrorCode, duplicate bool) {
	t.Helper()
	js, err := jetstream.New(x.nc)
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg(subject)
	m.Data = []byte("{}")
	if id != "" {
		m.Header.Set("Nats-Msg-Id", id)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ack, err := js.PublishMsg(ctx, m, options...)
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		return 0, api.ErrorCode, false
	case err != nil:
		t.Fatal(err)
	}
	return ack.Sequence, 0, ack.Duplicate
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// A subject of the results takes one message, whatever its id, until it is gone.
func suiteOnce(t *testing.T, x target) {
	subject := subjects.Result("acme", "r")
	first, code, _ := put(t, x, subject, "a")
	want(t, "first", code, 0)
	_, code, _ = put(t, x, subject, "b")
	want(t, "second", code, 10077)
	_, code, _ = put(t, x, subjects.Result("acme", "other"), "c")
	want(t, "another subject", code, 0)
	x.remove(t, subjects.ResultsStream(), first)
	_, code, _ = put(t, x, subject, "d")
	want(t, "after it was removed", code, 0)
}

func suiteExpected(t *testing.T, x target) {
	subject := subjects.Pending("acme", "r")
	_, code, _ := put(t, x, subject, "", jetstream.WithExpectLastSequencePerSubject(7))
	want(t, "after one that is not there", code, 10071)
	first, code, _ := put(t, x, subject, "", jetstream.WithExpectLastSequencePerSubject(0))
	want(t, "first", code, 0)
	_, code, _ = put(t, x, subject, "", jetstream.WithExpectLastSequencePerSubject(0))
	want(t, "first again", code, 10071)
	second, code, _ := put(t, x, subject, "", jetstream.WithExpectLastSequencePerSubject(first))
	want(t, "second", code, 0)
	x.remove(t, subjects.PendingStream(), second)
	_, code, _ = put(t, x, subject, "", jetstream.WithExpectLastSequencePerSubject(first))
	want(t, "after the second was removed", code, 0)
	_, code, _ = put(t, x, subject, "", jetstream.WithExpectStream("OTHER"))
	want(t, "another stream", code, 10060)
}

func suiteDuplicates(t *testing.T, x target) {
	subject := subjects.Requests("acme")
	first, _, duplicate := put(t, x, subject, "a")
	want(t, "first is a duplicate", duplicate, false)
	again, code, duplicate := put(t, x, subject, "a")
	want(t, "again", fmt.Sprint(again, code, duplicate), fmt.Sprint(first, 0, true))
	// The expected sequence is looked at before the id, and the id before the limit
	// of a subject; it is known of a message that is gone.
	subject = subjects.Result("acme", "r")
	first, _, _ = put(t, x, subject, "b", jetstream.WithExpectLastSequencePerSubject(0))
	again, code, duplicate = put(t, x, subject, "b", jetstream.WithExpectLastSequencePerSubject(0))
	want(t, "expected and again", fmt.Sprint(again, code, duplicate), fmt.Sprint(0, 10071, false))
	again, code, duplicate = put(t, x, subject, "b")
	want(t, "again where there may be one", fmt.Sprint(again, code, duplicate), fmt.Sprint(first, 0, true))
	x.remove(t, subjects.ResultsStream(), first)
	again, code, duplicate = put(t, x, subject, "b")
	want(t, "removed and again", fmt.Sprint(again, code, duplicate), fmt.Sprint(first, 0, true))
}

func suiteFull(t *testing.T, x target) {
	subject := subjects.Result("acme", "r")
	put(t, x, subject, "a")
	x.setFull(t, subjects.ResultsStream(), true)
	_, code, _ := put(t, x, subjects.Result("acme", "other"), "")
	want(t, "full", code, 10077)
	_, _, duplicate := put(t, x, subject, "a")
	want(t, "full, and a duplicate", duplicate, true)
	x.setFull(t, subjects.ResultsStream(), false)
	_, code, _ = put(t, x, subjects.Result("acme", "other"), "")
	want(t, "room again", code, 0)
}

// The real store reads the same from both.
func suiteRead(t *testing.T, x target) {
	store, err := publisher.NewStore(x.nc, subjects)
	if err != nil {
		t.Fatal(err)
	}
	h, sequence, err := store.Handoff(t.Context(), "acme", "r")
	want(t, "nothing there", fmt.Sprint(h, sequence, err), "<nil> 0 <nil>")
	first, _, _ := put(t, x, subjects.Pending("acme", "r"), "")
	second, _, _ := put(t, x, subjects.Pending("acme", "r"), "")
	_, sequence, err = store.Handoff(t.Context(), "acme", "r")
	want(t, "the newest", fmt.Sprint(sequence, err), fmt.Sprint(second, nil))
	x.remove(t, subjects.PendingStream(), second)
	_, sequence, _ = store.Handoff(t.Context(), "acme", "r")
	want(t, "the one before", sequence, first)
	put(t, x, subjects.Dead("acme", 5), "")
	put(t, x, subjects.Dead("acme", 7), "")
	dead, err := store.DeadSequences(t.Context(), "acme")
	want(t, "dead letters", fmt.Sprint(dead, err), fmt.Sprint(map[uint64]bool{5: true, 7: true}, nil))
	request, _, _ := put(t, x, subjects.Requests("acme"), "an id")
	original, err := store.Original(t.Context(), "acme", request)
	want(t, "a request", fmt.Sprint(string(original.Body), original.Header["Nats-Msg-Id"], err), fmt.Sprint("{}", []string{"an id"}, nil))
	original, err = store.Original(t.Context(), "acme", request+1)
	want(t, "no request", fmt.Sprint(original.Body == nil, err), fmt.Sprint(true, nil))
}

// And it comes to the same ends.
func suiteStore(t *testing.T, x target) {
	store, err := publisher.NewStore(x.nc, subjects)
	if err != nil {
		t.Fatal(err)
	}
	h := purchase.Handoff{Account: "acme", MerchantReference: "r", State: purchase.OpenUnknown, Request: []byte("{}")}
	there, err := store.PublishHandoff(t.Context(), &h, "")
	want(t, "first", fmt.Sprint(there, err), "<nil> <nil>")
	h.State = purchase.OpenInFlight
	there, err = store.PublishHandoff(t.Context(), &h, "")
	want(t, "first again", fmt.Sprint(there.State, err), fmt.Sprint(purchase.OpenUnknown, nil))
	_, sequence, _ := store.Handoff(t.Context(), "acme", "r")
	there, err = store.ReplaceHandoff(t.Context(), &h, "", sequence)
	want(t, "replaced", fmt.Sprint(there, err), "<nil> <nil>")
	_, err = store.ReplaceHandoff(t.Context(), &purchase.Handoff{Account: "acme", MerchantReference: "none", Request: []byte("{}")}, "", 99)
	want(t, "replaced what is gone", errors.Is(err, publisher.ErrGone), true)
	r := purchase.Result{Account: "acme", MerchantReference: "r", Status: purchase.StatusFailed, RequestDigest: "one"}
	stored, err := store.PublishResult(t.Context(), &r, "")
	want(t, "result", fmt.Sprint(stored, err), "<nil> <nil>")
	r.RequestDigest = "two"
	stored, err = store.PublishResult(t.Context(), &r, "")
	want(t, "another result", fmt.Sprint(stored.RequestDigest, err), fmt.Sprint("one", nil))
}
