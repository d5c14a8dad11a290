package broker

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/publisher"
)

// DeadRetention is how long dead letters are kept (contract, "Subjects and streams").
const DeadRetention = 90 * 24 * time.Hour

// minAckWait keeps progress acks, sent three times in this time, from becoming
// a load of their own.
const minAckWait = 2 * time.Second

// Topology is the streams and consumers that the pipeline needs.
type Topology struct {
	Subjects publisher.Subjects
	Replicas int
	// Results is retention.results.
	Results time.Duration
	// AckWait is how long a delivery may go without a progress ack before it is
	// delivered again. The lease of a claim, by default.
	AckWait  time.Duration
	Accounts []string
}

// Streams declares the four streams (contract, "Subjects and streams").
func (t Topology) Streams() []jetstream.StreamConfig {
	once := func(c jetstream.StreamConfig) jetstream.StreamConfig {
		c.Retention = jetstream.LimitsPolicy
		c.MaxMsgsPerSubject = 1
		c.DiscardNewPerSubject = true
		return c
	}
	streams := []jetstream.StreamConfig{
		{
			Name:        t.Subjects.RequestsStream(),
			Description: "Every purchase asked for",
			Subjects:    []string{t.Subjects.AllRequests()},
			Retention:   jetstream.LimitsPolicy,
		},
		{
			Name:        t.Subjects.PendingStream(),
			Description: "Purchases submitted and not yet terminal",
			Subjects:    []string{t.Subjects.AllPending("*")},
			Retention:   jetstream.WorkQueuePolicy,
			// For pollers with a due index. Any copy may answer: they bear that.
			AllowDirect: true,
		},
		once(jetstream.StreamConfig{
			Name:        t.Subjects.ResultsStream(),
			Description: "The terminal result of each purchase",
			Subjects:    []string{t.Subjects.AllResults("*")},
			MaxAge:      t.Results,
			// Looks of many purchases at once cost the server less. Where there are more
			// copies than one, any of them would answer.
			AllowDirect: t.Replicas <= 1,
		}),
		once(jetstream.StreamConfig{
			Name:        t.Subjects.DeadStream(),
			Description: "Messages that can have no result",
			Subjects:    []string{t.Subjects.AllDead("*")},
			MaxAge:      DeadRetention,
		}),
	}
	for i := range streams {
		s := &streams[i]
		s.Storage = jetstream.FileStorage
		s.Replicas = max(1, t.Replicas)
		// When full, the publisher gets the error and nothing is dropped.
		s.Discard = jetstream.DiscardNew
		s.MaxMsgs, s.MaxBytes, s.MaxMsgSize, s.MaxConsumers = -1, -1, -1, -1
		if s.MaxMsgsPerSubject == 0 {
			s.MaxMsgsPerSubject = -1
		}
	}
	return streams
}

// ConsumerOf is a declared consumer and the stream it reads.
type ConsumerOf struct {
	Stream string
	Config jetstream.ConsumerConfig
}

// Bucket declares the key-value bucket with the accounts' pauses. Its history is
// for operators.
func (t Topology) Bucket() jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:      t.Subjects.AccountsBucket(),
		Description: "Which accounts are paused, by whom and why",
		History:     10,
		Storage:     jetstream.FileStorage,
		Replicas:    max(1, t.Replicas),
	}
}

// Consumers declares, for each account, the consumer of its requests and of its
// hand-offs. Both are named after the account.
func (t Topology) Consumers() []ConsumerOf {
	var all []ConsumerOf
	for _, account := range t.Accounts {
		all = append(all, t.RequestsConsumer(account), t.PendingConsumer(account))
	}
	return all
}

// RequestsConsumer declares the consumer of an account's requests.
func (t Topology) RequestsConsumer(account string) ConsumerOf {
	return ConsumerOf{t.Subjects.RequestsStream(), t.consumer(account, t.Subjects.Requests(account))}
}

// LowConsumer declares the second consumer of an account's requests, which works
// on those of low priority. Its name can be no account's. It is made when the
// first such request is seen.
func (t Topology) LowConsumer(account string) ConsumerOf {
	c := t.RequestsConsumer(account)
	c.Config.Durable = LowName(account)
	return c
}

// LowName is the name of the consumer of an account's requests of low priority.
func LowName(account string) string { return "LOW-" + account }

// Unsettled is how many messages wait or are worked on, as far as the consumers
// of an account's requests show it. low may be nil. With it the number is an
// upper bound: what one of them has not been delivered yet may be the other's.
func Unsettled(all, low *jetstream.ConsumerInfo) uint64 {
	waiting, working := all.NumPending, all.NumAckPending
	if low != nil {
		waiting, working = max(waiting, low.NumPending), working+low.NumAckPending
	}
	return waiting + uint64(max(0, working))
}

// PendingConsumer declares the consumer of an account's hand-offs.
func (t Topology) PendingConsumer(account string) ConsumerOf {
	return ConsumerOf{t.Subjects.PendingStream(), t.consumer(account, t.Subjects.AllPending(account))}
}

func (t Topology) consumer(account, filter string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       account,
		FilterSubject: filter,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       max(minAckWait, t.AckWait),
		// Reached, it would mean stuck and not dead-lettered: the code decides.
		MaxDeliver: -1,
		// Delayed redeliveries count as pending acks: a limit would stop the
		// consumer while purchases wait. The pool's room is the limit.
		MaxAckPending: -1,
		MaxWaiting:    512,
		ReplayPolicy:  jetstream.ReplayInstantPolicy,
	}
}
