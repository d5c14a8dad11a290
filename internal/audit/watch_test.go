package audit_test

import (
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/audit"
)

// gauges are what a Watch told last, by account.
type gauges map[string]reading

type reading struct {
	oldest      time.Duration
	unaccounted int
}

func (g gauges) Audited(account string, oldest time.Duration, unaccounted int) {
	g[account] = reading{oldest, unaccounted}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Now().Add(2 * time.Minute) // so that all is old enough
	w.audit.Now = func() time.Time { return now }
	got := gauges{}
	var accused []uint64
	watch := &audit.Watch{
		Config: w.audit, Accounts: []string{"acme", "beta"}, Every: time.Hour, Gauges: got,
		Report: func(err error) { t.Error(err) },
		Accuse: func(f audit.Finding) { accused = append(accused, f.Sequence) },
	}
	look := func(account string, unaccounted int, open bool) {
		t.Helper()
		w.must(watch.Look(t.Context()))
		if r := got[account]; r.unaccounted != unaccounted || (r.oldest > time.Minute) != open {
			t.Errorf("%s: %+v, want %d unaccounted, open %v", account, r, unaccounted, open)
		}
	}
	look("acme", 0, false)
	settled, pending := w.publish("acme", body("settled")), w.publish("acme", body("pending"))
	w.settle("acme", settled)
	look("acme", 0, true) // nothing is acknowledged
	w.handOver("acme", pending)
	w.ack("acme", 2)
	look("acme", 0, true) // the hand-off
	w.settle("acme", pending)
	w.purge(w.subjects.PendingStream(), w.subjects.Pending("acme", "pending"))
	look("acme", 0, false)

	lost := w.publish("acme", body("lost"))
	w.ack("acme", 1)
	look("acme", 1, false)
	look("acme", 1, false)
	look("beta", 0, false)
	if len(accused) != 1 || accused[0] != lost {
		t.Errorf("accused %v, want %d once", accused, lost)
	}
	w.settle("acme", lost) // repaired
	look("acme", 0, false)

	// Each request is judged about once: what was judged before is not looked at.
	w.purge(w.subjects.ResultsStream(), w.subjects.Result("acme", "settled"))
	look("acme", 0, false)

	// A process that starts sees the last hour, and not the last minute.
	fresh := &audit.Watch{Config: w.audit, Accounts: []string{"acme"}, Every: time.Hour, Gauges: got, Report: watch.Report, Accuse: watch.Accuse}
	now = time.Now()
	w.must(fresh.Look(t.Context()))
	if r := got["acme"]; r.unaccounted != 0 {
		t.Errorf("of the last minute: %+v", r)
	}
	now = time.Now().Add(2 * time.Minute)
	w.must(fresh.Look(t.Context()))
	if r := got["acme"]; r.unaccounted != 1 {
		t.Errorf("of the last hour: %+v", r)
	}
	late := &audit.Watch{Config: w.audit, Accounts: []string{"acme"}, Every: time.Hour, Gauges: got, Report: watch.Report, Accuse: watch.Accuse}
	now = time.Now().Add(2 * time.Hour)
	w.must(late.Look(t.Context()))
	if r := got["acme"]; r.unaccounted != 0 {
		t.Errorf("of before: %+v", r)
	}
}
