package chaos

import (
	"fmt"
	"slices"
	"time"

	"github.com/vendstream/vendstream/internal/lab"
	"github.com/vendstream/vendstream/internal/purchase"
)

// justBefore is how long before a call the streams may have been asked for the last
// time: half a second, and as much again for a machine that is busy.
const justBefore = time.Second

// Late is a purchase call that came after a non-terminal answer of that purchase had
// been stored, while the vendor still had it open.
type Late struct {
	Call  Call
	After time.Duration // since that was stored
	// Why it was to be expected: the process was held still, or had looked just
	// before. "" where nothing explains it, which breaks promise 2.
	Why string
}

// Verify holds a run against the contract: all that lab.Check does, and what can be
// told only of a run whose calls and acknowledgements were watched. It decides by
// its arguments alone.
func Verify(e Evidence) (breaches []lab.Breach, late []Late) {
	for _, a := range e.Acks {
		e.Acknowledged = append(e.Acknowledged, a.Sequence)
	}
	slices.Sort(e.Acknowledged)
	e.Acknowledged = slices.Compact(e.Acknowledged)
	breaches = append(lab.Check(e.Evidence), acknowledged(e)...)
	late = latePosts(e)
	for _, l := range late {
		if l.Why == "" {
			breaches = append(breaches, lab.Breach{Promise: 2, About: l.Call.Key.String(), Detail: fmt.Sprintf(
				"was posted by %s %.3f s after a non-terminal answer was stored, while it was open", l.Call.By, l.After.Seconds())})
		}
	}
	return breaches, late
}

// acknowledged asks that what was acknowledged is what stands at its sequence: a
// message that was lost may have left its place to another.
func acknowledged(e Evidence) []lab.Breach {
	var breaches []lab.Breach
	stored := map[uint64]lab.Message{}
	for _, m := range e.Requests {
		stored[m.Sequence] = m
	}
	for _, a := range e.Acks {
		m, there := stored[a.Sequence]
		if !there {
			continue // lab.Check tells it
		}
		same := bodyOf(m) == a.Body
		if a.Duplicate && !same {
			// The server kept the first spelling of the same value.
			r, err := purchase.Parse(m.Data, purchase.Account{Name: a.Account})
			same = err == nil && r.Reference == a.Reference
		}
		if !same || subjects.AccountOf(m.Subject) != a.Account {
			breaches = append(breaches, lab.Breach{
				Promise: 1, About: fmt.Sprintf("request %d", a.Sequence),
				Detail: fmt.Sprintf("was acknowledged as %s and another message stands there", lab.Key{Account: a.Account, Reference: a.Reference}),
			})
		}
	}
	return breaches
}

// latePosts finds the purchase calls that came too late, and what explains them.
func latePosts(e Evidence) []Late {
	first := map[lab.Key]time.Time{}
	for _, h := range e.Handoffs {
		at, known := first[h.Key]
		if h.State == string(purchase.OpenInFlight) && (!known || h.At.Before(at)) {
			first[h.Key] = h.At
		}
	}
	var late []Late
	for _, c := range e.Calls {
		at, known := first[c.Key]
		if !known || !c.Open || !c.At.After(at) {
			continue
		}
		l := Late{Call: c, After: c.At.Sub(at)}
		if l.After <= justBefore {
			l.Why = "it had looked just before"
		}
		for _, held := range e.Held[c.By] {
			// It looked before the answer was stored, was held, and went on.
			if held.From.Before(c.At) && held.To.After(at.Add(-justBefore)) && c.At.Sub(held.To) < 2*justBefore {
				l.Why = "the process was held still, or its connections were slowed"
			}
		}
		late = append(late, l)
	}
	return late
}
