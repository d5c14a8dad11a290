package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
)

func verbs(actions []broker.Action) map[string]int {
	count := map[string]int{}
	for _, a := range actions {
		count[a.Verb]++
	}
	return count
}

func TestProvisionMakesAllAndThenKeepsIt(t *testing.T) {
	r := newRig(t)
	plan, err := broker.Provision(t.Context(), r.js, declared, true)
	if err != nil || verbs(plan)["create"] != 9 || len(plan) != 9 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if info, err := r.js.AccountInfo(t.Context()); err != nil || info.Streams != 0 {
		t.Fatalf("a dry run made %d streams, %v", info.Streams, err)
	}
	if done, err := broker.Provision(t.Context(), r.js, declared, false); err != nil || verbs(done)["create"] != 9 {
		t.Fatalf("%+v, %v", done, err)
	}
	if again, err := broker.Provision(t.Context(), r.js, declared, false); err != nil || verbs(again)["keep"] != 9 {
		t.Fatalf("%+v, %v", again, err)
	}
	if found, err := broker.Ensure(t.Context(), r.js, declared); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
}

func TestProvisionMendsAndKeepsTheOperators(t *testing.T) {
	r := newDeclared(t)
	c := r.stream(t, results)
	c.MaxBytes, c.Description, c.MaxAge, c.AllowRollup = 1<<20, "mine", time.Hour, true
	c.MaxMsgSize, c.NoAck, c.DiscardNewPerSubject, c.MaxMsgsPerSubject = 2000, true, false, 9
	if _, err := r.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	own := r.consumer(t, requests, "acme")
	own.MaxDeliver, own.AckWait, own.BackOff, own.MaxAckPending = 7, time.Second, []time.Duration{time.Second}, 10
	if _, err := r.js.UpdateConsumer(t.Context(), requests, own); err != nil {
		t.Fatal(err)
	}
	plan, err := broker.Provision(t.Context(), r.js, declared, true)
	if err != nil || verbs(plan)["update"] != 2 || verbs(plan)["keep"] != 7 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if got := r.stream(t, results); !got.AllowRollup || got.MaxAge != time.Hour {
		t.Fatalf("a dry run changed it: %+v", got)
	}
	for _, a := range plan {
		if a.Verb == "update" && a.Object == "stream "+results && len(a.Differences) != 6 {
			t.Errorf("differences %v", a.Differences)
		}
	}
	if _, err := broker.Provision(t.Context(), r.js, declared, false); err != nil {
		t.Fatal(err)
	}
	if got := r.stream(t, results); got.MaxBytes != 1<<20 || got.Description != "mine" || got.MaxAge != 48*time.Hour || got.AllowRollup ||
		got.NoAck || got.MaxMsgSize != -1 || got.MaxMsgsPerSubject != 1 || !got.DiscardNewPerSubject {
		t.Errorf("%+v", got)
	}
	if got := r.consumer(t, requests, "acme"); got.MaxDeliver != -1 || got.AckWait != time.Minute || len(got.BackOff) != 0 || got.MaxAckPending != -1 {
		t.Errorf("%+v", got)
	}
	if again, err := broker.Provision(t.Context(), r.js, declared, false); err != nil || verbs(again)["keep"] != 9 {
		t.Fatalf("%+v, %v", again, err)
	}
}

// What the server does not let anybody change: the error names the object, and
// what was done before it is told.
func TestProvisionNamesWhatCannotBeMended(t *testing.T) {
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"storage":   func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"retention": func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"msg ttl":   func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
		"mirror": func(c *jetstream.StreamConfig) {
			c.Subjects, c.Discard, c.DiscardNewPerSubject, c.MaxMsgsPerSubject = nil, jetstream.DiscardOld, false, -1
			c.Mirror = &jetstream.StreamSource{Name: "ELSEWHERE"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := declaredStream(t, results)
			change(&c)
			if _, err := r.js.CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			done, err := broker.Provision(t.Context(), r.js, declared, false)
			if err == nil || !strings.Contains(err.Error(), "update stream PURCHASES_RESULTS") {
				t.Fatalf("%v", err)
			}
			if len(done) != 2 || done[0].Object != "stream "+requests {
				t.Errorf("done %+v", done)
			}
		})
	}
	t.Run("push consumer", func(t *testing.T) {
		r := newDeclared(t)
		c := declared.PendingConsumer("acme").Config
		c.DeliverSubject, c.MaxWaiting = "push.here", 0
		if err := r.js.DeleteConsumer(t.Context(), pending, "acme"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.js.CreatePushConsumer(t.Context(), pending, c); err != nil {
			t.Fatal(err)
		}
		if _, err := broker.Provision(t.Context(), r.js, declared, false); err == nil || !strings.Contains(err.Error(), "update consumer PURCHASES_PENDING/acme") {
			t.Fatalf("%v", err)
		}
	})
}
