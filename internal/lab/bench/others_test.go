package bench

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func stampsOf(numbers ...int) []stamp {
	var all []stamp
	for _, n := range numbers {
		all = append(all, stamp{number: n})
	}
	return all
}

func TestOneResultEach(t *testing.T) {
	if err := oneEach(stampsOf(2, 0, 1), 3); err != nil {
		t.Error(err)
	}
	for says, c := range map[string]struct {
		stamps []stamp
		stored int
	}{
		"4 results for 3 purchases":     {stampsOf(0, 1, 2), 4},
		"two results of bench-00000001": {stampsOf(1, 0, 1), 3},
		"a result of bench-00000003":    {stampsOf(0, 1, 3), 3},
		"nobody asked for":              {stampsOf(0, -1, 1), 3},
		"0 results for 2 purchases":     {stampsOf(0, 1), 0},
	} {
		if err := oneEach(c.stamps, c.stored); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// Everybody has the same number of runs, on streams of its own, and what comes first
// in one round comes last in the next.
func TestPlanOfOthers(t *testing.T) {
	o := OthersOptions{Study: Study{Rounds: 2}, Program: "others", With: []string{"watermill", "asynq"}, Latencies: []time.Duration{0, time.Second}, InFlight: 8}
	var names, prefixes []string
	for _, r := range o.plan("vendstream") {
		names = append(names, r.name())
		prefixes = append(prefixes, r.prefix)
		if want := map[string]string{"vendstream": "vendstream", "bare loop": ""}[r.one.name()]; r.other == "" && r.binary != want || r.other != "" && r.binary != "others" {
			t.Errorf("%s is run by %q", r.name(), r.binary)
		}
	}
	round := []string{"vendstream at 0s", "bare loop at 0s", "watermill at 0s", "asynq at 0s"}
	back := slices.Clone(round)
	slices.Reverse(back)
	if want := append(slices.Clone(round), back...); !slices.Equal(names[:8], want) || len(names) != 16 || names[8] != "vendstream at 1s" {
		t.Errorf("%q", names)
	}
	slices.Sort(prefixes)
	if len(slices.Compact(prefixes)) != len(names) {
		t.Errorf("%d runs and the prefixes %q", len(names), prefixes)
	}
}

func TestReportOfOthersHoldsVendstreamAgainstEach(t *testing.T) {
	o := OthersOptions{Study: Study{Rounds: 2}, With: []string{"asynq"}, Latencies: []time.Duration{0}}
	runs := o.plan("")
	var values []figures
	for _, r := range runs {
		rate := map[string]float64{"vendstream": 60, "bare loop": 120, "asynq": 20}[r.one.name()]
		values = append(values, figures{measureRate: rate + float64(r.round)*rate})
	}
	got := map[string]float64{}
	for _, r := range o.report(runs, values).records() {
		if r.Rounds != 2 {
			t.Errorf("%+v", r)
		}
		if r.RatioTo != "" {
			got[r.Case+" to "+r.RatioTo] = r.Ratio.Median
		} else if r.Figure.Max != 2*r.Figure.Min {
			t.Errorf("%+v", r.Figure)
		}
	}
	if len(got) != 2 || got["vendstream at 0s to bare loop at 0s"] != 0.5 || got["vendstream at 0s to asynq at 0s"] != 3 {
		t.Errorf("%v", got)
	}
	// Of a measurement that broke off, what there is.
	if got := o.report(runs[:2], values).records(); len(got) != 3 {
		t.Errorf("%+v", got)
	}
	if got := o.report(nil, values).records(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestCountsOfAnHTTPClient(t *testing.T) {
	said := clientFigures{Calls: 7, Seconds: 1}
	if err := (tlsVendorStats{HTTP1: 7, Connections: 3}).check("fasthttp HTTP/1.1", said, 7); err != nil {
		t.Error(err)
	}
	if err := (tlsVendorStats{HTTP2: 7}).check("net/http HTTP/2", said, 7); err != nil {
		t.Error(err)
	}
	for _, wrong := range []struct {
		counted tlsVendorStats
		client  string
		said    clientFigures
	}{
		{tlsVendorStats{HTTP1: 8}, "net/http HTTP/1.1", said},
		{tlsVendorStats{HTTP1: 6, HTTP2: 1}, "net/http HTTP/1.1", said},
		{tlsVendorStats{HTTP1: 7}, "net/http HTTP/2", said},
		{tlsVendorStats{HTTP1: 7}, "net/http HTTP/1.1", clientFigures{Calls: 6, Seconds: 1}},
		{tlsVendorStats{HTTP1: 7}, "net/http HTTP/1.1", clientFigures{Calls: 7}},
	} {
		if err := wrong.counted.check(wrong.client, wrong.said, 7); err == nil {
			t.Errorf("%+v is no error", wrong)
		}
	}
}

func TestAProgramRunsToItsEnd(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := runToEnd(t.Context(), "filler", log, "sh", "-c", "exit 0"); err != nil {
		t.Error(err)
	}
	if err := runToEnd(t.Context(), "filler", log, "sh", "-c", "echo no room >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "filler: exit status 3") || !strings.Contains(err.Error(), "no room") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if err := runToEnd(ctx, "filler", log, "sh", "-c", "read forever"); !errors.Is(err, stopped) {
		t.Error(err)
	}
}
