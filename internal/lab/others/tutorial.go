package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
)

const (
	// tutorialBatch is how many messages a loop fetches.
	tutorialBatch = 10
	// mostWaiting is how many requests for messages the server lets wait at a consumer.
	mostWaiting = 512
)

var errTooMany = fmt.Errorf("each of those in flight asks for messages, and the server lets %d ask one consumer", mostWaiting)

// runTutorial is what tutorials show, as often as there are to be purchases in flight:
// fetch ten, and for each of them SET NX against repeats, http.DefaultClient, publish,
// ack. (A death behind SET NX loses the purchase.) http.DefaultClient keeps two
// connections, so most calls open one; of a run of more than some 28,000 purchases
// the ports may run out.
func runTutorial(ctx context.Context, s settings) error {
	if s.inFlight > mostWaiting {
		return errTooMany
	}
	nc, js, err := connect(s)
	if err != nil {
		return err
	}
	defer nc.Close()
	options, err := redis.ParseURL(s.redisURL)
	if err != nil {
		return err
	}
	rdb := redis.NewClient(options)
	defer func() { _ = rdb.Close() }()
	consumer, err := js.Consumer(ctx, s.subjects.RequestsStream(), account)
	if err != nil {
		return err
	}
	handle := func(ctx context.Context, m jetstream.Msg) error {
		ref, err := reference(m.Data())
		if err != nil {
			return err
		}
		fresh, err := rdb.SetNX(ctx, "seen:"+ref, 1, 24*time.Hour).Result()
		if err != nil {
			return err
		}
		if !fresh {
			return m.Ack()
		}
		answer, err := post(ctx, http.DefaultClient, s.vendorURL, m.Data())
		if err != nil {
			return err
		}
		if _, err := js.Publish(ctx, s.subjects.Result(account, ref), answer); err != nil {
			return err
		}
		return m.Ack()
	}
	return crew(ctx, s.inFlight, func(ctx context.Context) error {
		for ctx.Err() == nil {
			batch, err := consumer.Fetch(tutorialBatch, jetstream.FetchMaxWait(time.Second))
			if err != nil {
				return err
			}
			for m := range batch.Messages() {
				if err := handle(ctx, m); err != nil {
					return err
				}
			}
			if err := batch.Error(); err != nil {
				return err
			}
		}
		return nil
	})
}
