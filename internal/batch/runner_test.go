package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

var errAway = errors.New("away")

// world is a server and a pipeline in memory.
type world struct {
	t  *testing.T
	mu sync.Mutex

	requests []publisher.Request // sequence 1 is the first
	results  map[string]json.RawMessage
	order    []string // keys of results, as they came
	dead     map[uint64]*publisher.DeadLetter
	graves   []uint64
	news     chan struct{} // closed when something comes

	room     int  // for requests; -1: no limit
	away     bool // reading fails
	silent   bool // nothing is processed
	failed   map[string]bool
	conflict map[string]bool
	lookups  int
	deaf     bool // the feeds tell nothing
	said     []string
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, results: map[string]json.RawMessage{}, dead: map[uint64]*publisher.DeadLetter{}, news: make(chan struct{}),
		room: -1, failed: map[string]bool{}, conflict: map[string]bool{},
	}
}

func (w *world) SubmitMany(ctx context.Context, requests iter.Seq[publisher.Request], done func(publisher.Submitted)) error {
	for r := range requests {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		parsed, err := purchase.Parse(r.Body, purchase.Account{Name: r.Account, ChannelID: "7"})
		if err != nil {
			w.t.Error(err)
		}
		s := publisher.Submitted{Request: r, Reference: parsed.Reference}
		w.mu.Lock()
		if w.room == 0 {
			s.Err = errors.New("maximum messages exceeded")
		} else {
			w.room--
			w.requests = append(w.requests, r)
			s.Sequence = uint64(len(w.requests))
			if !w.silent {
				w.process(s.Sequence) // its end may come before the acknowledgement
			}
		}
		w.mu.Unlock()
		done(s)
	}
	return ctx.Err()
}

// process ends a request as the pipeline would.
func (w *world) process(sequence uint64) {
	r := w.requests[sequence-1]
	request, err := purchase.Parse(r.Body, purchase.Account{Name: r.Account, ChannelID: "7"})
	if err != nil {
		w.t.Error(err)
		return
	}
	if w.conflict[request.Reference] {
		w.dead[sequence] = &publisher.DeadLetter{Account: r.Account, Sequence: sequence, Reason: purchase.ReasonConflict, Detail: "used before", Body: r.Body}
		w.graves = append(w.graves, sequence)
	} else if key := r.Account + "/" + request.Reference; w.results[key] == nil {
		w.settle(request, w.failed[request.Reference])
	}
	close(w.news)
	w.news = make(chan struct{})
}

func (w *world) settle(request *purchase.Request, failed bool) {
	o := purchase.Outcome{Kind: purchase.Completed, TransactionID: "t"}
	if failed {
		o = purchase.Outcome{Kind: purchase.Failed, Code: "1100", Class: purchase.ClassProvider}
	}
	result, err := request.Settle(o, purchase.Ending{Source: purchase.SourcePurchase, Attempts: 1, ResolvedAt: resolved})
	if err != nil {
		w.t.Error(err)
	}
	text, err := result.Encode()
	if err != nil {
		w.t.Error(err)
	}
	key := request.Account + "/" + request.Reference
	w.results[key] = text
	w.order = append(w.order, key)
}

func (w *world) ResultBody(_ context.Context, account, reference string) (json.RawMessage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups++
	if w.away {
		return nil, errAway
	}
	return w.results[account+"/"+reference], nil
}

func (w *world) Dead(_ context.Context, _ string, sequence uint64) (*publisher.DeadLetter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return nil, errAway
	}
	return w.dead[sequence], nil
}

// feed is the world's Feed: results from a place on, dead letters from the first.
type feed struct {
	*world
	from int
}

func (f feed) Results(ctx context.Context, each func(string, string, []byte) error) error {
	return f.follow(ctx, f.from, func(i int) (func() error, bool) {
		if i >= len(f.order) {
			return nil, false
		}
		account, reference, _ := strings.Cut(f.order[i], "/")
		text := f.results[f.order[i]]
		return func() error { return each(account, reference, text) }, true
	})
}

func (f feed) Dead(ctx context.Context, each func(string, uint64) error) error {
	return f.follow(ctx, 0, func(i int) (func() error, bool) {
		if i >= len(f.graves) {
			return nil, false
		}
		sequence := f.graves[i]
		return func() error { return each("acme", sequence) }, true
	})
}

func (f feed) follow(ctx context.Context, i int, next func(int) (func() error, bool)) error {
	for {
		f.mu.Lock()
		tell, ok := next(i)
		news := f.news
		ok = ok && !f.deaf
		f.mu.Unlock()
		if !ok {
			select {
			case <-news:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := tell(); err != nil {
			return err
		}
		i++
	}
}

// begin makes the runner of a batch, on files in dir.
func (w *world) begin(dir, text string, change func(*Runner)) (*Runner, func()) {
	w.t.Helper()
	o := Options{Format: JSONL}
	plan := check(w.t, text, o)
	tracker := NewTracker(plan)
	path := filepath.Join(dir, "results.csv")
	w.mu.Lock()
	last, from := uint64(len(w.requests)), len(w.order)
	w.mu.Unlock()
	state, err := OpenState(StatePath(path), plan, "S", last, func(row uint32, sequence uint64) { tracker.Submitted(row, sequence) })
	if err != nil {
		w.t.Fatal(err)
	}
	results, err := OpenResults(path, CSV, true, plan, tracker.Ended)
	if err != nil {
		w.t.Fatal(err)
	}
	runner := &Runner{
		Plan: plan, Tracker: tracker, State: state, Results: results, Sender: w, Ledger: w, Feed: feed{w, from},
		Source: func() (Reader, error) { return NewReader(strings.NewReader(text), o) }, Buyer: anyBuyer, After: last,
		Say: func(text string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.said = append(w.said, text)
		},
	}
	if change != nil {
		change(runner)
	}
	return runner, func() {
		if err := errors.Join(state.Close(), results.Close()); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) run(ctx context.Context, dir, text string, change func(*Runner)) (Progress, error) {
	runner, closeAll := w.begin(dir, text, change)
	defer closeAll()
	err := runner.Run(ctx)
	return runner.Tracker.Progress(), err
}

// lines counts the lines of the results file by status, and checks that each row
// has one at most.
func (w *world) lines(dir string) map[Status]int {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "results.csv"))
	if err != nil {
		w.t.Fatal(err)
	}
	counts, seen := map[Status]int{}, map[string]bool{}
	in := newLines(newBuffered(text), CSV, int64(len(text)))
	if _, err := in.header(); err != nil {
		w.t.Fatal(err)
	}
	for {
		l, err := in.next()
		if errors.Is(err, io.EOF) {
			return counts
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if seen[l.reference] {
			w.t.Errorf("%s is there twice", l.reference)
		}
		seen[l.reference] = true
		counts[l.status]++
	}
}

func inputOf(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(body(fmt.Sprintf("r-%d", i+1), "1.10") + "\n")
	}
	return text.String()
}

func (w *world) want(dir string, got Progress, err error, want Progress, statuses map[Status]int) {
	w.t.Helper()
	if err != nil || got != want {
		w.t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if lines := w.lines(dir); fmt.Sprint(lines) != fmt.Sprint(statuses) {
		w.t.Errorf("lines %v, want %v", lines, statuses)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir, n := newWorld(t), t.TempDir(), 2*chunkRows+10
		w.failed["r-3"], w.conflict["r-5"], w.conflict["r-1030"] = true, true, true
		progress, err := w.run(t.Context(), dir, inputOf(n), nil)
		w.want(dir, progress, err, Progress{Total: n, Submitted: n, Completed: n - 3, Failed: 1, Dead: 2},
			map[Status]int{Completed: n - 3, Failed: 1, Dead: 2})
		if len(w.requests) != n {
			t.Errorf("%d requests", len(w.requests))
		}
		// Again: there is nothing left to do.
		w.lookups = 0
		progress, err = w.run(t.Context(), dir, inputOf(n), nil)
		w.want(dir, progress, err, Progress{Total: n, Submitted: n, Completed: n - 3, Failed: 1, Dead: 2},
			map[Status]int{Completed: n - 3, Failed: 1, Dead: 2})
		if len(w.requests) != n || w.lookups > 0 {
			t.Errorf("%d requests, %d questions", len(w.requests), w.lookups)
		}
	})
}

func TestSummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		w.failed["r-3"], w.conflict["r-2"] = true, true
		for range 2 { // what is read from the file counts alike
			runner, closeAll := w.begin(dir, inputOf(5), nil)
			if err := runner.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			closeAll()
			if got := fmt.Sprint(runner.Tracker.Summary()); got != "[{acme COMPLETED 3 3.30} {acme FAILED 1 1.10} {acme DEAD 1 1.10}]" {
				t.Error(got)
			}
		}
	})
}

// Purchases that the ledger knows already are not submitted again, and those that
// were bought with another payload become what they must.
func TestRunFindsWhatIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		for _, text := range []string{body("r-1", "1.1"), body("r-2", "9")} { // r-1 by value, r-2 for another amount
			request, err := purchase.Parse([]byte(text), purchase.Account{Name: "acme", ChannelID: "7"})
			if err != nil {
				t.Fatal(err)
			}
			w.settle(request, false)
		}
		w.conflict["r-2"] = true
		progress, err := w.run(t.Context(), dir, inputOf(3), nil)
		w.want(dir, progress, err, Progress{Total: 3, Submitted: 3, Completed: 2, Dead: 1}, map[Status]int{Completed: 2, Dead: 1})
		if len(w.requests) != 2 {
			t.Errorf("%d requests", len(w.requests))
		}
		if len(w.said) != 1 || !strings.Contains(w.said[0], "line 2: there is a result under this reference, and it is of another payload") {
			t.Error(w.said)
		}
	})
}

// A full server is waited for, and no row is left out or put out of its place.
func TestRunWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		w.room = 3
		go func() {
			for range 7 {
				time.Sleep(20 * time.Second)
				w.mu.Lock()
				w.room = max(w.room, 0) + 1
				w.mu.Unlock()
			}
		}()
		progress, err := w.run(t.Context(), dir, inputOf(10), nil)
		w.want(dir, progress, err, Progress{Total: 10, Submitted: 10, Completed: 10}, map[Status]int{Completed: 10})
		for i, r := range w.requests {
			if string(r.Body) != body(fmt.Sprintf("r-%d", i+1), "1.10") {
				t.Errorf("%d: %s", i, r.Body)
			}
		}
		if len(w.said) == 0 || !strings.Contains(w.said[0], "does not take purchases now") || !strings.Contains(w.said[0], "maximum messages") {
			t.Error(w.said)
		}
		time.Sleep(time.Hour) // ends the goroutine
	})
}

func TestRunWaitsForTheLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		w.away, w.conflict["r-2"] = true, true
		time.AfterFunc(time.Minute, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.away = false
		})
		progress, err := w.run(t.Context(), dir, inputOf(3), nil)
		w.want(dir, progress, err, Progress{Total: 3, Submitted: 3, Completed: 2, Dead: 1}, map[Status]int{Completed: 2, Dead: 1})
	})
}

// Waiting that ends leaves UNKNOWN lines; the next run puts the ends in their
// place, and asks for nothing twice.
func TestRunEndsBeforeThePurchases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir, n := newWorld(t), t.TempDir(), chunkRows+6
		w.silent, w.room = true, chunkRows+3
		timeOver := errors.New("time over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, timeOver)
		defer cancel()
		runner, closeAll := w.begin(dir, inputOf(n), nil)
		if err := runner.Run(ctx); !errors.Is(err, timeOver) {
			t.Fatal(err)
		}
		closeAll()
		if got := w.lines(dir); got[Unknown] != n-2 && got[Unknown] != n { // what was given to the publisher and refused may be there
			t.Errorf("%v", got)
		}
		if p := runner.Tracker.Progress(); p.Submitted != chunkRows+3 || p.Open() != chunkRows+3 {
			t.Errorf("%+v", p)
		}
		// The pipeline works on while nobody waits.
		w.silent, w.room = false, -1
		w.conflict["r-7"] = true
		for sequence := range w.requests {
			w.process(uint64(sequence) + 1)
		}
		progress, err := w.run(t.Context(), dir, inputOf(n), nil)
		w.want(dir, progress, err, Progress{Total: n, Submitted: n, Completed: n - 1, Dead: 1}, map[Status]int{Completed: n - 1, Dead: 1})
		if len(w.requests) != n {
			t.Errorf("%d requests for %d rows", len(w.requests), n)
		}
	})
}

// A lost state only means repeats; a lost results file is written anew from the
// ledger.
func TestRunWithoutItsFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, lost := range []string{"results.csv", "results.csv.state"} {
			w, dir := newWorld(t), t.TempDir()
			if _, err := w.run(t.Context(), dir, inputOf(5), nil); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, lost)); err != nil {
				t.Fatal(err)
			}
			progress, err := w.run(t.Context(), dir, inputOf(5), nil)
			w.want(dir, progress, err, Progress{Total: 5, Submitted: 5, Completed: 5}, map[Status]int{Completed: 5})
			if len(w.requests) != 5 {
				t.Errorf("%d requests", len(w.requests))
			}
		}
	})
}

func TestRunOnlySubmits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		w.silent = true
		for range 2 {
			progress, err := w.run(t.Context(), dir, inputOf(5), func(r *Runner) { r.Results = nil })
			if err != nil || progress != (Progress{Total: 5, Submitted: 5}) || len(w.requests) != 5 {
				t.Errorf("%+v, %v, %d requests", progress, err, len(w.requests))
			}
		}
	})
}

func TestRunKeepsItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir, start := newWorld(t), t.TempDir(), time.Now()
		if _, err := w.run(t.Context(), dir, inputOf(101), func(r *Runner) { r.Rate = 10 }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestRunRefusesAChangedInput(t *testing.T) {
	t.Parallel()
	for name, changed := range map[string]string{
		"payload": strings.Replace(inputOf(3), "1.10", "1.20", 1), "shorter": inputOf(2), "order": body("r-2", "1.10") + "\n" + body("r-1", "1.10") + "\n" + body("r-3", "1.10"),
		"malformed": "{",
	} {
		synctest.Test(t, func(t *testing.T) {
			w, dir := newWorld(t), t.TempDir()
			_, err := w.run(t.Context(), dir, inputOf(3), func(r *Runner) {
				r.Source = func() (Reader, error) { return NewReader(strings.NewReader(changed), Options{Format: JSONL}) }
			})
			if !errors.Is(err, ErrChanged) || len(w.requests) > 0 {
				t.Errorf("%s: %v, %d requests", name, err, len(w.requests))
			}
		})
	}
}

// A result that nobody can read is not guessed at, and does not keep the others.
func TestRunWithAnUnreadableResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		w.results["acme/r-2"] = json.RawMessage(`{"status":"PERHAPS"}`)
		progress, err := w.run(t.Context(), dir, inputOf(3), nil)
		w.want(dir, progress, err, Progress{Total: 3, Submitted: 3, Completed: 2, Stuck: 1}, map[Status]int{Completed: 2, Unknown: 1})
		if len(w.said) != 1 || !strings.Contains(w.said[0], "line 2: the result in the ledger cannot be read") {
			t.Error(w.said)
		}
	})
}

// A full disk ends the run; what was written before counts.
func TestRunWithAFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		runner, closeAll := w.begin(dir, inputOf(3), nil)
		defer closeAll()
		whole := runner.Results.file
		readOnly, err := os.Open(whole.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer readOnly.Close()
		runner.Results.file = readOnly
		err = runner.Run(t.Context())
		runner.Results.file, runner.Results.buffer = whole, nil
		if err == nil || !strings.Contains(err.Error(), "results file: ") {
			t.Errorf("%v", err)
		}
	})
}
