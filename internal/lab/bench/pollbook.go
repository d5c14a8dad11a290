package bench

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// spreadOut is open purchases whose first polls are spread over one period.
type spreadOut struct {
	pending int
	every   time.Duration
	base    time.Time
}

// submitted is when a purchase was handed to the poller: one period before its
// first poll is due.
func (s spreadOut) submitted(number int) time.Time { return s.due(number).Add(-s.every) }

// due is when it is polled first.
func (s spreadOut) due(number int) time.Time {
	return s.base.Add(time.Duration(float64(s.every) * float64(number) / float64(s.pending)))
}

// pollBook is the vendor's side of open purchases: it knows when each is to be asked
// about, and notes how late that happens.
type pollBook struct {
	spreadOut

	mu      sync.Mutex
	next    []int64 // when each is due, in Unix nanoseconds; 0: not any more
	late    []time.Duration
	early   int
	settled bool
}

func newPollBook(s spreadOut) *pollBook {
	b := &pollBook{spreadOut: s, next: make([]int64, s.pending)}
	for i := range b.next {
		b.next[i] = s.due(i).UnixNano()
	}
	return b
}

// tooEarly is by how much a poll may come before it is due: clocks are read at
// different moments.
const tooEarly = 20 * time.Millisecond

// ask notes a poll and tells whether the purchase has come to its end.
func (b *pollBook) ask(number int, now time.Time) (settled bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	late := time.Duration(now.UnixNano() - b.next[number])
	switch {
	case b.settled:
		b.next[number] = 0
		return true
	case late < -tooEarly:
		b.early++
	default:
		b.late = append(b.late, max(0, late))
	}
	return false
}

// asked notes when the next poll is due, once a question is answered.
func (b *pollBook) asked(number int, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next[number] = now.Add(b.every).UnixNano()
}

// PollStats is what the vendor tells of the polls so far. Times are in nanoseconds.
// Those that are overdue count as late as they are by now.
type PollStats struct {
	Polls   int           `json:"polls"` // not counting early ones
	Early   int           `json:"early"`
	Overdue int           `json:"overdue"`
	P50     time.Duration `json:"p50"`
	P99     time.Duration `json:"p99"`
	Max     time.Duration `json:"max"`
}

// stats looks at polls and at what is overdue by more than a second.
func (b *pollBook) stats(now time.Time) PollStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := PollStats{Polls: len(b.late), Early: b.early}
	all := append([]time.Duration{}, b.late...)
	for _, due := range b.next {
		if late := time.Duration(now.UnixNano() - due); due != 0 && late > time.Second {
			s.Overdue++
			all = append(all, late)
		}
	}
	s.P50, s.P99, s.Max = percentile(all, 0.50), percentile(all, 0.99), percentile(all, 1)
	return s
}

// forget begins anew: what is overdue is due now.
func (b *pollBook) forget(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late, b.early = nil, 0
	for i, due := range b.next {
		b.next[i] = max(due, now.UnixNano())
	}
}

// settle ends all purchases.
func (b *pollBook) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settled = true
}

// answer appends the answer to a question of the poller's or of the bench's.
func (b *pollBook) answer(dst []byte, path string, latency time.Duration) []byte {
	what, query, _ := strings.Cut(path, "?")
	switch what {
	case "/transactions":
		values, _ := url.ParseQuery(query) // without an id nothing is found
		id := values.Get("transactionId")
		number, err := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
		if err != nil || number < 0 || number >= b.pending {
			return append(dst, `{"content":[]}`...)
		}
		settled := b.ask(number, time.Now())
		if latency > 0 {
			time.Sleep(latency)
		}
		if settled {
			return fmt.Appendf(dst, `{"content":[{"transactionId":%q,"merchantReference":%q,"status":{"code":0,"label":"COMPLETED"},`+
				`"responseCode":"0","receipt":{"pin":"1234 5678 9012 3456","serialNumber":"98765432101234"}}]}`, id, reference(number))
		}
		b.asked(number, time.Now())
		return fmt.Appendf(dst, `{"content":[{"transactionId":%q,"merchantReference":%q,"status":{"code":1,"label":"PENDING"}}]}`, id, reference(number))
	case "/polls":
		text, err := json.Marshal(b.stats(time.Now()))
		if err != nil {
			return append(dst, `{}`...)
		}
		return append(dst, text...)
	case "/forget":
		b.forget(time.Now())
	case "/settle":
		b.settle()
	}
	return append(dst, `{}`...)
}
