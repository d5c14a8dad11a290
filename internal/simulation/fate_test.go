package simulation

import (
	"hash/maphash"
	"sync"
	"time"
)

// dice are the throws that belong to one thing of one history. They depend on the
// seed and on what the thing is, never on what else goes on at the same time, so
// that a history that is run again goes the same way.
type dice struct{ state uint64 }

func newDice(seed uint64, names ...string) *dice {
	const prime = 1099511628211 // FNV-1a
	h := uint64(14695981039346656037) ^ seed*0x9E3779B97F4A7C15
	for _, name := range names {
		for i := range len(name) {
			h = (h ^ uint64(name[i])) * prime
		}
		h = (h ^ 0xFF) * prime
	}
	return &dice{h}
}

// next is splitmix64.
func (d *dice) next() uint64 {
	d.state += 0x9E3779B97F4A7C15
	z := d.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (d *dice) intn(n int) int { return int(d.next() % uint64(n)) }

// percent is true n times in a hundred.
func (d *dice) percent(n int) bool { return d.intn(100) < n }

// upTo is a time between nothing and most, to the nanosecond: no two things
// happen at the same moment.
func (d *dice) upTo(most time.Duration) time.Duration {
	return time.Duration(d.next()%uint64(most)) + 1
}

// weather is what a history may meet. Some meet little, so that what must hold on
// a quiet day is seen to hold, and not only what is left of it in a storm.
type weather struct {
	faults  int  // of a hundred effects: refused, or answered to nobody
	deaths  int  // of a thousand effects: the process dies there
	slow    int  // of a hundred effects: much too slow
	vendor  int  // of a hundred calls of the vendor: anything but an answer
	logins  bool // the vendor withdraws tokens, and refuses logins at times
	forgets bool // Redis is emptied at times
	jumps   bool // the clock of Redis jumps
	outages bool // Redis, NATS or the vendor is away for a while
	full    bool // streams take nothing for a while
	pauses  bool // processes stop for longer than a lease, and go on
	resets  bool // a consumer is made again and starts from the beginning
	loses   bool // results are removed, and the requests come once more
	bears   bool // items of /transactions bear the reference
	expiry  bool // requests bear expiry times
	lookups bool // requests ask for a look-up
	reused  bool // references are used again with other payloads

	operator bool // operators pause the account and resume it
	hold     bool // on_insufficient_balance: hold, and the float is empty at times
	locked   bool // the credentials are refused at times
	forbids  bool // every purchase is answered 403 at times
	low      bool // some requests are of low priority

	former bool // a former leader of a stream answers some, for a while
}

func newWeather(seed uint64) weather {
	d := newDice(seed, "weather")
	w := weather{
		faults: []int{0, 2, 5, 12}[d.intn(4)],
		deaths: []int{0, 5, 15, 40}[d.intn(4)],
		slow:   []int{0, 1, 3}[d.intn(3)],
		vendor: []int{5, 20, 40}[d.intn(3)],
	}
	for _, may := range []*bool{&w.logins, &w.forgets, &w.jumps, &w.outages, &w.full, &w.pauses, &w.resets, &w.loses, &w.bears, &w.expiry, &w.lookups, &w.reused} {
		*may = d.percent(33)
	}
	for _, may := range []*bool{&w.operator, &w.hold, &w.locked, &w.forbids, &w.low} {
		*may = d.percent(20)
	}
	w.former = newDice(seed, "former leaders").percent(33)                // a throw of its own: it leaves the others as they were
	if (w.operator || w.hold || w.locked || w.forbids) && d.percent(20) { // pauses on a quiet day
		w.faults, w.deaths, w.slow = 0, 0, 0
		w.forgets, w.jumps, w.outages, w.pauses, w.loses, w.resets = false, false, false, false, false, false
	}
	return w
}

// sound says that Redis answers and keeps its word, and that nobody is stopped or
// killed: a claim then keeps all others from calling the vendor.
func (w weather) sound() bool {
	return w.faults+w.deaths+w.slow == 0 && !w.forgets && !w.jumps && !w.outages && !w.pauses && !w.former
}

// fate decides what becomes of each effect of one history, and remembers it.
type fate struct {
	seed    uint64
	weather weather
	start   time.Time

	mu    sync.Mutex
	calm  bool // no more faults: what is open must come to its end
	nth   map[uint64]int
	trace []entry
	away  map[string]time.Time // until when nobody answers, by what is away
}

var hashing = maphash.MakeSeed()

func newFate(seed uint64) *fate {
	return &fate{seed: seed, weather: newWeather(seed), start: time.Now(), nth: map[uint64]int{}, away: map[string]time.Time{}}
}

// dice are those of the next thing of that name.
func (f *fate) dice(names ...string) *dice {
	var h maphash.Hash
	h.SetSeed(hashing)
	for _, name := range names {
		_, _ = h.WriteString(name)
		_ = h.WriteByte(0)
	}
	key := h.Sum64()
	f.mu.Lock()
	f.nth[key]++
	n := f.nth[key]
	f.mu.Unlock()
	d := newDice(f.seed, names...)
	d.state ^= uint64(n) * 0xD6E8FEB86659FD93
	d.next()
	return d
}

func (f *fate) isCalm() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calm
}

func (f *fate) setCalm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calm = true
	clear(f.away)
}

// takeAway makes everything of that kind answer nobody for a while.
func (f *fate) takeAway(what string, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away[what] = time.Now().Add(d)
}

func (f *fate) isAway(what string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.away[what])
}

type verdict uint8

const (
	happens    verdict = iota
	fails              // nothing was done
	answerLost         // done, and nobody hears of it
	diesBefore
	diesAfter
)

var verdictNames = [...]string{"", "fails", "answer lost", "dies before", "dies after"}

func (f *fate) verdict(what, process, effect, key string) (verdict, time.Duration) {
	d := f.dice(process, effect, key)
	delay := d.upTo(3 * time.Millisecond)
	switch {
	case f.isCalm():
		return happens, delay
	case f.isAway(what):
		return fails, delay + 4*time.Second
	case d.percent(f.weather.slow):
		delay = d.upTo(90 * time.Second)
	}
	switch n := d.intn(1000); {
	case n < f.weather.deaths/2:
		return diesBefore, delay
	case n < f.weather.deaths:
		return diesAfter, delay
	}
	switch n := d.intn(200); {
	case n < f.weather.faults:
		return fails, delay
	case n < 2*f.weather.faults:
		return answerLost, delay
	}
	return happens, delay
}
