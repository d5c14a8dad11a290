// Package worker is a pool that pulls deliveries from a work source and runs
// them: never more than it has room for, each kept alive while it runs, each
// ended by what its task decided. It knows nothing of purchases.
package worker

import (
	"context"
	"time"
)

// Delivery is one message as it was delivered. Body and Header are not changed
// after delivery.
type Delivery struct {
	Subject  string
	Header   map[string][]string
	Body     []byte
	Sequence uint64    // in the stream
	Time     time.Time // when the stream stored it
	Count    int       // deliveries of it so far, this one included
	Acker    Acker
}

// Acker ends or prolongs a delivery.
type Acker interface {
	// Ack says that the message is done with. A lost ack is harmless only where
	// a replay is.
	Ack(ctx context.Context) error
	// Retry asks for the message again, after a time or at once.
	Retry(ctx context.Context, after time.Duration) error
	// Progress says that the message is still worked on.
	Progress(ctx context.Context) error
}

// Source is where deliveries come from.
type Source interface {
	// Pull asks for up to n deliveries and hands them over in chunks as they
	// come, until it has n or a short time has passed. It returns nil where
	// nothing came, and an error where the source is away.
	Pull(ctx context.Context, n int, each func([]*Delivery)) error
}

// Disposition is what a task decides about its delivery.
type Disposition struct {
	done  bool
	after time.Duration
}

// Done: the message is acknowledged. Only to be returned once all that follows
// from the message is stored.
func Done() Disposition { return Disposition{done: true} }

// RetryAfter: the message is delivered again after that time.
func RetryAfter(d time.Duration) Disposition { return Disposition{after: max(0, d)} }

// IsDone tells Done from RetryAfter.
func (d Disposition) IsDone() bool { return d.done }

// After is the time that RetryAfter was given.
func (d Disposition) After() time.Duration { return d.after }

// Task is the work on one delivery. work stays valid until the pool gives up
// waiting at a stop; stop ends when the pool is asked to stop: from then on
// nothing new is begun, and what was begun is finished and stored. A delivery
// that comes in just after the stop has its task too, which gives it back: only
// the handler knows what has to be written down about that.
type Task func(work, stop context.Context) Disposition

// Handler turns deliveries into tasks.
type Handler interface {
	// Admit waits until work may be taken and says for how many deliveries there
	// is leave, of those the pool has room for. Zero: ask again. It returns when
	// ctx ends.
	Admit(ctx context.Context, room int) int
	// Begin makes a task for each delivery of a chunk, in the same order. It is
	// called by the goroutine that pulls, which waits for it. What is to be done
	// for the whole chunk before its tasks run, and takes its time, is prepare: the
	// next pull goes on beside it. Nil: nothing.
	Begin(ctx context.Context, chunk []*Delivery) (tasks []Task, prepare func())
}
