package bench

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/publisher"
)

// The loop publishes the vendor's answer as it is, or what the contract asks of a
// result where that is asked for.
func TestWhatTheLoopPublishes(t *testing.T) {
	nc, js := servertest.NATS(t).Connect()
	subjects := publisher.Subjects{Prefix: "loop"}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: subjects.ResultsStream(), Subjects: []string{"loop.results.>"}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := publisher.NewStore(nc, subjects)
	if err != nil {
		t.Fatal(err)
	}
	const answer = `{"code":"1000"}`
	for reference, results := range map[string]*publisher.Store{"plain": nil, "whole": store} {
		l := &loop{js: js, subjects: subjects, results: results}
		for range 2 {
			if err := l.publish(t.Context(), reference, []byte(answer)); err != nil {
				t.Fatal(err)
			}
		}
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("loop.results.>"))
	if err != nil {
		t.Fatal(err)
	}
	// Of whole results a subject takes one.
	if got := info.State.Subjects; len(got) != 2 || got[subjects.Result(account, "plain")] != 2 || got[subjects.Result(account, "whole")] != 1 {
		t.Errorf("results by subject: %v", got)
	}
	plain, err := stream.GetLastMsgForSubject(t.Context(), subjects.Result(account, "plain"))
	if err != nil || string(plain.Data) != answer || len(plain.Header) > 0 {
		t.Errorf("%+v, %v", plain, err)
	}
	whole, err := stream.GetLastMsgForSubject(t.Context(), subjects.Result(account, "whole"))
	if err != nil || whole.Header.Get(publisher.HeaderEventType) != publisher.TypeCompleted {
		t.Errorf("%+v, %v", whole, err)
	}
}

// Every run of the bare loop is told.
func TestPlanWithWholeResults(t *testing.T) {
	for _, whole := range []bool{true, false} {
		for _, run := range (Options{Latencies: []time.Duration{0}, InFlight: []int{8}, Rounds: 2, Light: 1, WholeResult: whole}).plan("") {
			if run.whole != whole {
				t.Errorf("%+v, want %t", run, whole)
			}
		}
	}
}
