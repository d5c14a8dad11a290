package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmjetstream "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/jetstream"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/vendor"
)

const (
	// watermillGroup names the durable consumer and its queue group.
	watermillGroup = "watermill"
	// watermillAckWait is longer than what a member has waiting for it can take: a
	// message that is pushed to it meanwhile is vended twice where its time runs out.
	watermillAckWait = 10 * time.Minute
	// watermillAhead is how many messages each subscription pulls ahead. The library's
	// default of 500 would leave most of them without work.
	watermillAhead = 10
)

func watermillLogger() watermill.LoggerAdapter {
	return watermill.NewSlogLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
}

// runWatermill is a router on the subscriber that Watermill's documentation
// recommends for production, pkg/nats: a durable push consumer with a queue group, of
// which each of SubscribersCount members handles one message at a time, and acks that
// wait for the server's answer.
//
// The server pushes as soon as the first member is there, and to members at random:
// what may be unacknowledged is twice what is to be in flight, so that few members
// are idle, and the first ones have more than their share to do at the start. Where
// the vendor takes its time that costs much; runWatermillPull has none of it.
func runWatermill(ctx context.Context, s settings) error {
	logger := watermillLogger()
	subscriber, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
		URL:              s.natsURL,
		QueueGroupPrefix: watermillGroup,
		SubscribersCount: s.inFlight,
		CloseTimeout:     10 * time.Second,
		AckWaitTimeout:   watermillAckWait,
		JetStream: wmnats.JetStreamConfig{
			DurablePrefix: watermillGroup,
			SubscribeOptions: []nats.SubOpt{
				nats.DeliverAll(),
				nats.AckExplicit(),
				nats.AckWait(watermillAckWait),
				nats.MaxAckPending(2 * s.inFlight),
			},
		},
	}, logger)
	if err != nil {
		return err
	}
	publisher, err := wmnats.NewPublisher(wmnats.PublisherConfig{URL: s.natsURL}, logger)
	if err != nil {
		return err
	}
	defer func() { _ = publisher.Close() }()
	return route(ctx, s, logger, publisher, func(router *message.Router, handler message.NoPublishHandlerFunc) {
		router.AddConsumerHandler("purchases", s.subjects.Requests(account), subscriber, handler)
	})
}

// runWatermillPull is a router on Watermill's other subscriber, pkg/jetstream, which
// calls itself experimental: the pull consumer that is there. A subscription handles
// one message at a time, so there are as many as are to be in flight.
func runWatermillPull(ctx context.Context, s settings) error {
	if s.inFlight > mostWaiting {
		return errTooMany
	}
	logger := watermillLogger()
	subscriber, err := wmjetstream.NewSubscriber(wmjetstream.SubscriberConfig{
		URL:            s.natsURL,
		Logger:         logger,
		AckWaitTimeout: watermillAckWait,
		ResourceInitializer: wmjetstream.ExistingConsumer(func(string, string) jetstream.ConsumerConfig {
			return jetstream.ConsumerConfig{Name: account}
		}, ""),
		ConsumeOptions: []jetstream.PullConsumeOpt{jetstream.PullMaxMessages(watermillAhead)},
	})
	if err != nil {
		return err
	}
	publisher, err := wmjetstream.NewPublisher(wmjetstream.PublisherConfig{URL: s.natsURL, Logger: logger})
	if err != nil {
		return err
	}
	defer func() { _ = publisher.Close() }()
	return route(ctx, s, logger, publisher, func(router *message.Router, handler message.NoPublishHandlerFunc) {
		for i := range s.inFlight {
			router.AddConsumerHandler(fmt.Sprintf("purchases-%d", i), s.subjects.RequestsStream(), subscriber, handler)
		}
	})
}

// route runs a router with consumer handlers until ctx ends. A handler that is given
// one topic to publish to does not do, since each result has a subject of its own;
// Watermill recommends an injected publisher then.
//
// Of the HTTP client it has vendstream's pool of connections: net/http's default keeps
// two, which would be all that is measured.
func route(ctx context.Context, s settings, logger watermill.LoggerAdapter, publisher message.Publisher, add func(*message.Router, message.NoPublishHandlerFunc)) error {
	router, err := message.NewRouter(message.RouterConfig{}, logger)
	if err != nil {
		return err
	}
	router.AddMiddleware(middleware.Recoverer)
	transport := vendor.NewTransport(s.inFlight)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	add(router, func(m *message.Message) error {
		ref, err := reference(m.Payload)
		if err != nil {
			return err
		}
		answer, err := post(m.Context(), client, s.vendorURL, m.Payload)
		if err != nil {
			return err
		}
		return publisher.Publish(s.subjects.Result(account, ref), message.NewMessage(watermill.NewUUID(), answer))
	})
	return router.Run(ctx)
}
