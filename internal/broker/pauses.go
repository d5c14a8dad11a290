package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/pause"
)

// Pauses is a pause.Store in a JetStream key-value bucket: a key for each account,
// its value a pause.Record in JSON.
type Pauses struct {
	js   jetstream.JetStream
	name string
}

// NewPauses makes the store. The bucket must exist: Ensure makes it.
func NewPauses(js jetstream.JetStream, bucket string) *Pauses { return &Pauses{js, bucket} }

func (b *Pauses) open(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := b.js.KeyValue(ctx, b.name)
	if err != nil {
		return nil, fmt.Errorf("key-value bucket %s: %w", b.name, err)
	}
	return kv, nil
}

// Load implements pause.Store.
func (b *Pauses) Load(ctx context.Context, account string) (pause.Entry, error) {
	kv, err := b.open(ctx)
	if err != nil {
		return pause.Entry{}, err
	}
	e, err := kv.Get(ctx, account)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return pause.Entry{}, nil
	case err != nil:
		return pause.Entry{}, fmt.Errorf("key-value bucket %s: %w", b.name, err)
	}
	return entry(e), nil
}

// Save implements pause.Store.
func (b *Pauses) Save(ctx context.Context, account string, r pause.Record, revision uint64) (pause.Entry, error) {
	kv, err := b.open(ctx)
	if err != nil {
		return pause.Entry{}, err
	}
	value, err := json.Marshal(r)
	if err != nil {
		return pause.Entry{}, err
	}
	if revision == 0 {
		revision, err = kv.Create(ctx, account, value) // also over a deleted key
	} else {
		revision, err = kv.Update(ctx, account, value, revision)
	}
	var refused *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrKeyExists),
		errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return pause.Entry{}, pause.ErrChanged
	case err != nil:
		return pause.Entry{}, fmt.Errorf("key-value bucket %s: %w", b.name, err)
	}
	return pause.Entry{Record: r, Revision: revision}, nil
}

var errWatchEnded = errors.New("the watch ended")

// Watch implements pause.Store.
func (b *Pauses) Watch(ctx context.Context, each func(account string, e pause.Entry), seen func()) error {
	kv, err := b.open(ctx)
	if err != nil {
		return err
	}
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("key-value bucket %s: %w", b.name, err)
	}
	defer func() { _ = watcher.Stop() }() // nothing is lost with it
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-watcher.Updates():
			switch {
			case ctx.Err() != nil:
				return nil
			case !ok:
				return fmt.Errorf("key-value bucket %s: %w", b.name, errWatchEnded)
			case e == nil:
				seen()
			default:
				each(e.Key(), entry(e))
			}
		}
	}
}

// entry reads a value. One that cannot be read pauses the account, since nobody
// knows what it was to say; a key that was deleted does not.
func entry(e jetstream.KeyValueEntry) pause.Entry {
	if e.Operation() != jetstream.KeyValuePut {
		return pause.Entry{Revision: e.Revision()}
	}
	var r pause.Record
	if err := json.Unmarshal(e.Value(), &r); err != nil {
		r = pause.Record{Cause: pause.Operator, By: pause.Pipeline, Since: e.Created(),
			Reason: "the record in the bucket cannot be read: pause or resume the account to write it anew"}
	}
	return pause.Entry{Record: r, Revision: e.Revision()}
}
