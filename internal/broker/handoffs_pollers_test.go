package broker_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/due"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/internal/worker"
)

// Three pollers of an account, hand-offs that come in bursts beside another account's,
// and a Redis that is emptied now and then: what is on the stream in the end has its
// time, whoever read it first.
func TestPollersMissNoHandoff(t *testing.T) {
	r := newDeclared(t)
	server := servertest.Redis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	ctx, stop := context.WithCancel(t.Context())
	var pollers sync.WaitGroup
	var given, ended atomic.Int64
	for range 3 {
		nc, js := r.server.Connect()
		source := due.New(due.Config{
			Index:  due.NewIndex(client, "purchases", "acme", 2*time.Hour),
			Stream: broker.NewHandoffs(js, wireOf(t, nc), declared.Subjects, "acme"),
			Lease:  2 * time.Second, Tick: 20 * time.Millisecond,
			First: func(time.Time, time.Time, uint64) time.Duration { return 50 * time.Millisecond },
		})
		pollers.Go(func() {
			for ctx.Err() == nil {
				// An error is a loss of Redis between two calls; the next pull goes on.
				_ = source.Pull(ctx, 64, func(chunk []*worker.Delivery) {
					for _, d := range chunk {
						if given.Add(1)%4 != 0 {
							_ = d.Acker.Retry(ctx, time.Hour)
						} else if d.Acker.Ack(ctx) == nil {
							ended.Add(1)
						}
					}
				})
			}
		})
	}
	t.Cleanup(func() {
		stop()
		pollers.Wait()
	})
	for burst := range 100 {
		var acks []jetstream.PubAckFuture
		for i := range 64 {
			subject := fmt.Sprintf("purchases.pending.%s.%d-%d", []string{"acme", "other"}[(burst+i/16)%2], burst, i)
			ack, err := r.js.PublishAsync(subject, []byte(`{"submittedAt":"2020-01-01T00:00:00Z"}`))
			if err != nil {
				t.Fatal(err)
			}
			acks = append(acks, ack)
		}
		for _, ack := range acks {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				t.Fatal(err)
			}
		}
		if burst%25 == 24 {
			server.Flush()
		}
	}
	stream, err := r.js.Stream(t.Context(), pending)
	if err != nil {
		t.Fatal(err)
	}
	h := handoffsOf(t, r, "acme")
	r.eventually(t, "all is in the index", func() bool {
		in := map[string]bool{}
		for _, member := range client.ZRange(t.Context(), "purchases:due:acme", 0, -1).Val() {
			in[member] = true
		}
		open := 0
		for from := uint64(1); ; {
			found, err := h.Scan(t.Context(), from, 256)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) == 0 {
				break
			}
			for _, f := range found {
				// One that was ended since the index was read is not on the stream any more.
				if !in[strconv.FormatUint(f.Sequence, 10)] {
					return false
				}
				open++
			}
			from = found[len(found)-1].Sequence + 1
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(declared.Subjects.AllPending("acme")))
		if err != nil {
			t.Fatal(err)
		}
		return ended.Load() > 100 && open >= len(info.State.Subjects)
	})
}
