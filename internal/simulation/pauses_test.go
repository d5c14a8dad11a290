package simulation

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/pause/pausetest"
)

// bucket is the store of the account's pause, which all processes share, and what
// has been seen of it: the model passes the suite of every such store.
type bucket struct {
	*pausetest.Memory

	mu     sync.Mutex
	record pause.Record
	stored time.Time // when its cause last changed
	rights int       // to probe, taken since
	probes int       // calls since
}

func newBucket() *bucket { return &bucket{Memory: pausetest.NewMemory()} }

// save stores a record and looks at it.
func (b *bucket) save(ctx context.Context, account string, r pause.Record, revision uint64) (pause.Entry, error) {
	e, err := b.Memory.Save(ctx, account, r, revision)
	if err != nil {
		return e, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r.Cause != b.record.Cause || !r.Since.Equal(b.record.Since):
		b.stored, b.rights, b.probes = time.Now(), 0, 0
	case r.Paused():
		b.rights++
	}
	b.record = r
	return e, nil
}

// isOn reports whether the account is paused.
func (b *bucket) isOn() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.record.Paused()
}

// operator has no faults: pauses and resumes are what happens to the world.
type operator struct{ *bucket }

func (o operator) Save(ctx context.Context, account string, r pause.Record, revision uint64) (pause.Entry, error) {
	return o.save(ctx, account, r, revision)
}

func (w *world) operator() *pause.Board { return pause.NewBoard(operator{w.pauses}, func(error) {}) }

// pauses is a process's view of the bucket.
type pauses struct {
	process *process
	bucket  *bucket
}

func (p *pauses) Load(ctx context.Context, account string) (pause.Entry, error) {
	return reach(ctx, p.process, "nats", "read pause", "", func() (pause.Entry, error) { return p.bucket.Load(ctx, account) })
}

func (p *pauses) Save(ctx context.Context, account string, r pause.Record, revision uint64) (pause.Entry, error) {
	return reach(ctx, p.process, "nats", "write pause", string(r.Cause), func() (pause.Entry, error) {
		return p.bucket.save(ctx, account, r, revision)
	})
}

func (p *pauses) Watch(ctx context.Context, each func(string, pause.Entry), seen func()) error {
	err := p.process.effect(ctx, "nats", "watch pauses", "", func() error { return nil })
	if err != nil {
		return err
	}
	all := false
	return p.bucket.Watch(ctx, func(account string, e pause.Entry) {
		if all {
			p.process.awake()
			time.Sleep(p.process.fate.dice(p.process.name, "told").upTo(10 * time.Millisecond))
		}
		if !p.process.isDead() {
			each(account, e)
		}
	}, func() { all = true; seen() })
}

// newGate is the gate of one pool.
func newGate(shared *pause.Switch, polls bool) *gate.Gate {
	return gate.New(gate.Config{BackOff: newBackOff, Probe: 8 * time.Second, Shared: shared, Polls: polls})
}

// moods are times in which the vendor refuses the account as a whole.
type moods struct{ broke, locked, forbids time.Time }

func (v *vendorModel) isBroke() bool    { return time.Now().Before(v.moods.broke) }
func (v *vendorModel) isLocked() bool   { return time.Now().Before(v.moods.locked) }
func (v *vendorModel) forbidsAll() bool { return time.Now().Before(v.moods.forbids) }

// change is what befalls the account as a whole, until ctx ends: operators pause
// it, its float is empty, its credentials are refused, its role is taken away.
func (w *world) change(ctx context.Context) {
	f := w.fate
	weather := []bool{f.weather.operator, f.weather.hold, f.weather.locked, f.weather.forbids}
	for n, burst := 0, false; ; n++ {
		d := newDice(f.seed, "change", fmt.Sprint(n))
		select {
		case <-ctx.Done():
			return
		case <-time.After(d.upTo(time.Minute)):
		}
		what, long := d.intn(len(weather)), d.upTo(3*time.Minute)
		if !weather[what] {
			continue
		}
		until := time.Now().Add(long)
		f.note("world", []string{"operator pauses", "float is empty", "credentials are refused", "role is taken away"}[what], "", long.String())
		if what == 0 {
			_ = w.operator().Pause(ctx, account.Name, "operator", "")
			if d.percent(70) {
				select {
				case <-ctx.Done():
				case <-time.After(long):
				}
				w.resume()
			}
			continue
		}
		w.vendor.mu.Lock()
		*[]*time.Time{&w.vendor.moods.broke, &w.vendor.moods.locked, &w.vendor.moods.forbids}[what-1] = until
		w.vendor.mu.Unlock()
		if what == 3 && !burst {
			burst = true
			w.burst()
		}
	}
}

// resume is the operator's.
func (w *world) resume() {
	w.fate.note("world", "operator resumes", "", "")
	_, _ = w.operator().Resume(context.Background(), account.Name, "operator", "")
}

// settleDown ends all moods, and the operator's pause.
func (w *world) settleDown() {
	w.vendor.mu.Lock()
	w.vendor.moods = moods{}
	w.vendor.mu.Unlock()
	w.pauses.mu.Lock()
	cause := w.pauses.record.Cause
	w.pauses.mu.Unlock()
	if cause == pause.Operator {
		w.resume()
	}
}

// burst asks for as many purchases as it takes to be refused ten times in a row.
func (w *world) burst() {
	for i := range 12 {
		w.extra(fmt.Sprintf("burst-%d", i))
	}
}

// extra asks for a purchase that the vendor completes.
func (w *world) extra(reference string) {
	s := submission{reference: reference, body: fmt.Sprintf(payloads[0][0], reference)}
	w.ask(s)
	_, _, _ = w.streams.requests.publish(subjects.Requests("acme"), nil, []byte(s.body)) // a full stream takes it the next time
}

func completes(reference string) bool { return strings.HasPrefix(reference, "extra-") }

const (
	// lateWord is how long after an operator's word a call may be made by a process
	// that has not heard it: a watch is begun anew every minute, NATS may be away,
	// and every effect before the call be as slow as can be.
	lateWord = 6 * time.Minute
	// underway is how long a call may have been on its way.
	underway = 5 * time.Second
)

// whilePaused holds a purchase call that begins against the account's pause.
func (w *world) whilePaused(p *process, reference string) {
	b := w.pauses
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.record.Paused() {
		return
	}
	paused, sound := time.Since(b.stored), w.fate.weather.sound()
	if b.record.Cause == pause.Operator {
		if paused > lateWord || sound && paused > underway {
			w.breach(reference, "%s: posted by %s %s after an operator paused the account", reference, p.name, paused)
		}
		return
	}
	// A call whose token is refused is made once more with another: still one probe.
	if weather := w.fate.weather; paused <= underway || !sound || weather.logins || weather.locked {
		return
	}
	if b.probes++; b.probes > b.rights {
		w.breach(reference, "%s: posted by %s while the account is paused (%s), and not as its probe", reference, p.name, b.record.Cause)
	}
}
