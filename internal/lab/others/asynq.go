package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/hibiken/asynq"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/vendor"
)

// purchaseTask is the type of a task whose payload is a request's body.
const purchaseTask = "purchase"

// queue is asynq's default one.
const queue = "default"

// prepareAsynq enqueues a task for each request on the stream. asynq takes its work
// from Redis alone: what it is compared with is another queue, which was filled before
// the clock started.
func prepareAsynq(ctx context.Context, s settings) error {
	options, err := asynq.ParseRedisURI(s.redisURL)
	if err != nil {
		return err
	}
	nc, js, err := connect(s)
	if err != nil {
		return err
	}
	defer nc.Close()
	stream, err := js.Stream(ctx, s.subjects.RequestsStream())
	if err != nil {
		return err
	}
	n := int(stream.CachedInfo().State.Msgs)
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	client := asynq.NewClient(options)
	defer func() { _ = client.Close() }()
	bodies := make(chan []byte)
	go func() {
		defer close(bodies)
		for range n {
			m, err := messages.Next()
			if err != nil {
				return // the count below shows it
			}
			bodies <- m.Data()
		}
	}()
	err = crew(ctx, 16, func(ctx context.Context) error {
		var failed error
		for body := range bodies { // to the end, or the one who reads them would wait
			if failed == nil {
				_, failed = client.EnqueueContext(ctx, asynq.NewTask(purchaseTask, body))
			}
		}
		return failed
	})
	if err != nil {
		return err
	}
	info, err := inspect(options)
	if err == nil && info.Pending != n {
		err = fmt.Errorf("%d of %d tasks are enqueued", info.Pending, n)
	}
	return err
}

// runAsynq is a server with a mux and the defaults. Its result goes to JetStream, as
// everybody's does. A task that is left over at the end is an error.
func runAsynq(ctx context.Context, s settings) error {
	options, err := asynq.ParseRedisURI(s.redisURL)
	if err != nil {
		return err
	}
	nc, js, err := connect(s)
	if err != nil {
		return err
	}
	defer nc.Close()
	transport := vendor.NewTransport(s.inFlight)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	mux := asynq.NewServeMux()
	mux.HandleFunc(purchaseTask, func(ctx context.Context, t *asynq.Task) error {
		ref, err := reference(t.Payload())
		if err != nil {
			return err
		}
		answer, err := post(ctx, client, s.vendorURL, t.Payload())
		if err != nil {
			return err
		}
		_, err = js.Publish(ctx, s.subjects.Result(account, ref), answer)
		return err
	})
	server := asynq.NewServer(options, asynq.Config{Concurrency: s.inFlight})
	if err := server.Start(mux); err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	info, err := inspect(options)
	if err != nil {
		return err
	}
	if info.Size != 0 || info.ProcessedTotal == 0 || info.FailedTotal != 0 {
		return fmt.Errorf("%d tasks were processed, %d of them failed, %d are left over", info.ProcessedTotal, info.FailedTotal, info.Size)
	}
	return nil
}

func inspect(options asynq.RedisConnOpt) (*asynq.QueueInfo, error) {
	inspector := asynq.NewInspector(options)
	defer func() { _ = inspector.Close() }()
	return inspector.GetQueueInfo(queue)
}
