package batch

import (
	"sync"

	"github.com/vendstream/vendstream/internal/purchase"
)

// stage is how far a row has come.
type stage uint8

const (
	idle    stage = iota
	sending       // given to the publisher: the server may have it
	open          // acknowledged, and without an end
	ended         // its end is in the results file
	stuck         // its result is there and cannot be read
)

// Tracker knows how far every row has come. It is safe for concurrent use.
type Tracker struct {
	mu        sync.Mutex
	plan      *Plan
	stages    []stage
	sequences map[uint64]uint32 // of open rows, in the requests stream
	// early are dead letters of messages that are not known to be a row's, since
	// the acknowledgement may come after them. Only while rows are submitted.
	early map[uint64]bool
	left  int // rows that are neither ended nor stuck
	stuck int
	sent  int // rows that were acknowledged or had an end without
	tally map[tallyKey]*tally
	done  chan struct{} // closed when left is 0
}

type tallyKey struct {
	account uint32
	status  Status
}

type tally struct {
	count int
	sum   purchase.Total
}

// NewTracker begins with every row idle.
func NewTracker(plan *Plan) *Tracker {
	return &Tracker{
		plan: plan, stages: make([]stage, plan.Len()), left: plan.Len(),
		sequences: map[uint64]uint32{}, early: map[uint64]bool{}, tally: map[tallyKey]*tally{}, done: make(chan struct{}),
	}
}

// Submitted notes that the server has stored a row. It reports whether a dead
// letter of that sequence was seen before.
func (t *Tracker) Submitted(row uint32, sequence uint64) (dead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.stages[row] {
	case idle, sending:
		t.stages[row] = open
		t.sent++
	case open: // submitted again
	default:
		return false
	}
	t.sequences[sequence] = row
	return t.early[sequence]
}

// Ended notes the end of a row that a results file holds already.
func (t *Tracker) Ended(row uint32, status Status, amount string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(row, status, amount)
}

// end reports whether this is the row's first end.
func (t *Tracker) end(row uint32, status Status, amount string) bool {
	if t.stages[row] >= ended {
		return false
	}
	if t.stages[row] < open {
		t.sent++
	}
	t.stages[row] = ended
	t.count(row, status, amount)
	t.drop()
	return true
}

// count adds a row to the summary.
func (t *Tracker) count(row uint32, status Status, amount string) {
	key := tallyKey{t.plan.rows[row].account, status}
	if t.tally[key] == nil {
		t.tally[key] = &tally{}
	}
	t.tally[key].count++
	if d, ok := amountOf(amount); ok {
		t.tally[key].sum.Add(d)
	}
}

func (t *Tracker) drop() {
	if t.left--; t.left == 0 {
		close(t.done)
	}
}

// unreadable notes a row whose result cannot be read; false where it was known.
func (t *Tracker) unreadable(row uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stages[row] >= ended {
		return false
	}
	if t.stages[row] < open {
		t.sent++
	}
	t.stages[row] = stuck
	t.stuck++
	t.drop()
	return true
}

// send notes that a row is about to be submitted; false where that is not needed.
func (t *Tracker) send(row uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stages[row] >= open {
		return false
	}
	t.stages[row] = sending
	return true
}

func (t *Tracker) stage(row uint32) stage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stages[row]
}

// grave is the row whose message became a dead letter. One that is not known is
// kept for later where keep says so.
func (t *Tracker) grave(sequence uint64, keep bool) (uint32, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row, ok := t.sequences[sequence]
	if !ok && keep && t.early != nil {
		t.early[sequence] = true
	}
	return row, ok && t.stages[row] < ended
}

// allSubmitted ends the time in which dead letters may be early.
func (t *Tracker) allSubmitted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.early = nil
}

// Progress is how far a batch has come, in rows.
type Progress struct {
	Total, Submitted, Completed, Failed, Dead, Stuck int
}

// Ended is how many rows have an end.
func (p Progress) Ended() int { return p.Completed + p.Failed + p.Dead }

// Open is how many rows were acknowledged and have no end.
func (p Progress) Open() int { return p.Submitted - p.Ended() - p.Stuck }

// Progress looks at how far the batch has come.
func (t *Tracker) Progress() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := Progress{Total: t.plan.Len(), Submitted: t.sent, Stuck: t.stuck}
	for key, tally := range t.tally {
		switch key.status {
		case Completed:
			p.Completed += tally.count
		case Failed:
			p.Failed += tally.count
		case Dead:
			p.Dead += tally.count
		}
	}
	return p
}

// Line is one line of a summary: what the rows of an account with one status come
// to. Sum is exact, of the amounts that can be money.
type Line struct {
	Account string `json:"account"`
	Status  Status `json:"status"`
	Rows    int    `json:"rows"`
	Sum     string `json:"sum"`
}

// notSent is the status of rows in a summary that were never submitted.
const notSent Status = "NOT_SENT"

// Summary is what became of all rows, by account and status.
func (t *Tracker) Summary() []Line {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Line
	for i := range t.plan.Accounts {
		for _, status := range append(statuses, notSent) {
			if tally := t.tally[tallyKey{uint32(i), status}]; tally != nil {
				out = append(out, Line{t.plan.Accounts[i].Name, status, tally.count, tally.sum.String()})
			}
		}
	}
	return out
}
