package bench

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestFirstPollsAreSpreadOverAPeriod(t *testing.T) {
	base := time.Unix(1_800_000_000, 0)
	s := spreadOut{pending: 4, every: 20 * time.Second, base: base}
	for number, want := range []time.Duration{0, 5 * time.Second, 10 * time.Second, 15 * time.Second} {
		if got := s.due(number).Sub(base); got != want {
			t.Errorf("%d is due %s after the first, want %s", number, got, want)
		}
		if got := s.due(number).Sub(s.submitted(number)); got != s.every {
			t.Errorf("%d is due %s after its submission", number, got)
		}
	}
}

func TestPollBook(t *testing.T) {
	base := time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) time.Time { return base.Add(d) }
	b := newPollBook(spreadOut{pending: 4, every: 20 * time.Second, base: base})

	// 0 on time, 1 late by 2 s, 2 too early; 3 is never asked about.
	for _, poll := range []struct {
		number int
		at     time.Duration
	}{{0, time.Millisecond}, {2, 9 * time.Second}, {1, 7 * time.Second}} {
		if b.ask(poll.number, at(poll.at)) {
			t.Fatal("settled before it was")
		}
		b.asked(poll.number, at(poll.at))
	}
	got := b.stats(at(25 * time.Second))
	// 0 is due at 20.001 s, 1 at 27, 2 at 29, 3 was at 15.
	want := PollStats{Polls: 2, Early: 1, Overdue: 2, P50: 2 * time.Second, P99: 10 * time.Second, Max: 10 * time.Second}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}

	b.forget(at(25 * time.Second))
	if got := b.stats(at(25500 * time.Millisecond)); got != (PollStats{}) {
		t.Errorf("after forgetting: %+v", got)
	}

	b.settle()
	if !b.ask(3, at(30*time.Second)) {
		t.Error("not settled")
	}
	// What is settled is never overdue.
	if got := b.stats(at(time.Hour)); got.Overdue != 3 {
		t.Errorf("%+v", got)
	}
}

func TestPollBookAnswers(t *testing.T) {
	b := newPollBook(spreadOut{pending: 2, every: time.Second, base: time.Now()})
	for path, want := range map[string]string{
		"/transactions?transactionId=VAS-bench-00000001&size=20": `"status":{"code":1,"label":"PENDING"}`,
		"/transactions?transactionId=VAS-bench-00000002":         `{"content":[]}`,
		"/transactions?transactionId=nonsense":                   `{"content":[]}`,
		"/transactions":                                          `{"content":[]}`,
		"/elsewhere":                                             `{}`,
	} {
		if got := string(b.answer(nil, path, 0)); !strings.Contains(got, want) {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := string(b.answer(nil, "/polls", 0)); !strings.Contains(got, `"polls":`) {
		t.Error(got)
	}
	b.answer(nil, "/settle", 0)
	if got := string(b.answer(nil, "/transactions?transactionId=VAS-bench-00000000", 0)); !strings.Contains(got, "COMPLETED") || !strings.Contains(got, "receipt") {
		t.Error(got)
	}
}

func TestRatesByTenths(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	var tenths []time.Time
	at := began
	for i := range 10 {
		at = at.Add(time.Duration(i+1) * time.Second)
		tenths = append(tenths, at)
	}
	f := figures{}
	rates(1000, began, tenths, f)
	if f[measurePublish] != 1000.0/55 || f[measurePublishFirst] != 100 || f[measurePublishLast] != 10 {
		t.Errorf("%v", f)
	}
}

func TestLookupAnswers(t *testing.T) {
	problem := func(code int) (s said) {
		s.Error = &struct {
			Code        int    `json:"code"`
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		}{404, code, "no"}
		return s
	}
	for _, c := range []struct {
		answer said
		there  bool
		ok     bool
	}{
		{said{}, true, true},
		{said{}, false, false},
		{problem(noMessage), false, true},
		{problem(noMessage), true, false},
		{problem(10059), false, false},
	} {
		if err := c.answer.check(c.there); (err == nil) != c.ok {
			t.Errorf("%+v, there %v: %v", c.answer.Error, c.there, err)
		}
	}
}

func TestNoRoom(t *testing.T) {
	if err := checkRoom(t.TempDir(), 1<<60); err == nil {
		if _, known := freeDisk(t.TempDir()); known {
			t.Error("an exabyte is there")
		}
	}
	if err := checkRoom(t.TempDir(), -spare); err != nil {
		t.Error(err)
	}
}

func TestTurn(t *testing.T) {
	all := []int{1, 2, 4}
	if a, b := turn(0, all), turn(1, all); a[0] != 1 || b[0] != 4 || all[0] != 1 {
		t.Errorf("%v %v %v", a, b, all)
	}
}

func TestRatiosOfProcesses(t *testing.T) {
	o := ProcessesOptions{Processes: []int{1, 2}, Cluster: true, InFlight: 64, Latency: 200 * time.Millisecond, For: 15 * time.Second}
	setups := o.setups()
	var got []string
	for _, s := range setups {
		for _, n := range o.Processes {
			r := crewRun{setup: s, processes: n}
			got = append(got, r.name()+" to "+r.to(1))
		}
	}
	want := []string{
		"1 consumer to ", "2 consumers to 1 consumer",
		"1 consumer, 1 nats-server synced to 1 consumer", "2 consumers, 1 nats-server synced to 1 consumer, 1 nats-server synced",
		"1 consumer, cluster of 3 synced to 1 consumer", "2 consumers, cluster of 3 synced to 1 consumer, cluster of 3 synced",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if o.possible(4) != 1280 || o.backlog(4) != 19200 {
		t.Errorf("%v a second, %d in all", o.possible(4), o.backlog(4))
	}
}

func TestUntil(t *testing.T) {
	tries := 0
	if err := until(context.Background(), time.Minute, time.Millisecond, "three", func() (bool, error) { tries++; return tries == 3, nil }); err != nil || tries != 3 {
		t.Errorf("%v after %d", err, tries)
	}
	if err := until(context.Background(), 0, time.Millisecond, "never", func() (bool, error) { return false, nil }); err == nil || !strings.Contains(err.Error(), "never") {
		t.Errorf("%v", err)
	}
}
