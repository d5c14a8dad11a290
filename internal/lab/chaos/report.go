package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/lab"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// Report is what a run came to. Durations are in seconds.
type Report struct {
	Seed      uint64            `json:"seed"`
	Versions  map[string]string `json:"versions"`
	Processes map[string]int    `json:"processes"`
	Seconds   float64           `json:"seconds"`

	Purchases    int            `json:"purchases"`    // asked for
	Messages     int            `json:"messages"`     // acknowledged to publishers, repeats too
	Unpublished  int            `json:"unpublished"`  // planned and not acknowledged
	Retries      int64          `json:"retries"`      // publishes that were not acknowledged at first
	Acknowledged int            `json:"acknowledged"` // requests, each once
	Requests     int            `json:"requests"`     // on the stream
	Results      int            `json:"results"`
	Statuses     map[string]int `json:"statuses"`
	Sources      map[string]int `json:"sources"`
	Dead         map[string]int `json:"dead"` // by reason
	Open         uint64         `json:"open"`

	Lost         int `json:"lost"`         // breaches of promise 1
	SecondVends  int `json:"second_vends"` // purchases that were vended more than once
	Doubled      int `json:"doubled"`      // breaches of promise 3
	Contradicted int `json:"contradicted"` // breaches of promise 4
	Other        int `json:"other"`        // breaches of what else there is

	Vends       int               `json:"vends"`
	Calls       int               `json:"calls"`
	CallsOfEach map[int]int       `json:"calls_of_each"` // calls of /purchase: how many purchases had so many
	LatePosts   map[string]int    `json:"late_posts"`    // after a stored non-terminal answer, by what explains them
	Redelivered map[string]uint64 `json:"redelivered"`

	Faults   map[Kind]int        `json:"faults"`
	Skipped  map[Kind]int        `json:"skipped,omitempty"`
	NotDone  map[string]int      `json:"not_done,omitempty"` // faults that failed or did not heal in time, by reason
	Kills    map[string]int      `json:"kills"`              // SIGKILL, by program
	Stops    map[string]int      `json:"stops"`              // SIGSTOP, by program
	Cuts     int64               `json:"cuts"`               // connections
	Falls    map[string][]string `json:"falls,omitempty"`    // programs that ended by themselves
	BadStops []string            `json:"bad_stops,omitempty"`

	// Recovery is from a fault to the last result of the ordinary purchases that were
	// open when it struck; Next from a fault to the next result of any; Latency from
	// the acknowledgement of an ordinary purchase to its result.
	Recovery Spread `json:"recovery"`
	Next     Spread `json:"next_result"`
	Latency  Spread `json:"latency"`

	Breaches []string `json:"breaches"`
	Data     string   `json:"data,omitempty"` // where logs and streams are kept
}

// Spread is a distribution, in seconds.
type Spread struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func spreadOf(values []time.Duration) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	slices.Sort(values)
	at := func(share float64) float64 {
		return values[min(len(values)-1, int(share*float64(len(values))))].Seconds()
	}
	return Spread{len(values), at(0.50), at(0.99), values[len(values)-1].Seconds()}
}

// newReport counts from the evidence alone.
func newReport(e Evidence) Report {
	breaches, late := Verify(e)
	r := Report{
		Messages: len(e.Acks), Requests: len(e.Requests), Results: len(e.Results),
		Statuses: map[string]int{}, Sources: map[string]int{}, Dead: map[string]int{},
		CallsOfEach: map[int]int{}, LatePosts: map[string]int{}, Redelivered: e.Redelivered,
		Faults: map[Kind]int{}, Skipped: map[Kind]int{}, NotDone: map[string]int{},
		Kills: map[string]int{}, Stops: map[string]int{},
		Falls: e.Falls, BadStops: e.BadStops, Breaches: []string{},
		Open: uint64(len(e.Pending)),
	}
	for _, n := range e.Unfinished {
		r.Open += n
	}
	once := map[uint64]bool{}
	for _, a := range e.Acks {
		once[a.Sequence] = true
	}
	r.Acknowledged = len(once)
	for _, m := range e.Results {
		var result purchase.Result
		if json.Unmarshal(m.Data, &result) == nil {
			r.Statuses[string(result.Status)]++
			r.Sources[string(result.Source)]++
		}
	}
	for _, m := range e.Dead {
		r.Dead[publisher.Header(m.Header, publisher.HeaderReason)]++
	}
	for _, s := range e.Sales {
		r.Vends += s.Vends
		r.Calls += s.Calls
		r.CallsOfEach[s.Calls]++
		if s.Vends > 1 {
			r.SecondVends++
		}
	}
	for _, l := range late {
		r.LatePosts[cmpOr(l.Why, "nothing explains it")]++
	}
	for _, b := range breaches {
		r.Breaches = append(r.Breaches, b.String())
		switch b.Promise {
		case 1:
			r.Lost++
		case 3:
			r.Doubled++
		case 4:
			r.Contradicted++
		default:
			r.Other++
		}
	}
	r.Breaches = append(r.Breaches, e.BadStops...)
	r.countFaults(e)
	r.measure(e)
	return r
}

func cmpOr(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (r *Report) countFaults(e Evidence) {
	for _, f := range e.Faults {
		switch {
		case f.Skipped:
			r.Skipped[f.Kind]++
			r.NotDone[f.Err]++
			continue
		case f.Err != "":
			r.NotDone[string(f.Kind)+": "+f.Err]++
		}
		r.Faults[f.Kind]++
		program, _, _ := strings.Cut(f.Target, "-")
		switch {
		case strings.HasPrefix(string(f.Kind), "kill-") && f.Target != "", f.Kind == FullDisk:
			r.Kills[program]++
		case strings.HasPrefix(string(f.Kind), "stop-") && f.Target != "":
			r.Stops[program]++
		}
	}
}

// measure tells how fast it went on.
func (r *Report) measure(e Evidence) {
	type span struct{ asked, settled time.Time }
	var plain []span
	var latency, recovery, next []time.Duration
	seen := map[lab.Key]bool{}
	for _, a := range e.Acks {
		key := lab.Key{Account: a.Account, Reference: a.Reference}
		settled, there := e.Settled[key]
		if !a.Plain || a.Duplicate || !there || seen[key] {
			continue
		}
		seen[key] = true
		plain = append(plain, span{a.At, settled})
		latency = append(latency, max(0, settled.Sub(a.At)))
	}
	var settled []time.Time
	for _, at := range e.Settled {
		settled = append(settled, at)
	}
	slices.SortFunc(settled, time.Time.Compare)
	for _, f := range e.Faults {
		if f.Skipped || f.Target == "" {
			continue
		}
		last := time.Duration(-1)
		for _, p := range plain {
			if p.asked.Before(f.At) && p.settled.After(f.At) {
				last = max(last, p.settled.Sub(f.At))
			}
		}
		if last >= 0 {
			recovery = append(recovery, last)
		}
		if i, _ := slices.BinarySearchFunc(settled, f.At, time.Time.Compare); i < len(settled) {
			next = append(next, settled[i].Sub(f.At))
		}
	}
	r.Latency, r.Recovery, r.Next = spreadOf(latency), spreadOf(recovery), spreadOf(next)
}

// print writes the report for people.
func (r *Report) print(out io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-16s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("seed", "%d; %s", r.Seed, list(r.Versions))
	line("processes", "%s", list(r.Processes))
	line("asked", "%d purchases, in %d messages; %d publishes were tried again", r.Purchases, r.Messages, r.Retries)
	line("acknowledged", "%d requests; %d on the stream", r.Acknowledged, r.Requests)
	line("results", "%d: %s; settled by %s", r.Results, list(r.Statuses), list(r.Sources))
	line("dead letters", "%s", list(r.Dead))
	line("open", "%d", r.Open)
	line("lost", "%d", r.Lost)
	line("second vends", "%d of %d", r.SecondVends, r.Vends)
	line("second results", "%d", r.Doubled)
	line("contradicted", "%d", r.Contradicted)
	line("other breaches", "%d", r.Other)
	line("purchase calls", "%d; calls: purchases %s", r.Calls, list(r.CallsOfEach))
	line("late posts", "%s", list(r.LatePosts))
	line("redelivered", "%s", list(r.Redelivered))
	line("faults", "%s", list(r.Faults))
	if len(r.Skipped) > 0 {
		line("skipped", "%s", list(r.Skipped))
	}
	line("SIGKILL", "%s", list(r.Kills))
	line("SIGSTOP", "%s", list(r.Stops))
	line("cut", "%d connections", r.Cuts)
	for _, reason := range slices.Sorted(maps.Keys(r.NotDone)) {
		line("not done", "%d × %s", r.NotDone[reason], reason)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Falls)) {
		line("ended by itself", "%s, %d times: %s", name, len(r.Falls[name]), strings.Join(r.Falls[name][:1], ""))
	}
	spread := func(name string, s Spread) {
		line(name, "p50 %.2f s, p99 %.2f s, max %.2f s, of %d", s.P50, s.P99, s.Max, s.Count)
	}
	spread("recovery", r.Recovery)
	spread("next result", r.Next)
	spread("latency", r.Latency)
	line("took", "%.0f s", r.Seconds)
	if len(r.Breaches) == 0 && r.Unpublished == 0 {
		line("promises", "all kept")
		return
	}
	line("promises", "BROKEN: %d breaches, %d messages not published", len(r.Breaches), r.Unpublished)
	for i, b := range r.Breaches {
		if i == 50 {
			line("", "… and %d more", len(r.Breaches)-i)
			break
		}
		line("BROKEN", "%s", b)
	}
	if r.Data != "" {
		line("evidence", "%s", r.Data)
	}
}

// list is a map on one line, in order.
func list[K interface {
	comparable
	~string | ~int
}, V any](m map[K]V) string {
	if len(m) == 0 {
		return "none"
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%v %v", key, m[key]))
	}
	return strings.Join(parts, ", ")
}
