package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Action is what was done, or in a dry run would be done, about one object.
type Action struct {
	Object      string       `json:"object"`
	Verb        string       `json:"action"` // "create", "update" or "keep"
	Differences []Difference `json:"differences,omitempty"`
}

// ErrContradiction is wrapped where what exists contradicts a promise. The
// daemons do not change it: `vendstream provision` does, or an operator.
var ErrContradiction = errors.New("what exists on the server contradicts the promises")

// Ensure makes the streams and consumers that are missing and changes none that
// is there. Settings that break a promise are an error that wraps
// ErrContradiction and names each; the other differences are returned.
func Ensure(ctx context.Context, js jetstream.JetStream, t Topology) ([]Difference, error) {
	actions, err := plan(ctx, js, t)
	if err != nil {
		return nil, err
	}
	var harmless []Difference
	var broken []error
	for _, a := range actions {
		for _, d := range a.Differences {
			if d.Breaks != "" {
				broken = append(broken, errors.New(d.String()))
			} else {
				harmless = append(harmless, d)
			}
		}
	}
	if len(broken) > 0 {
		return nil, fmt.Errorf("%w; run `vendstream provision --dry-run` to see them all and `vendstream provision` to mend them: %w",
			ErrContradiction, errors.Join(broken...))
	}
	for _, a := range actions {
		if a.Verb == "create" {
			if err := a.apply(ctx, js); err != nil {
				return nil, err
			}
		}
	}
	return harmless, nil
}

// Provision makes and updates streams and consumers until they are as declared,
// and returns what it did; a dry run only says what it would do.
func Provision(ctx context.Context, js jetstream.JetStream, t Topology, dryRun bool) ([]Action, error) {
	actions, err := plan(ctx, js, t)
	if err != nil {
		return nil, err
	}
	done := make([]Action, 0, len(actions))
	for _, a := range actions {
		if !dryRun && a.Verb != "keep" {
			if err := a.apply(ctx, js); err != nil {
				return done, err
			}
		}
		done = append(done, a.Action)
	}
	return done, nil
}

// step is an action with the means to do it.
type step struct {
	Action
	apply func(ctx context.Context, js jetstream.JetStream) error
}

func plan(ctx context.Context, js jetstream.JetStream, t Topology) ([]step, error) {
	var steps []step
	for _, want := range t.Streams() {
		s := step{}
		s.Object, s.Verb = "stream "+want.Name, "keep"
		have, err := ask(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, want.Name) })
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			s.Verb = "create"
			s.apply = func(ctx context.Context, js jetstream.JetStream) error {
				_, err := js.CreateStream(ctx, want)
				// Another process made it in the meantime: it is checked at the next start.
				if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
					err = nil
				}
				return wrap(err, "create", s.Object)
			}
		case err != nil:
			return nil, wrap(err, "read", s.Object)
		default:
			current := have.CachedInfo().Config
			if s.Differences = compareStream(current, want); len(s.Differences) > 0 {
				s.Verb = "update"
				s.apply = func(ctx context.Context, js jetstream.JetStream) error {
					_, err := js.UpdateStream(ctx, declared(current, want))
					return wrap(err, "update", s.Object)
				}
			}
		}
		steps = append(steps, s)
	}
	bucket, err := planBucket(ctx, js, t.Bucket())
	if err != nil {
		return nil, err
	}
	steps = append(steps, bucket)
	made := map[string]bool{} // by the first message of low priority, and not before
	consumers := t.Consumers()
	for _, account := range t.Accounts {
		low := t.LowConsumer(account)
		made[low.Config.Durable] = true
		consumers = append(consumers, low)
	}
	for _, c := range consumers {
		s := step{}
		s.Object, s.Verb = "consumer "+c.Stream+"/"+c.Config.Durable, "keep"
		have, err := ask(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
			return js.Consumer(ctx, c.Stream, c.Config.Durable)
		})
		switch {
		case made[c.Config.Durable] && (errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)):
			continue
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			s.Verb = "create"
			s.apply = func(ctx context.Context, js jetstream.JetStream) error {
				return wrap(createConsumer(ctx, js, c), "create", s.Object)
			}
		case errors.Is(err, jetstream.ErrNotPullConsumer):
			s.Differences = []Difference{{s.Object, "deliver_subject", "set", "none", "a push consumer cannot be pulled from"}}
		case err != nil:
			return nil, wrap(err, "read", s.Object)
		default:
			s.Differences = compareConsumer(c.Stream, have.CachedInfo().Config, c.Config)
		}
		if len(s.Differences) > 0 {
			s.Verb = "update"
			s.apply = func(ctx context.Context, js jetstream.JetStream) error {
				_, err := js.UpdateConsumer(ctx, c.Stream, c.Config)
				return wrap(err, "update", s.Object)
			}
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func planBucket(ctx context.Context, js jetstream.JetStream, want jetstream.KeyValueConfig) (step, error) {
	s := step{}
	s.Object, s.Verb = "bucket "+want.Bucket, "keep"
	have, err := js.Stream(ctx, "KV_"+want.Bucket)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		s.Verb = "create"
		s.apply = func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateKeyValue(ctx, want)
			if errors.Is(err, jetstream.ErrBucketExists) {
				err = nil // another process made it in the meantime
			}
			return wrap(err, "create", s.Object)
		}
	case err != nil:
		return step{}, wrap(err, "read", s.Object)
	default:
		if s.Differences = compareBucket(s.Object, have.CachedInfo().Config, want); len(s.Differences) > 0 {
			s.Verb = "update"
			s.apply = func(ctx context.Context, js jetstream.JetStream) error {
				_, err := js.UpdateKeyValue(ctx, want)
				return wrap(err, "update", s.Object)
			}
		}
	}
	return s, nil
}

func createConsumer(ctx context.Context, js jetstream.JetStream, c ConsumerOf) error {
	_, err := js.CreateConsumer(ctx, c.Stream, c.Config)
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return nil
	}
	return err
}

// declared is the current configuration with the declared settings put in, so
// that an update leaves limits of bytes and the like as an operator set them.
func declared(current, want jetstream.StreamConfig) jetstream.StreamConfig {
	current.Subjects = want.Subjects
	current.Retention = want.Retention
	current.Storage = want.Storage
	current.Discard = want.Discard
	current.MaxMsgsPerSubject = want.MaxMsgsPerSubject
	current.DiscardNewPerSubject = want.DiscardNewPerSubject
	current.MaxAge = want.MaxAge
	current.Replicas = want.Replicas
	if current.MaxMsgSize > 0 && current.MaxMsgSize < leastMsgSize {
		current.MaxMsgSize = -1
	}
	current.PersistMode = want.PersistMode
	current.SubjectTransform = nil
	current.AllowDirect = current.AllowDirect || want.AllowDirect
	current.NoAck = false
	current.AllowRollup = false
	current.AllowMsgTTL = false
	return current
}

func wrap(err error, verb, object string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("broker: %s %s: %w", verb, object, err)
}
