package due

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/servertest"
)

// add is Add without an error.
func add(t *testing.T, x Times, stream string, from, upTo uint64, entries ...Entry) uint64 {
	t.Helper()
	sequence, err := x.Add(t.Context(), stream, from, upTo, entries)
	if err != nil {
		t.Fatal(err)
	}
	return sequence
}

func take(t *testing.T, x Times, n int) Taken {
	t.Helper()
	taken, err := x.Take(t.Context(), n, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func TestTakeWhatIsDue(t *testing.T) {
	servers(t, func(t *testing.T, x *Index) {
		length := func(want int64) {
			t.Helper()
			if n, err := x.Len(t.Context()); err != nil || n != want {
				t.Errorf("%d in the index, %v, want %d", n, err, want)
			}
		}
		length(0)
		if empty := take(t, x, 5); len(empty.Sequences) > 0 || empty.Wait >= 0 || empty.Stream != "" || empty.Cursor != 0 {
			t.Errorf("of nothing: %+v", empty)
		}
		if got := add(t, x, "7", 0, 31, Entry{Sequence: 10}, Entry{20, time.Minute}, Entry{30, 0}); got != 31 {
			t.Errorf("all up to %d", got)
		}
		length(3)
		first := take(t, x, 1)
		if !slices.Equal(first.Sequences, []uint64{10}) || first.Stream != "7" || first.Cursor != 31 || first.Wait != 0 {
			t.Errorf("first %+v", first)
		}
		second := take(t, x, 5)
		if !slices.Equal(second.Sequences, []uint64{30}) || second.Wait <= 30*time.Second || second.Wait > time.Minute {
			t.Errorf("second %+v", second)
		}
		if none := take(t, x, 5); len(none.Sequences) > 0 {
			t.Errorf("given out twice: %+v", none)
		}
		for _, err := range []error{
			x.Postpone(t.Context(), Entry{99, 0}, Entry{10, 0}), x.Drop(t.Context(), 30, 99), x.Postpone(t.Context(), Entry{30, 0}), x.Postpone(t.Context()), x.Drop(t.Context()),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if again := take(t, x, 5); !slices.Equal(again.Sequences, []uint64{10}) {
			t.Errorf("again %+v: what was put back comes, and what was dropped does not", again)
		}
		// What is there keeps its time.
		if add(t, x, "7", 31, 40, Entry{Sequence: 20}); len(take(t, x, 5).Sequences) > 0 {
			t.Error("adding what is there brought it forward")
		}
	})
}

// The cursor says that all below it are there. What was read behind a part that
// Redis has forgotten does not move it.
func TestCursor(t *testing.T) {
	servers(t, func(t *testing.T, x *Index) {
		for i, step := range []struct {
			stream     string
			from, upTo uint64
			want       uint64
		}{
			{"7", 5, 9, 0}, // nobody read what is below 5
			{"7", 0, 9, 9}, // now somebody did
			{"7", 3, 8, 9}, // behind another process
			{"7", 9, 12, 12},
			{"7", 14, 20, 12}, // a gap
			{"7", 0, 0, 12},   // a question
			{"8", 0, 0, 0},    // another stream
			{"8", 0, 2, 2},
		} {
			if got := add(t, x, step.stream, step.from, step.upTo, Entry{Sequence: 100 + step.from}); got != step.want {
				t.Errorf("step %d: all up to %d, want %d", i, got, step.want)
			}
		}
		if got := take(t, x, 50); got.Stream != "8" || got.Cursor != 2 || !slices.Equal(got.Sequences, []uint64{100}) {
			t.Errorf("%+v: what is of another stream is gone", got)
		}
		if err := x.Reset(t.Context(), "8"); err != nil {
			t.Fatal(err)
		}
		if got := take(t, x, 50); got.Cursor != 0 || got.Wait < 0 {
			t.Errorf("%+v after a reset: the cursor goes, and the rest stays", got)
		}
		add(t, x, "8", 0, 7)
		if err := x.Reset(t.Context(), "9"); err != nil {
			t.Fatal(err)
		}
		if got := take(t, x, 50); got.Stream != "" || got.Wait >= 0 {
			t.Errorf("%+v after a reset to another stream", got)
		}
	})
}

// What is not ours in the set does no harm.
func TestForeignMembers(t *testing.T) {
	servers(t, func(t *testing.T, x *Index) {
		add(t, x, "7", 0, 2, Entry{Sequence: 1})
		for _, member := range []string{"-1", "cursor:x", "", "1e3", "18446744073709551616", "0", "007"} {
			if err := x.client.ZAdd(t.Context(), x.key, redis.Z{Score: 1, Member: member}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for _, member := range []string{"a", "cursor:8:", "x"} {
			if err := x.client.ZAdd(t.Context(), x.key, redis.Z{Score: math.Inf(1), Member: member}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got := take(t, x, 50); !slices.Equal(got.Sequences, []uint64{1}) || got.Cursor != 2 {
			t.Errorf("%+v", got)
		}
		if n := x.client.ZCard(t.Context(), x.key).Val(); n != 2 {
			t.Errorf("%d members are left", n)
		}
		if err := x.client.Set(t.Context(), x.key, "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got := take(t, x, 50); got.Cursor != 0 || got.Wait >= 0 {
			t.Errorf("%+v of a key of another type", got)
		}
	})
}

// What is due later than anything can be was written while the clock was ahead.
func TestClockThatWasAhead(t *testing.T) {
	servers(t, func(t *testing.T, x *Index) {
		add(t, x, "7", 0, 4, Entry{1, longest + time.Hour}, Entry{2, longest - time.Minute}, Entry{3, time.Minute})
		if got := take(t, x, 50); !slices.Equal(got.Sequences, []uint64{1}) {
			t.Errorf("%+v", got)
		}
		if got := take(t, x, 50); len(got.Sequences) > 0 {
			t.Errorf("twice: %+v", got)
		}
	})
}

// Accounts and prefixes do not share an index.
func TestIndexesAreApart(t *testing.T) {
	x := index(t, miniredis.RunT(t).Addr())
	add(t, x, "7", 0, 2, Entry{Sequence: 1})
	for _, other := range []*Index{NewIndex(x.client, "test", "other", longest), NewIndex(x.client, "acme", "test", longest)} {
		if got := take(t, other, 5); got.Wait >= 0 {
			t.Errorf("%s has %+v", other.key, got)
		}
	}
}

// The times of the other tests behave as an Index does: the same calls in any order
// have the same answers.
func TestIndexIsAsTimes(t *testing.T) {
	server := miniredis.RunT(t)
	x := index(t, server.Addr())
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		server.FlushAll()
		now := time.UnixMilli(1_750_000_000_000)
		server.SetTime(now)
		model := newTimes(func() time.Time { return now })
		after := func() time.Duration { return time.Duration(random.IntN(4)) * time.Second }
		for step := range 60 {
			sequence, stream := 1+uint64(random.IntN(12)), []string{"7", "7", "7", "8"}[random.IntN(4)]
			var got, want [2]any
			switch random.IntN(7) {
			case 0:
				now = now.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
				if random.IntN(5) == 0 {
					now = now.Add(-4 * longest / 3)
				}
				server.SetTime(now)
			case 1:
				n := 1 + random.IntN(4)
				got[0], got[1] = x.Take(t.Context(), n, 2*time.Second)
				want[0], want[1] = model.Take(t.Context(), n, 2*time.Second)
			case 2:
				d := after()
				entries := []Entry{{sequence, d}, {sequence + 1, after()}}
				got[0], want[0] = x.Postpone(t.Context(), entries...), model.Postpone(t.Context(), entries...)
			case 3:
				got[0], want[0] = x.Drop(t.Context(), sequence), model.Drop(t.Context(), sequence)
			case 4:
				if random.IntN(4) == 0 {
					got[0], want[0] = x.Reset(t.Context(), stream), model.Reset(t.Context(), stream)
				}
			default:
				upTo := sequence + uint64(random.IntN(5))
				entries := []Entry{{sequence, after()}, {upTo, after()}}
				got[0], got[1] = x.Add(t.Context(), stream, sequence, upTo, entries)
				want[0], want[1] = model.Add(t.Context(), stream, sequence, upTo, entries)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: %+v, want %+v", seed, step, got, want)
			}
		}
	}
}

// Without Redis every call says so.
func TestRedisAway(t *testing.T) {
	server := servertest.Redis(t)
	x := index(t, server.Addr())
	add(t, x, "7", 0, 2, Entry{Sequence: 1})
	server.Stop()
	_, added := x.Add(t.Context(), "7", 2, 3, nil)
	_, taken := x.Take(t.Context(), 1, time.Minute)
	_, counted := x.Len(t.Context())
	for i, err := range []error{added, taken, counted, x.Reset(t.Context(), "7"), x.Postpone(t.Context(), Entry{Sequence: 1}), x.Drop(t.Context(), 1)} {
		if err == nil {
			t.Errorf("call %d does not tell", i)
		}
	}
}
