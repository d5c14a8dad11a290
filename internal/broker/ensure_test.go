package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/publisher"
)

// What the contract says of the streams, read back from the server.
func TestEnsureMakesWhatTheContractSays(t *testing.T) {
	r := newDeclared(t)
	for name, want := range map[string]struct {
		subject    string
		retention  jetstream.RetentionPolicy
		age        time.Duration
		perSubject int64
	}{
		requests: {"purchases.requests.*", jetstream.LimitsPolicy, 0, -1},
		pending:  {"purchases.pending.*.*", jetstream.WorkQueuePolicy, 0, -1},
		results:  {"purchases.results.*.*", jetstream.LimitsPolicy, 48 * time.Hour, 1},
		graves:   {"purchases.dead.*.*", jetstream.LimitsPolicy, 90 * 24 * time.Hour, 1},
	} {
		c := r.stream(t, name)
		if len(c.Subjects) != 1 || c.Subjects[0] != want.subject || c.Retention != want.retention || c.MaxAge != want.age ||
			c.MaxMsgsPerSubject != want.perSubject || c.DiscardNewPerSubject != (want.perSubject == 1) {
			t.Errorf("%s: %+v", name, c)
		}
		if c.Discard != jetstream.DiscardNew || c.Storage != jetstream.FileStorage || c.Replicas != 1 ||
			c.MaxBytes != -1 || c.MaxMsgs != -1 || c.AllowRollup || c.NoAck || c.AllowMsgTTL || c.Description == "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for stream, filter := range map[string]string{requests: "purchases.requests.%s", pending: "purchases.pending.%s.*"} {
		for _, account := range declared.Accounts {
			c := r.consumer(t, stream, account)
			if c.FilterSubject != fmt.Sprintf(filter, account) || c.AckPolicy != jetstream.AckExplicitPolicy || c.DeliverPolicy != jetstream.DeliverAllPolicy ||
				c.AckWait != time.Minute || c.MaxDeliver != -1 || c.MaxAckPending != -1 || len(c.BackOff) != 0 {
				t.Errorf("%s/%s: %+v", stream, account, c)
			}
		}
	}
}

func TestPrefixAndAckWait(t *testing.T) {
	r := newRig(t)
	topology := declared
	topology.Subjects, topology.AckWait = publisher.Subjects{Prefix: "eu.buy"}, time.Millisecond
	if _, err := broker.Ensure(t.Context(), r.js, topology); err != nil {
		t.Fatal(err)
	}
	if c := r.stream(t, "EU_BUY_RESULTS"); c.Subjects[0] != "eu.buy.results.*.*" {
		t.Errorf("%+v", c)
	}
	if c := r.consumer(t, "EU_BUY_PENDING", "acme"); c.AckWait != 2*time.Second {
		t.Errorf("ack wait %s", c.AckWait)
	}
}

func TestEnsureLeavesWhatExists(t *testing.T) {
	r := newRig(t)
	c := declaredStream(t, results)
	c.MaxBytes, c.MaxAge, c.Description, c.Duplicates = 1<<20, time.Hour, "mine", time.Minute
	c.Subjects = []string{"purchases.results.>"}
	if _, err := r.js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := r.js.CreateStream(t.Context(), declaredStream(t, requests)); err != nil {
		t.Fatal(err)
	}
	own := declared.RequestsConsumer("acme").Config
	own.AckWait = 3 * time.Minute
	if _, err := r.js.CreateConsumer(t.Context(), requests, own); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		found, err := broker.Ensure(t.Context(), r.js, declared)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, d := range found {
			all = append(all, d.String())
			if d.Breaks != "" {
				t.Errorf("harmful: %s", d)
			}
		}
		want := []string{
			"stream PURCHASES_RESULTS: subjects is purchases.results.>, declared purchases.results.*.*",
			"stream PURCHASES_RESULTS: max_age is 1h0m0s, declared 48h0m0s",
			"consumer PURCHASES_REQUESTS/acme: ack_wait is 3m0s, declared 1m0s",
		}
		if strings.Join(all, "\n") != strings.Join(want, "\n") {
			t.Errorf("found %q", all)
		}
	}
	if got := r.stream(t, results); got.MaxBytes != 1<<20 || got.MaxAge != time.Hour || got.Description != "mine" || got.Duplicates != time.Minute {
		t.Errorf("changed: %+v", got)
	}
	if got := r.consumer(t, requests, "acme"); got.AckWait != 3*time.Minute {
		t.Errorf("changed: %+v", got)
	}
	r.consumer(t, pending, "other") // made all the same
}

func TestEnsureRefusesContradictions(t *testing.T) {
	r := newRig(t)
	type change = func(*jetstream.StreamConfig)
	for _, c := range []struct {
		stream, setting, have, want string
		change                      change
	}{
		{requests, "subjects", "elsewhere.*", "purchases.requests.*", func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere.*"} }},
		{results, "subjects", "purchases.results.acme.*", "purchases.results.*.*", func(c *jetstream.StreamConfig) { c.Subjects = []string{"purchases.results.acme.*"} }},
		{requests, "retention", "Interest", "Limits", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }},
		{pending, "retention", "Limits", "WorkQueue", func(c *jetstream.StreamConfig) { c.Retention = jetstream.LimitsPolicy }},
		{results, "storage", "Memory", "File", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }},
		{requests, "discard", "DiscardOld", "DiscardNew", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{requests, "no_ack", "true", "false", func(c *jetstream.StreamConfig) { c.NoAck = true }},
		{results, "allow_rollup_hdrs", "true", "false", func(c *jetstream.StreamConfig) { c.AllowRollup = true }},
		{results, "allow_msg_ttl", "true", "false", func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }},
		{results, "max_msgs_per_subject", "-1", "1", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = -1, false }},
		{graves, "discard_new_per_subject", "false", "true", func(c *jetstream.StreamConfig) { c.DiscardNewPerSubject = false }},
		{requests, "max_msgs_per_subject", "5", "-1", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 }},
		{requests, "max_age", "1h0m0s", "0s", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{pending, "max_age", "1h0m0s", "0s", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{results, "max_msg_size", "1024", "-1", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1024 }},
		{requests, "subjects", "purchases.requests.>", "purchases.requests.*", func(c *jetstream.StreamConfig) { c.Subjects = []string{"purchases.requests.>"} }},
		{requests, "subjects", "other.x, purchases.requests.*", "purchases.requests.*", func(c *jetstream.StreamConfig) {
			c.Subjects = []string{"purchases.requests.*", "other.x"}
		}},
		{results, "subject_transform", "set", "none", func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "purchases.results.*.*", Destination: "x.{{wildcard(1)}}.{{wildcard(2)}}"}
		}},
		{results, "mirror", "set", "none", func(c *jetstream.StreamConfig) {
			c.Subjects, c.Discard, c.DiscardNewPerSubject, c.MaxMsgsPerSubject = nil, jetstream.DiscardOld, false, -1
			c.Mirror = &jetstream.StreamSource{Name: "ELSEWHERE"}
		}},
		{results, "persist_mode", "Async", "Default", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }},
	} {
		t.Run(c.stream+" "+c.setting, func(t *testing.T) {
			config := declaredStream(t, c.stream)
			c.change(&config)
			// The server still clears away the files of the last stream of that name.
			eventually(t, "the stream is made", func() bool {
				_, err := r.js.CreateStream(t.Context(), config)
				return err == nil
			})
			defer func() {
				if err := r.js.DeleteStream(t.Context(), c.stream); err != nil {
					t.Error(err)
				}
			}()
			_, err := broker.Ensure(t.Context(), r.js, declared)
			if !errors.Is(err, broker.ErrContradiction) {
				t.Fatalf("it starts: %v", err)
			}
			want := fmt.Sprintf("stream %s: %s is %s, declared %s (", c.stream, c.setting, c.have, c.want)
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "vendstream provision") {
				t.Errorf("want %q in:\n%v", want, err)
			}
			for _, other := range []string{requests, pending, results, graves} {
				if _, err := r.js.Stream(t.Context(), other); other != c.stream && err == nil {
					t.Errorf("%s was made although the start was refused", other)
				}
			}
		})
	}
}

func TestEnsureRefusesASealedStream(t *testing.T) {
	r := newDeclared(t)
	c := r.stream(t, results)
	c.Sealed = true
	if _, err := r.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	_, err := broker.Ensure(t.Context(), r.js, declared)
	if !errors.Is(err, broker.ErrContradiction) || !strings.Contains(err.Error(), "stream PURCHASES_RESULTS: sealed is true") {
		t.Fatalf("%v", err)
	}
}

func TestEnsureRefusesContradictingConsumers(t *testing.T) {
	r := newDeclared(t)
	for _, c := range []struct {
		setting, have string
		change        func(*jetstream.ConsumerConfig)
	}{
		{"filter_subject", "purchases.requests.other", func(c *jetstream.ConsumerConfig) { c.FilterSubject = "purchases.requests.other" }},
		{"filter_subject", "purchases.requests.acme, purchases.requests.x", func(c *jetstream.ConsumerConfig) {
			c.FilterSubject, c.FilterSubjects = "", []string{"purchases.requests.x", "purchases.requests.acme"}
		}},
		{"filter_subject", "", func(c *jetstream.ConsumerConfig) { c.FilterSubject = "" }},
		{"ack_policy", "AckNone", func(c *jetstream.ConsumerConfig) { c.AckPolicy, c.AckWait = jetstream.AckNonePolicy, 0 }},
		{"ack_policy", "AckAll", func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckAllPolicy }},
		{"deliver_policy", "new", func(c *jetstream.ConsumerConfig) { c.DeliverPolicy = jetstream.DeliverNewPolicy }},
		{"max_deliver", "5", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 }},
		{"backoff", "[1s 5s]", func(c *jetstream.ConsumerConfig) { c.BackOff = []time.Duration{time.Second, 5 * time.Second} }},
		{"max_ack_pending", "100", func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 100 }},
		{"inactive_threshold", "1m0s", func(c *jetstream.ConsumerConfig) { c.InactiveThreshold = time.Minute }},
		{"headers_only", "true", func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true }},
		{"ack_wait", "1s", func(c *jetstream.ConsumerConfig) { c.AckWait = time.Second }},
		{"replay_policy", "original", func(c *jetstream.ConsumerConfig) { c.ReplayPolicy = jetstream.ReplayOriginalPolicy }},
		{"max_expires", "500ms", func(c *jetstream.ConsumerConfig) { c.MaxRequestExpires = 500 * time.Millisecond }},
		{"deliver_subject", "set", func(c *jetstream.ConsumerConfig) { c.DeliverSubject, c.MaxWaiting = "push.here", 0 }},
		{"priority_policy", "1", func(c *jetstream.ConsumerConfig) {
			c.PriorityPolicy, c.PriorityGroups, c.PinnedTTL = jetstream.PriorityPolicyPinned, []string{"a"}, time.Minute
		}},
	} {
		t.Run(c.setting+" "+c.have, func(t *testing.T) {
			config := declared.RequestsConsumer("acme").Config
			c.change(&config)
			if err := r.js.DeleteConsumer(t.Context(), requests, "acme"); err != nil {
				t.Fatal(err)
			}
			var err error
			if config.DeliverSubject != "" {
				_, err = r.js.CreatePushConsumer(t.Context(), requests, config)
			} else {
				_, err = r.js.CreateConsumer(t.Context(), requests, config)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = broker.Ensure(t.Context(), r.js, declared)
			want := fmt.Sprintf("consumer PURCHASES_REQUESTS/acme: %s is %s, declared", c.setting, c.have)
			if !errors.Is(err, broker.ErrContradiction) || !strings.Contains(err.Error(), want) {
				t.Fatalf("want %q in:\n%v", want, err)
			}
		})
	}
}

func TestEnsureByManyAtOnce(t *testing.T) {
	r := newRig(t)
	var all sync.WaitGroup
	for range 6 {
		_, js := r.server.Connect()
		all.Go(func() {
			if found, err := broker.Ensure(t.Context(), js, declared); err != nil || len(found) > 0 {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
	all.Wait()
	if found, err := broker.Ensure(t.Context(), r.js, declared); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
}

func TestEnsureWithoutAServer(t *testing.T) {
	r := newRig(t)
	r.server.Stop()
	if _, err := broker.Ensure(within(t, 200*time.Millisecond), r.js, declared); err == nil || errors.Is(err, broker.ErrContradiction) {
		t.Fatalf("%v", err)
	}
	if _, err := broker.Provision(within(t, 200*time.Millisecond), r.js, declared, true); err == nil || !strings.Contains(err.Error(), "stream PURCHASES_REQUESTS") {
		t.Fatalf("%v", err)
	}
}

func TestEnsureThatTheServerRefuses(t *testing.T) {
	r := newRig(t)
	topology := declared
	topology.Replicas = 3 // of one server
	if _, err := broker.Ensure(t.Context(), r.js, topology); err == nil || !strings.Contains(err.Error(), "create stream PURCHASES_REQUESTS") {
		t.Fatalf("%v", err)
	}
	topology = declared
	topology.Accounts = []string{"a.b"}
	if _, err := broker.Ensure(t.Context(), r.js, topology); err == nil || !strings.Contains(err.Error(), "a.b") {
		t.Fatalf("%v", err)
	}
}
