package broker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Difference is one setting of a stream or consumer that is not as declared.
type Difference struct {
	Object  string `json:"object"` // "stream NAME" or "consumer STREAM/NAME"
	Setting string `json:"setting"`
	Have    string `json:"have"`
	Want    string `json:"want"`
	// Breaks says which promise does not hold with the setting as it is. Empty:
	// a matter of taste, and the daemons start.
	Breaks string `json:"breaks,omitempty"`
}

func (d Difference) String() string {
	s := fmt.Sprintf("%s: %s is %s, declared %s", d.Object, d.Setting, d.Have, d.Want)
	if d.Breaks != "" {
		s += " (" + d.Breaks + ")"
	}
	return s
}

// leastMsgSize is the least limit on a message's size that refuses nothing the
// pipeline stores: the server's own limit, by default.
const leastMsgSize = 1 << 20

type comparison struct {
	object string
	found  []Difference
}

func compare[T comparable](c *comparison, setting string, have, want T, breaks string) {
	if have != want {
		c.found = append(c.found, Difference{c.object, setting, fmt.Sprint(have), fmt.Sprint(want), breaks})
	}
}

// must is compare for a setting that may not have one value.
func must(c *comparison, setting string, ok bool, have, want any, breaks string) {
	if !ok {
		c.found = append(c.found, Difference{c.object, setting, fmt.Sprint(have), fmt.Sprint(want), breaks})
	}
}

// compareStream tells how a stream differs from its declaration.
func compareStream(have, want jetstream.StreamConfig) []Difference {
	c := &comparison{object: "stream " + have.Name}
	switch {
	case !covered(have.Subjects, want.Subjects):
		compare(c, "subjects", join(have.Subjects), join(want.Subjects), "requests or results would go elsewhere")
	case want.MaxAge == 0 && want.Retention == jetstream.LimitsPolicy && !covered(want.Subjects, have.Subjects):
		compare(c, "subjects", join(have.Subjects), join(want.Subjects), "requests on other subjects would be acknowledged and never end")
	default:
		compare(c, "subjects", join(have.Subjects), join(want.Subjects), "")
	}
	compare(c, "retention", have.Retention, want.Retention, "messages would be dropped or kept against the contract")
	compare(c, "storage", have.Storage, want.Storage, "a restart would lose purchases")
	compare(c, "discard", have.Discard, want.Discard, "a full stream would drop old messages")
	compare(c, "no_ack", have.NoAck, false, "a publish would not be acknowledged")
	compare(c, "allow_rollup_hdrs", have.AllowRollup, false, "a roll-up could replace what is stored")
	compare(c, "allow_msg_ttl", have.AllowMsgTTL, false, "a message could end before its time")
	compare(c, "sealed", have.Sealed, false, "nothing could be stored")
	if want.AllowDirect {
		compare(c, "allow_direct", have.AllowDirect, true, "")
	}
	if want.MaxMsgsPerSubject == 1 {
		compare(c, "max_msgs_per_subject", have.MaxMsgsPerSubject, 1, "a purchase could have two results")
		compare(c, "discard_new_per_subject", have.DiscardNewPerSubject, true, "a second result would replace the first")
	} else {
		must(c, "max_msgs_per_subject", have.MaxMsgsPerSubject < 1, have.MaxMsgsPerSubject, want.MaxMsgsPerSubject, "purchases would be refused or dropped")
	}
	if want.MaxAge == 0 {
		compare(c, "max_age", have.MaxAge, want.MaxAge, "an unsettled purchase would be dropped by age")
	} else {
		compare(c, "max_age", have.MaxAge, want.MaxAge, "")
	}
	must(c, "max_msg_size", have.MaxMsgSize < 1 || have.MaxMsgSize >= leastMsgSize, have.MaxMsgSize, -1, "a large message could not be stored")
	compare(c, "persist_mode", have.PersistMode, want.PersistMode, "a power failure or a crash could lose what was acknowledged")
	must(c, "subject_transform", have.SubjectTransform == nil, "set", "none", "messages would be stored under other subjects")
	must(c, "mirror", have.Mirror == nil, "set", "none", "a mirror takes no requests")
	compare(c, "replicas", have.Replicas, want.Replicas, "")
	return c.found
}

// compareConsumer tells how a consumer differs from its declaration.
func compareConsumer(stream string, have, want jetstream.ConsumerConfig) []Difference {
	c := &comparison{object: "consumer " + stream + "/" + want.Durable}
	filters := have.FilterSubjects
	if have.FilterSubject != "" {
		filters = append(slices.Clone(filters), have.FilterSubject)
	}
	compare(c, "filter_subject", join(filters), want.FilterSubject, "purchases of other accounts would be taken, or some of this one's left")
	compare(c, "ack_policy", have.AckPolicy, want.AckPolicy, "a purchase would be settled by being delivered")
	compare(c, "deliver_policy", have.DeliverPolicy, want.DeliverPolicy, "purchases published before the consumer would be left")
	must(c, "max_deliver", have.MaxDeliver <= 0, have.MaxDeliver, want.MaxDeliver, "a purchase would be given up after some deliveries")
	must(c, "backoff", len(have.BackOff) == 0, have.BackOff, "none", "it overrides the wait for acks and distorts delayed redeliveries")
	must(c, "max_ack_pending", have.MaxAckPending < 0, have.MaxAckPending, want.MaxAckPending, "purchases that wait would stop all others")
	must(c, "inactive_threshold", have.InactiveThreshold == 0, have.InactiveThreshold, "none", "while nobody works, the account would be forgotten and its requests taken for strays")
	must(c, "headers_only", !have.HeadersOnly, have.HeadersOnly, false, "the body would be missing")
	must(c, "ack_wait", have.AckWait >= minAckWait, have.AckWait, want.AckWait, "work would be delivered again while it is under way")
	if have.AckWait >= minAckWait {
		compare(c, "ack_wait", have.AckWait, want.AckWait, "")
	}
	compare(c, "replay_policy", have.ReplayPolicy, want.ReplayPolicy, "a backlog would be handed out as slowly as it was published")
	must(c, "max_expires", have.MaxRequestExpires < 1 || have.MaxRequestExpires >= pullWait, have.MaxRequestExpires, "none", "every pull would be refused")
	must(c, "priority_policy", have.PriorityPolicy == jetstream.PriorityPolicyNone, have.PriorityPolicy, "none", "every pull would be refused")
	return c.found
}

// compareBucket tells how the stream of a key-value bucket differs from the
// bucket's declaration.
func compareBucket(object string, have jetstream.StreamConfig, want jetstream.KeyValueConfig) []Difference {
	c := &comparison{object: object}
	compare(c, "ttl", have.MaxAge, 0, "a pause would end by itself")
	compare(c, "storage", have.Storage, want.Storage, "")
	compare(c, "replicas", have.Replicas, want.Replicas, "")
	return c.found
}

func join(subjects []string) string {
	sorted := slices.Sorted(slices.Values(subjects))
	return strings.Join(sorted, ", ")
}

// covered reports whether every wanted subject is matched by one that is there.
func covered(have, want []string) bool {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h string) bool { return covers(h, w) }) {
			return false
		}
	}
	return true
}

// covers reports whether all that matches want matches have.
func covers(have, want string) bool {
	h, w := strings.Split(have, "."), strings.Split(want, ".")
	for i, token := range h {
		switch {
		case token == ">":
			return len(w) > i
		case i >= len(w) || w[i] == ">":
			return false
		case token != "*" && token != w[i]:
			return false
		}
	}
	return len(h) == len(w)
}
