package audit

import (
	"context"
	"time"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

// State is what was found out about a request, hand-off, dead letter or result.
type State string

// States of a request that is accounted for.
const (
	Settled State = "settled" // its result is stored
	Dead    State = "dead"    // its dead letter is
	Pending State = "pending" // its hand-off is open
	Waiting State = "waiting" // it is not acknowledged yet, or one before it is not
	// Expired: acknowledged, not pending, and so old that its end is no longer kept.
	Expired State = "expired"
	// Repaired: put back to work; the request that did it answers for it.
	Repaired State = "repaired"
)

// Findings.
const (
	// Unaccounted: acknowledged, and no end of it is there.
	Unaccounted State = "unaccounted"
	// Conflict: acknowledged, the reference is another payload's, and there is no
	// dead letter that says so.
	Conflict State = "unreported_conflict"
	// Doubled: it has both a result and a dead letter.
	Doubled State = "doubled"
	// Misburied: a dead letter says that it can have no result, and it can.
	Misburied State = "misburied"
	// Lingering: it has a result, and its hand-off has been open for long since.
	Lingering State = "lingering"
	// Orphan: a result without a request.
	Orphan State = "orphan"
	// Unverifiable: its end was made with a digest key that is not configured here.
	Unverifiable State = "unverifiable"
	// Unreadable: what is stored as its end cannot be read.
	Unreadable State = "unreadable"
)

// Open reports whether the request has no end yet, and is known to have none.
func (s State) Open() bool { return s == Pending || s == Waiting }

// Accounted reports whether the request has its one end or a known open place.
func (s State) Accounted() bool {
	switch s {
	case Settled, Dead, Pending, Waiting, Expired, Repaired:
		return true
	default:
		return false
	}
}

// Ends reads what became of a request from the streams' leaders.
type Ends interface {
	Result(ctx context.Context, account, reference string) (*purchase.Result, error)
	Handoff(ctx context.Context, account, reference string) (*purchase.Handoff, uint64, error)
	Dead(ctx context.Context, account string, sequence uint64) (*publisher.DeadLetter, error)
}

// Streams reads streams in order.
type Streams interface {
	Stream(ctx context.Context, name string) (broker.Stream, error)
	Floors(ctx context.Context) (map[string]uint64, error)
	Read(ctx context.Context, r broker.Reading, each func(*worker.Delivery) error) error
}

// Seeker reads single messages from the streams' leaders.
type Seeker interface {
	Next(ctx context.Context, stream, subject string, from uint64) (*worker.Delivery, error)
	Walk(ctx context.Context, stream, subject string, each func(*worker.Delivery) error) error
}

// Config is what an audit works with. All of it is required unless said otherwise.
type Config struct {
	Subjects publisher.Subjects
	Streams  Streams
	Seeker   Seeker
	Ends     Ends
	// Account is what the configuration says of an account; only the name where it
	// says nothing.
	Account func(name string) purchase.Account
	// Parallel is how many look-ups are under way at once; 0: 32.
	Parallel int
	// Pause is the time before a request is accused at which it is looked at once
	// more; 0: 1 s.
	Pause time.Duration
	// LingerAfter is how long a hand-off may stay open beside its result; 0: 1 h.
	LingerAfter time.Duration
	// Now is the time; nil: time.Now.
	Now func() time.Time
}

func (c Config) filled() Config {
	if c.Parallel == 0 {
		c.Parallel = 32
	}
	if c.Pause == 0 {
		c.Pause = time.Second
	}
	if c.LingerAfter == 0 {
		c.LingerAfter = time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Request is one request as the audit needs it: without its body.
type Request struct {
	Account   string
	Sequence  uint64
	Time      time.Time
	Reference string          // "" where it can have no result
	Digest    purchase.Digest // "" likewise
	Reason    purchase.Reason // why it can have none, or ""
	Repairs   uint64          // the request that it puts back to work, or 0
}

// Read makes the Request of a message of the requests stream.
func (c Config) Read(d *worker.Delivery) (Request, error) {
	r := Request{
		Account: c.Subjects.AccountOf(d.Subject), Sequence: d.Sequence, Time: d.Time,
		Repairs: publisher.Repairs(d.Header),
	}
	parsed, err := purchase.Parse(d.Body, c.Account(r.Account))
	if err != nil {
		why, err := rejection(err)
		if err != nil {
			return r, err
		}
		r.Reason = why.Reason
		return r, nil
	}
	r.Reference, r.Digest = parsed.Reference, parsed.Digest
	return r, nil
}

// Finding is a request, or an end of one, and what was found out about it.
type Finding struct {
	Account   string    `json:"account"`
	Sequence  uint64    `json:"sequence"` // of the request; 0 where there is none
	State     State     `json:"finding"`
	Reference string    `json:"merchantReference,omitempty"`
	Time      time.Time `json:"requestedAt"`
	Detail    string    `json:"detail"`
	Repair    string    `json:"repair,omitempty"` // what was done about it

	reason  purchase.Reason
	digest  purchase.Digest
	buried  *publisher.DeadLetter // of the request that repairs it
	repairs uint64
}

func (r Request) finding(state State, detail string) Finding {
	return Finding{
		Account: r.Account, Sequence: r.Sequence, State: state, Reference: r.Reference, Time: r.Time.UTC(), Detail: detail,
		reason: r.Reason, digest: r.Digest, repairs: r.Repairs,
	}
}

func (f Finding) request() Request {
	return Request{Account: f.Account, Sequence: f.Sequence, Time: f.Time, Reference: f.Reference, Digest: f.digest, Reason: f.reason, Repairs: f.repairs}
}
