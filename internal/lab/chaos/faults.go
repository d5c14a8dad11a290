package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults.
const (
	KillConsumer     Kind = "kill-consumer"
	StopConsumer     Kind = "stop-consumer" // past the lease
	KillPoller       Kind = "kill-poller"
	StopPoller       Kind = "stop-poller"
	KillNATSLeader   Kind = "kill-nats-leader"
	StopNATSLeader   Kind = "stop-nats-leader"
	KillNATS         Kind = "kill-nats" // any server
	CutNATS          Kind = "cut-nats"
	SlowNATS         Kind = "slow-nats"
	KillRedisPrimary Kind = "kill-redis-primary"
	StopRedisPrimary Kind = "stop-redis-primary" // two primaries for a while
	KillRedisReplica Kind = "kill-redis-replica"
	FlushRedis       Kind = "flush-redis"
	CutRedis         Kind = "cut-redis"
	SlowRedis        Kind = "slow-redis"
	CutVendor        Kind = "cut-vendor"
	SlowVendor       Kind = "slow-vendor"
	FaultyVendor     Kind = "faulty-vendor" // a burst of 5xx, resets, 429, PENDING …
	FullResults      Kind = "full-results"
	FullDisk         Kind = "full-disk"
)

// group says which faults come one after the other, each when what the one before
// broke is whole again: two of three nats-servers down would only stop everything.
func (k Kind) group() string {
	switch k {
	case KillNATSLeader, StopNATSLeader, KillNATS, FullDisk:
		return "nats"
	case CutNATS, SlowNATS:
		return "nats connections"
	case KillRedisPrimary, StopRedisPrimary, KillRedisReplica:
		return "redis"
	case CutRedis, SlowRedis:
		return "redis connections"
	case CutVendor, SlowVendor:
		return "vendor connections"
	default:
		return string(k)
	}
}

// shares is how often each kind comes, of the sum of all.
var shares = []struct {
	kind  Kind
	share int
}{
	{KillConsumer, 11}, {StopConsumer, 6}, {KillPoller, 6}, {StopPoller, 3},
	{KillNATSLeader, 4}, {StopNATSLeader, 2}, {KillNATS, 1}, {CutNATS, 3}, {SlowNATS, 2},
	{KillRedisPrimary, 3}, {StopRedisPrimary, 2}, {KillRedisReplica, 1}, {FlushRedis, 3},
	{CutRedis, 3}, {SlowRedis, 1}, {CutVendor, 3}, {SlowVendor, 1}, {FaultyVendor, 3},
	{FullResults, 1}, {FullDisk, 1},
}

// Kinds are all kinds of faults.
func Kinds() []Kind {
	var all []Kind
	for _, s := range shares {
		all = append(all, s.kind)
	}
	return all
}

// ParseKinds reads a list of kinds separated by commas.
func ParseKinds(list string) ([]Kind, error) {
	var kinds []Kind
	for _, name := range strings.Split(list, ",") {
		kind := Kind(strings.TrimSpace(name))
		if !slices.Contains(Kinds(), kind) {
			return nil, fmt.Errorf("%q is no kind of fault; there are %v", name, Kinds())
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// Planned is a fault of the schedule.
type Planned struct {
	Number int
	Kind   Kind
	At     time.Duration // since the first message
	// For is how long it lasts; a kill leaves the program down for as long.
	For time.Duration
	// Pick chooses among what the fault could strike.
	Pick uint64
}

// newSchedule makes n faults of these kinds, one every so often. Each kind comes by
// its share, and the same seed gives the same schedule.
func newSchedule(n int, every time.Duration, kinds []Kind, seed uint64) []Planned {
	random := rand.New(rand.NewPCG(seed, 2))
	var deck, order []Kind
	for _, s := range shares {
		if slices.Contains(kinds, s.kind) {
			for range s.share {
				deck = append(deck, s.kind)
			}
		}
	}
	for len(order) < n && len(deck) > 0 {
		// A deck is dealt out before the next is begun, so that rare kinds come too.
		random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		order = append(order, deck...)
	}
	var schedule []Planned
	for i, kind := range order[:min(n, len(order))] {
		at := time.Duration(i)*every + time.Duration(random.Float64()*0.8*float64(every))
		schedule = append(schedule, Planned{
			Number: i + 1, Kind: kind, At: at, For: lasts(kind, random), Pick: random.Uint64(),
		})
	}
	return schedule
}

// lasts draws how long a fault of a kind lasts.
func lasts(kind Kind, random *rand.Rand) time.Duration {
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(random.Int64N(int64(most-least)))
	}
	switch kind {
	case StopConsumer, StopPoller: // past the lease, and sometimes far past it
		return between(lease+500*time.Millisecond, 2*lease)
	case KillConsumer, KillPoller:
		return between(200*time.Millisecond, 3*time.Second)
	case KillNATSLeader, KillNATS:
		return between(300*time.Millisecond, 6*time.Second)
	case StopNATSLeader: // an election takes four seconds and more
		return between(3*time.Second, 10*time.Second)
	case KillRedisPrimary, KillRedisReplica: // sometimes back before the sentinels see it
		return between(300*time.Millisecond, 6*time.Second)
	case StopRedisPrimary:
		return between(3*time.Second, 7*time.Second)
	case FullResults:
		return between(3*time.Second, 6*time.Second)
	case FullDisk:
		return between(4*time.Second, 8*time.Second)
	case FlushRedis:
		return 0
	default:
		return between(time.Second, 4*time.Second)
	}
}

// Injected is a fault that was brought about.
type Injected struct {
	Number int
	Kind   Kind
	Target string
	At     time.Time
	// Whole is when what it broke was whole again.
	Whole time.Time
	// Err says why it could not be brought about or healed; "" where it was.
	Err string
	// Skipped says that the machine does not allow it.
	Skipped bool
}
