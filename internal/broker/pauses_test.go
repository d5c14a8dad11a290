package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/pause/pausetest"
)

const bucket = "PURCHASES_ACCOUNTS"

func TestPauses(t *testing.T) {
	pausetest.Suite(t, broker.NewPauses(newDeclared(t).js, bucket))
}

func TestPausesDeletedAndUnreadable(t *testing.T) {
	r := newDeclared(t)
	s := broker.NewPauses(r.js, bucket)
	if _, err := s.Save(t.Context(), "acme", pause.Record{Cause: pause.Operator}, 0); err != nil {
		t.Fatal(err)
	}
	kv, err := r.js.KeyValue(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	e, err := s.Load(t.Context(), "acme")
	if err != nil || e.Paused() {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := s.Save(t.Context(), "acme", pause.Record{Cause: pause.Balance}, e.Revision); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "other", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if e, err = s.Load(t.Context(), "other"); err != nil || e.Cause != pause.Operator || e.Reason == "" {
		t.Fatalf("what nobody can read does not pause: %+v, %v", e, err)
	}
}

func TestPausesBoardOnARealServer(t *testing.T) {
	r := newDeclared(t)
	report := func(err error) { t.Log(err) }
	one := pause.NewBoard(broker.NewPauses(r.js, bucket), report)
	two := pause.NewBoard(broker.NewPauses(r.js, bucket), report)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- two.Run(ctx) }()
	if err := one.Pause(t.Context(), "acme", "me", "why"); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, "the other process sees the pause", func() bool { return two.Switch("acme").Record().Cause == pause.Operator })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestPausesWithoutABucket(t *testing.T) {
	r := newRig(t)
	s := broker.NewPauses(r.js, bucket)
	if _, err := s.Load(t.Context(), "acme"); err == nil {
		t.Error("loaded")
	}
	if _, err := s.Save(t.Context(), "acme", pause.Record{}, 0); err == nil {
		t.Error("saved")
	}
	if err := s.Watch(t.Context(), func(string, pause.Entry) {}, func() {}); err == nil {
		t.Error("watched")
	}
}

func TestBucketIsHeldToItsDeclaration(t *testing.T) {
	r := newRig(t)
	config := declared.Bucket()
	config.TTL = time.Hour
	if _, err := r.js.CreateKeyValue(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Ensure(t.Context(), r.js, declared); err == nil {
		t.Fatal("a bucket whose records end by age was accepted")
	}
	if _, err := broker.Provision(t.Context(), r.js, declared, false); err != nil {
		t.Fatal(err)
	}
	if found, err := broker.Ensure(t.Context(), r.js, declared); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
}
