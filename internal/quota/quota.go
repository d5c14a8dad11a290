// Package quota shares an account's purchase limit over all processes: at most
// Requests purchase calls in any window of Per (contract, promise 6).
//
// It keeps a log in Redis of every permit of the last window (a sliding-window
// log) and grants a permit only while the log has room. Vendors enforce limits
// in one of two ways, and the log suits both, with N requests per period P:
//
//   - A fixed window counts calls from one tick of its clock to the next. The log
//     has at most N in any window of length P, wherever it begins.
//   - A token bucket holds N tokens and refills N in each P: in any span of L it
//     lets through N + N·L/P. A span of L is covered by ⌊L/P⌋+1 windows, so the
//     log has at most N·(⌊L/P⌋+1) in it, which is never more.
//
// GCRA with a burst of N is itself a token bucket: N at once and one more each
// P/N, which puts nearly 2N into one fixed window. It would be refused there.
//
// A permit is good for a short while (Validity). Used later than it was granted,
// it would bunch with others; so the log first counts it as used at the very end
// of its validity, and puts that right when the use is reported, with the next
// call of Take or GiveBack. A process that dies loses its permits for a window.
//
// Windows are longer than Per by a guard of one fortieth, 5 ms at least and 1 s
// at most: calls do not all travel at the same speed. That costs 2.5 % of the
// allowance at most (more below 200 ms), and is what keeps the vendor from
// seeing two windows overlap.
//
// Time is the Redis server's. A Redis that loses everything also forgets the
// last window, but for the uses that are yet to be reported, and a clock that
// leaps ahead ends it early: the vendor's 429 and Penalize set that right.
package quota

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Validity is how long a permit is good for after it was granted. Whoever does
// not use it by then gives it back.
const Validity = time.Second

const (
	guardShare = 40
	guardMin   = 5 * time.Millisecond
	guardMax   = time.Second

	// maxReports bounds what is remembered for a Redis that is away. A permit
	// whose report is dropped counts for as long as it could.
	maxReports = 10_000
)

// Limit is an account's purchase limit.
type Limit struct {
	Requests int           // 0 or less: unlimited
	Per      time.Duration // 0 or less: a minute
}

const defaultPer = time.Minute

// Limiter grants the permits of one account. It is safe for concurrent use,
// starts no goroutines, and does not own its client.
type Limiter struct {
	client redis.UniversalClient
	keys   []string
	limit  Limit
	name   string           // of this limiter among all processes
	now    func() time.Time // ages of permits only; tests set it

	mu      sync.Mutex
	calls   uint64
	reports []report   // not told to Redis yet
	out     []*permits // sets that may hold permits: swept when they are over
	paused  time.Time  // of an unlimited account: until when this process waits
}

// report is what became of a permit.
type report struct {
	permit string
	used   time.Time // zero: given back unused
}

// New makes the limiter of an account. It sends nothing. prefix is
// subjects.prefix.
func New(client redis.UniversalClient, prefix, account string, limit Limit) *Limiter {
	if limit.Per <= 0 {
		limit.Per = defaultPer
	}
	return &Limiter{
		client: client, keys: keys(prefix, account), limit: limit,
		name: rand.Text(), now: time.Now,
	}
}

// window is how long a used permit counts.
func (l *Limiter) window() time.Duration {
	return l.limit.Per + min(max(l.limit.Per/guardShare, guardMin), guardMax)
}

func (l *Limiter) unlimited() bool { return l.limit.Requests <= 0 }

// Take grants 1 to most permits, or none with the time after which it is worth
// asking again. That time may be short while other processes hold permits that
// they might give back, so ask again as long as there is work. An error grants
// nothing: without Redis nothing is called. An unlimited account asks nobody.
func (l *Limiter) Take(ctx context.Context, most int) (Permits, time.Duration, error) {
	if most <= 0 {
		return Permits{}, 0, nil
	}
	if l.unlimited() {
		if wait := l.localPause(); wait > 0 {
			return Permits{}, wait, nil
		}
		return Permits{&permits{limiter: l, unnamed: most}}, 0, nil
	}
	// Before the call, and so before the grant: never later than Redis counts.
	until := l.now().Add(Validity)
	call := l.nextCall()
	granted, wait, err := l.run(ctx, most, call)
	if err != nil {
		// They may have been granted all the same. A name that was not does no harm.
		for _, name := range names(call, min(most, l.limit.Requests)) {
			l.report(report{permit: name})
		}
		return Permits{}, 0, fmt.Errorf("quota: take: %w", err)
	}
	if granted == 0 {
		return Permits{}, wait, nil
	}
	set := &permits{limiter: l, until: until, names: names(call, granted)}
	l.watch(set)
	return Permits{set}, 0, nil
}

// GiveBack returns the permits that were not used, and reports those that were.
// The set is empty afterwards. Permits whose validity is over unused are given
// back by the next call of Take or GiveBack, whether asked for or not. With an error they count as if they had been
// used, until the next call of Take or GiveBack tells Redis.
func (l *Limiter) GiveBack(ctx context.Context, p Permits) error {
	for _, name := range p.empty() {
		l.report(report{permit: name})
	}
	if l.unlimited() || !l.reporting() {
		return nil
	}
	if _, _, err := l.run(ctx, 0, ""); err != nil {
		return fmt.Errorf("quota: give back: %w", err)
	}
	return nil
}

// Penalize is for an answer of 429: nobody of this account gets a permit for d,
// in any process. A longer pause that runs already stays. Permits that were
// granted before stay good. The pause of an unlimited account, which asks Redis
// nothing, holds in this process only.
func (l *Limiter) Penalize(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if l.unlimited() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if until := l.now().Add(d); until.After(l.paused) {
			l.paused = until
		}
		return nil
	}
	if err := pauseScript.Run(ctx, l.client, l.keys, milliseconds(d)).Err(); err != nil {
		return fmt.Errorf("quota: penalize: %w", err)
	}
	return nil
}

func (l *Limiter) localPause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused.Sub(l.now())
}

func (l *Limiter) nextCall() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	return l.name + "-" + strconv.FormatUint(l.calls, 36)
}

// names are the permits of a call, as takeScript names them.
func names(call string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = call + ":" + strconv.Itoa(i+1)
	}
	return all
}

// run sends takeScript with all reports there are. Reports that did not arrive
// are kept for the next time; one that arrives twice does no harm.
func (l *Limiter) run(ctx context.Context, most int, call string) (int, time.Duration, error) {
	l.sweep()
	l.mu.Lock()
	reports := l.reports
	l.reports = nil
	l.mu.Unlock()

	args := []any{l.limit.Requests, milliseconds(l.window()), milliseconds(Validity), most, call}
	now := l.now()
	for _, r := range reports {
		age := int64(-1)
		if !r.used.IsZero() {
			age = max(now.Sub(r.used).Milliseconds(), 0)
		}
		args = append(args, r.permit, age)
	}
	answer, err := takeScript.Run(ctx, l.client, l.keys, args...).Int64Slice()
	if err == nil && len(answer) != 2 {
		err = errAnswer
	}
	if err != nil {
		l.report(reports...)
		return 0, 0, err
	}
	return int(answer[0]), time.Duration(answer[1]) * time.Millisecond, nil
}

var errAnswer = errors.New("the script gave an unexpected answer")

func (l *Limiter) report(reports ...report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if room := maxReports - len(l.reports); len(reports) > room {
		reports = reports[:room]
	}
	l.reports = append(l.reports, reports...)
}

func (l *Limiter) reporting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.reports) > 0
}

// watch remembers a set, so that what is not used of it is given back once its
// validity is over, even if its holder forgets.
func (l *Limiter) watch(set *permits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = append(l.out, set)
}

// sweep makes reports of permits that cannot be used any more.
func (l *Limiter) sweep() {
	l.mu.Lock()
	out := l.out
	l.out = nil
	l.mu.Unlock()
	for _, set := range out {
		// A set's lock is taken before the limiter's, as in Use.
		names, over := set.leftOver()
		for _, name := range names {
			l.report(report{permit: name})
		}
		if !over {
			l.watch(set)
		}
	}
}

// milliseconds is d as the scripts count it, rounded up.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
