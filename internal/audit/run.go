package audit

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

const (
	// batchSize is how many requests are judged together.
	batchSize = 4096
	// mostFindings is how many findings, and how many open requests, are kept; more
	// are counted only.
	mostFindings = 100_000
)

// Scope is what an audit is of.
type Scope struct {
	Accounts []string  // none: all that are on the streams
	Since    time.Time // requests stored at or after
	Until    time.Time // and not after
	Open     bool      // list the open ones too
	// Progress, where set, is told now and then how many requests were judged, and
	// the time of the last one.
	Progress func(judged uint64, at time.Time)
}

// Report is what an audit found.
type Report struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// Counts are requests by account and state, with the ends that are findings.
	Counts   map[string]map[State]uint64 `json:"counts"`
	Findings []Finding                   `json:"findings"`
	Open     []Finding                   `json:"open,omitempty"`
	// Left is how many findings and open ones are counted and not listed.
	Left uint64 `json:"left,omitempty"`
}

// Accounted reports whether there is no finding.
func (r *Report) Accounted() bool {
	for _, counts := range r.Counts {
		for state, n := range counts {
			if !state.Accounted() && n > 0 {
				return false
			}
		}
	}
	return true
}

// Requests is how many requests of an account were judged.
func (r *Report) Requests(account string) uint64 {
	var n uint64
	for state, count := range r.Counts[account] {
		switch state {
		case Doubled, Misburied, Lingering, Orphan: // found beside the requests
		default:
			n += count
		}
	}
	return n
}

func (r *Report) count(account string, state State, n uint64) {
	counts := r.Counts[account]
	if counts == nil {
		counts = map[State]uint64{}
		r.Counts[account] = counts
	}
	counts[state] += n
}

func (r *Report) add(f Finding) {
	r.count(f.Account, f.State, 1)
	r.list(f)
}

func (r *Report) list(f Finding) {
	list := &r.Findings
	if f.State.Open() {
		list = &r.Open
	}
	if len(*list) >= mostFindings {
		r.Left++
		return
	}
	*list = append(*list, f)
}

// run is one audit.
type run struct {
	Config
	scope  Scope
	ground Ground
	report *Report
	window *window

	batch   []Request
	judged  uint64
	accused []Finding            // to be looked at once more
	repairs map[uint64][]Finding // by the sequence of the request that is repaired
	orphans []passing
}

// Run audits the requests of a period, and the ends that belong to it.
func (c Config) Run(ctx context.Context, scope Scope) (*Report, error) {
	c = c.filled()
	r := &run{
		Config: c, scope: scope, repairs: map[uint64][]Finding{},
		report: &Report{Since: scope.Since, Until: scope.Until, Counts: map[string]map[State]uint64{}},
	}
	var err error
	if r.ground, err = c.Ground(ctx); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{r.requests, r.again, r.followRepairs, r.doubled, r.lingering, r.withoutRequest} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(r.report.Findings, byRequest)
	slices.SortStableFunc(r.report.Open, byRequest)
	return r.report, nil
}

func byRequest(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.State, b.State))
}

func (r *run) subjects(of func(account string) string) []string {
	var subjects []string
	for _, account := range r.scope.Accounts {
		subjects = append(subjects, of(account))
	}
	return subjects
}

// requests judges every request of the period.
func (r *run) requests(ctx context.Context) error {
	r.window = r.newWindow(ctx, r.subjects(r.Subjects.AllResults), r.scope.Since, r.unclaimed)
	defer r.window.stop()
	reading := broker.Reading{Stream: r.Subjects.RequestsStream(), Subjects: r.subjects(r.Subjects.Requests), Since: r.scope.Since}
	err := r.Streams.Read(ctx, reading, func(d *worker.Delivery) error {
		if d.Time.After(r.scope.Until) {
			return broker.ErrEnough
		}
		request, err := r.Read(d)
		if err != nil {
			return err
		}
		if r.batch = append(r.batch, request); len(r.batch) == batchSize {
			return r.flush(ctx)
		}
		return nil
	})
	if err == nil {
		err = r.flush(ctx)
	}
	if err == nil {
		err = r.window.close()
	}
	return err
}

// flush judges the requests that were read so far.
func (r *run) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	found, err := r.window.take(r.batch)
	if err != nil {
		return err
	}
	// Past all results, one that is not acknowledged and was not among them need
	// not be looked for: it is open, with or without a hand-off.
	passed := r.window.done && !r.window.lost
	type verdict struct {
		state  State
		detail string
	}
	verdicts := make([]verdict, len(r.batch))
	var look []int
	for i, request := range r.batch {
		switch {
		case found[i]:
			verdicts[i].state = Settled
		case passed && request.Reason == "" && !r.scope.Open && r.ground.above(request):
			verdicts[i].state = Waiting
		default:
			look = append(look, i)
		}
	}
	err = parallel(ctx, len(look), r.Parallel, func(ctx context.Context, at int) error {
		i := look[at]
		var err error
		verdicts[i].state, verdicts[i].detail, err = r.Judge(ctx, r.ground, r.batch[i])
		return err
	})
	if err != nil {
		return err
	}
	for _, i := range look {
		if verdicts[i].state == Settled {
			r.window.settledByLookup(r.batch[i])
		}
	}
	for i, request := range r.batch {
		r.note(request.finding(verdicts[i].state, verdicts[i].detail))
	}
	r.judged += uint64(len(r.batch))
	if r.scope.Progress != nil {
		r.scope.Progress(r.judged, r.batch[len(r.batch)-1].Time)
	}
	r.batch = r.batch[:0]
	return nil
}

// above reports whether the request's account has a consumer that has yet to end it.
func (g Ground) above(r Request) bool {
	floor, served := g.Floors[r.Account]
	return served && r.Sequence > floor
}

// note counts one request, or keeps it to be looked at once more.
func (r *run) note(f Finding) {
	if f.repairs > 0 && len(r.repairs) < mostFindings {
		r.repairs[f.repairs] = append(r.repairs[f.repairs], f)
	}
	switch {
	case f.State.Accounted():
		r.report.count(f.Account, f.State, 1)
		if f.State.Open() && r.scope.Open {
			r.report.list(f)
		}
	case len(r.accused) < mostFindings:
		r.accused = append(r.accused, f)
	default: // so many cannot be a matter of the moment
		r.report.add(f)
	}
}

// again looks once more at all that would be accused.
func (r *run) again(ctx context.Context) error {
	if len(r.accused) == 0 {
		return nil
	}
	if !worker.Sleep(ctx, r.Pause) {
		return ctx.Err()
	}
	accused := r.accused
	err := parallel(ctx, len(accused), r.Parallel, func(ctx context.Context, i int) (err error) {
		accused[i].State, accused[i].Detail, err = r.Judge(ctx, r.ground, accused[i].request())
		return err
	})
	if err != nil {
		return err
	}
	r.accused = nil
	for _, f := range accused {
		if f.State.Accounted() {
			r.report.count(f.Account, f.State, 1)
		} else {
			r.accused = append(r.accused, f)
		}
	}
	return nil
}

// followRepairs lets the requests that put accused ones back to work answer for
// them: a request of the same account with the same payload.
func (r *run) followRepairs(ctx context.Context) error {
	if err := r.laterRepairs(ctx); err != nil {
		return err
	}
	for _, f := range r.accused {
		if f.State == Unaccounted || f.State == Conflict {
			for _, repair := range r.repairs[f.Sequence] {
				if repair.Account != f.Account || repair.Sequence <= f.Sequence || repair.digest != f.digest || repair.reason != f.reason {
					continue
				}
				f.State, f.Detail = Repaired, "put back to work as request "+strconv.FormatUint(repair.Sequence, 10)
				if repair.State == Dead {
					dead, err := r.Ends.Dead(ctx, repair.Account, repair.Sequence)
					if err != nil {
						return err
					}
					if f.buried = dead; dead != nil {
						f.Detail += ", which became a dead letter: --repair makes this one likewise"
					}
				}
			}
		}
		r.report.count(f.Account, f.State, 1)
		if f.State != Repaired || f.buried != nil { // which Repair completes
			r.report.list(f)
		}
	}
	return nil
}

// laterRepairs looks for repairs of accused requests after the period.
func (r *run) laterRepairs(ctx context.Context) error {
	if len(r.accused) == 0 {
		return nil
	}
	accused := map[uint64]bool{}
	for _, f := range r.accused {
		accused[f.Sequence] = true
	}
	later := map[uint64]string{}
	reading := broker.Reading{
		Stream: r.Subjects.RequestsStream(), Subjects: r.subjects(r.Subjects.Requests), Since: r.scope.Until.Add(1), HeadersOnly: true,
	}
	err := r.Streams.Read(ctx, reading, func(d *worker.Delivery) error {
		if accused[publisher.Repairs(d.Header)] {
			later[d.Sequence] = r.Subjects.AccountOf(d.Subject)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, sequence := range slices.Sorted(maps.Keys(later)) {
		d, err := r.request(ctx, Request{Account: later[sequence], Sequence: sequence})
		if err != nil || d == nil {
			return err
		}
		request, err := r.Read(d)
		if err != nil {
			return err
		}
		state, detail, err := r.Judge(ctx, r.ground, request)
		if err != nil {
			return err
		}
		r.repairs[request.Repairs] = append(r.repairs[request.Repairs], request.finding(state, detail))
	}
	return nil
}
