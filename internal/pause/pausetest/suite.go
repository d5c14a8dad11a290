package pausetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/pause"
)

// Suite tests what every store must do. The store is empty.
func Suite(t *testing.T, s pause.Store) {
	t.Helper()
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	paused := pause.Record{Cause: pause.Operator, Reason: "why", By: "me", Since: at}
	probed := pause.Record{Cause: pause.Balance, Since: at, ProbeAt: at.Add(time.Minute)}
	load := func(account string, want pause.Record) pause.Entry {
		t.Helper()
		got, err := s.Load(t.Context(), account)
		if err != nil || got.Record != want {
			t.Fatalf("%s: %+v, %v", account, got, err)
		}
		return got
	}
	save := func(account string, r pause.Record, revision uint64, want error) pause.Entry {
		t.Helper()
		got, err := s.Save(t.Context(), account, r, revision)
		if !errors.Is(err, want) || err == nil && got.Record != r {
			t.Fatalf("%s: %+v, %v", account, got, err)
		}
		return got
	}
	if first := load("acme", pause.Record{}); first.Revision != 0 {
		t.Fatalf("%+v", first)
	}
	one := save("acme", paused, 0, nil)
	save("acme", probed, 0, pause.ErrChanged)
	if got := load("acme", paused); got.Revision != one.Revision || one.Revision == 0 {
		t.Fatalf("%+v, %+v", got, one)
	}
	two := save("acme", probed, one.Revision, nil)
	save("acme", paused, one.Revision, pause.ErrChanged)
	if two.Revision <= one.Revision {
		t.Fatalf("%d after %d", two.Revision, one.Revision)
	}
	save("other", paused, 0, nil)
	load("other", paused)
	load("acme", probed)

	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan pause.Entry, 10)
	before := map[string]pause.Record{}
	ended := make(chan error, 1)
	complete := make(chan struct{})
	go func() {
		all := false
		ended <- s.Watch(ctx, func(account string, e pause.Entry) {
			if !all {
				before[account] = e.Record
			} else if account == "acme" {
				told <- e
			}
		}, func() { all = true; close(complete) })
	}()
	wait(t, complete)
	if len(before) != 2 || before["acme"] != probed || before["other"] != paused {
		t.Fatalf("%+v", before)
	}
	three := save("acme", pause.Record{By: "me"}, two.Revision, nil)
	if got := wait(t, told); got != three {
		t.Fatalf("told %+v, stored %+v", got, three)
	}
	cancel()
	if err := wait(t, ended); err != nil {
		t.Fatalf("the watch ended with %v", err)
	}
}

func wait[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
