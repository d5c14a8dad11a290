package publisher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// listener counts what the server is asked, by the kind of the request and the stream.
func (r *rig) listener(t *testing.T) (asked func() map[string]int) {
	t.Helper()
	nc, _ := r.server.Connect()
	heard := make(chan *nats.Msg, 10_000)
	if _, err := nc.ChanSubscribe("$JS.API.>", heard); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() map[string]int {
		if err := errors.Join(r.nc.Flush(), nc.Flush()); err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for len(heard) > 0 {
			kind, _ := strings.CutPrefix((<-heard).Subject, "$JS.API.")
			counts[kind]++
		}
		return counts
	}
}

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return all
}

func (r *rig) publishResult(t *testing.T, store *publisher.Store, reference string) {
	t.Helper()
	if _, err := store.PublishResult(t.Context(), completed(t, reference, "tx"), ""); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) publishHandoff(t *testing.T, reference string) {
	t.Helper()
	if _, err := r.store.PublishHandoff(t.Context(), handoff(t, reference, purchase.Unknown), ""); err != nil {
		t.Fatal(err)
	}
}

// knows looks, and checks what is there.
func knows(t *testing.T, store *publisher.Store, references []string, handoffs, results []string) {
	t.Helper()
	all, err := store.Look(t.Context(), "acme", references)
	if err != nil || len(all) != len(references) {
		t.Fatalf("%d answers, %v", len(all), err)
	}
	for i, known := range all {
		name := references[i]
		if h := known.Handoff; (h != nil) != slices.Contains(handoffs, name) || h != nil && h.MerchantReference != name {
			t.Errorf("%s: hand-off %+v", name, h)
		}
		if r := known.Result; (r != nil) != slices.Contains(results, name) || r != nil && r.MerchantReference != name {
			t.Errorf("%s: result %+v", name, r)
		}
	}
}

const (
	readHandoff = "STREAM.MSG.GET.PURCHASES_PENDING"
	readResult  = "STREAM.MSG.GET.PURCHASES_RESULTS"
	infoPending = "STREAM.INFO.PURCHASES_PENDING"
	infoResults = "STREAM.INFO.PURCHASES_RESULTS"
	directGet   = "DIRECT.GET.PURCHASES_RESULTS"
)

// Of many purchases only those are read that the streams hold something of.
func TestLookAtManyReadsWhatIsThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	references := names("r", 100)
	handoffs, results := []string{"r-3", "r-50", "r-51", "r-99"}, []string{"r-0", "r-50"}
	for _, name := range handoffs {
		r.publishHandoff(t, name)
	}
	for _, name := range results {
		r.publishResult(t, r.store, name)
	}
	asked := r.listener(t)
	check := func(when string, want map[string]int) {
		t.Helper()
		got := asked()
		for _, kind := range []string{readHandoff, readResult, infoPending, infoResults, directGet} {
			if got[kind] != want[kind] {
				t.Errorf("%s: %d of %s, want %d", when, got[kind], kind, want[kind])
			}
		}
	}
	knows(t, r.store, references, handoffs, results)
	check("how many are open is not known", map[string]int{infoPending: 1, readHandoff: 100, infoResults: 1, directGet: 1, readResult: 1 + 2})
	knows(t, r.store, references, handoffs, results)
	check("it is known", map[string]int{infoPending: 1, readHandoff: 1 + 4, infoResults: 1, directGet: 1, readResult: 1 + 2})
	few := references[:publisher.FewestShown-1]
	knows(t, r.store, few, handoffs, results)
	check("few", map[string]int{readHandoff: len(few), readResult: len(few)})

	fresh := r.newStore(t, r.nc)
	knows(t, fresh, references, handoffs, results)
	check("no result is known to be there", map[string]int{infoPending: 1, readHandoff: 100, readResult: 100})
	r.publishResult(t, fresh, "r-50") // it is there, and read
	knows(t, fresh, append(references, references...), handoffs, results)
	check("each twice", map[string]int{infoPending: 1, readHandoff: 1 + 8, infoResults: 1, directGet: 1, readResult: 1 + 1 + 4})
}

// A list of many open hand-offs costs the server more than it saves.
func TestLookDoesNotListManyHandoffs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	open := names("open", 10*publisher.OpenForRead)
	for _, name := range open {
		r.publishHandoff(t, name)
	}
	references := append(names("r", 12), open[7])
	knows(t, r.store, references, open, nil) // counts them
	asked := r.listener(t)
	knows(t, r.store, references, open, nil)
	if got := asked(); got[infoPending] != 0 || got[readHandoff] != len(references) {
		t.Errorf("13 purchases with 200 open: %v", got)
	}
	references = append(names("r", 30), open[7])
	knows(t, r.store, references, open, nil)
	if got := asked(); got[infoPending] != 1 || got[readHandoff] != 1+1 {
		t.Errorf("31 purchases with 200 open: %v", got)
	}
}

// Another account's hand-off of the same reference is none.
func TestLookListsOneAccount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := handoff(t, "r-1", purchase.Unknown)
	h.Account = "beta"
	if _, err := r.store.PublishHandoff(t.Context(), h, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		knows(t, r.store, names("r", 10), nil, nil)
	}
}

// A stream that was made before it allowed direct gets is read as before.
func TestLookWithoutDirectGets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	configure(t, r.js, results, func(c *jetstream.StreamConfig) { c.AllowDirect = false })
	r.publishResult(t, r.store, "r-1")
	asked := r.listener(t)
	for range 2 {
		knows(t, r.store, names("r", 10), nil, []string{"r-1"})
	}
	if got := asked(); got[infoResults] != 1 || got[directGet] != 0 || got[readResult] != 20 {
		t.Errorf("%v; the second look does not try", got)
	}
}

// A mirror answers direct gets of its origin, and need not hold what that holds.
func TestLookDoesNotBelieveAMirror(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publishResult(t, r.store, "r-1")
	r.publishResult(t, r.store, "witness")
	mirror, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "COPY", Mirror: &jetstream.StreamSource{Name: results}, MirrorDirect: true, Storage: jetstream.FileStorage,
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mirror", func() bool {
		info, err := mirror.Info(t.Context())
		return err == nil && info.State.Msgs == 2
	})
	if err := mirror.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	answered := map[string]int{}
	for range 40 {
		m, err := r.nc.Request("$JS.API.DIRECT.GET."+results, []byte(`{"last_by_subj":"purchases.results.acme.witness"}`), patience)
		if err != nil {
			t.Fatal(err)
		}
		answered[m.Header.Get("Nats-Stream")]++
		store := r.newStore(t, r.nc)
		r.publishResult(t, store, "witness")
		knows(t, store, names("r", 10), nil, []string{"r-1"})
	}
	if answered["COPY"] == 0 || answered[results] == 0 {
		t.Errorf("answered by %v: the test shows nothing", answered)
	}
}

func TestPresent(t *testing.T) {
	t.Parallel()
	const stream, witness, other = "PURCHASES_RESULTS", "purchases.results.acme.w", "purchases.results.acme.r"
	message := func(of, subject, sequence, before string) *nats.Msg {
		return &nats.Msg{Header: nats.Header{"Nats-Stream": {of}, "Nats-Subject": {subject}, "Nats-Sequence": {sequence}, "Nats-Last-Sequence": {before}}}
	}
	end := func(status, before, left, upTo string) *nats.Msg {
		return &nats.Msg{Header: nats.Header{"Status": {status}, "Nats-Last-Sequence": {before}, "Nats-Num-Pending": {left}, "Nats-UpTo-Sequence": {upTo}}}
	}
	forged := message(stream, witness, "7", "0")
	for name, value := range map[string]string{"Nats-Stream": "OTHER", "Nats-Subject": "another", "Nats-Sequence": "1", "Nats-Last-Sequence": "5"} {
		forged.Header[name] = append([]string{value}, forged.Header[name]...)
	}
	for name, c := range map[string]struct {
		replies []*nats.Msg
		there   int // 0: shows nothing
	}{
		"the witness alone":            {[]*nats.Msg{message(stream, witness, "7", "0"), end("204", "7", "0", "9")}, 1},
		"further than the stream went": {[]*nats.Msg{message(stream, witness, "7", "0"), end("204", "7", "0", "10")}, 1},
		"two":                          {[]*nats.Msg{message(stream, other, "3", "0"), message(stream, witness, "7", "3"), end("204", "7", "0", "9")}, 2},
		"stored with such headers":     {[]*nats.Msg{forged, end("204", "7", "0", "9")}, 1},
		"not as far":                   {[]*nats.Msg{message(stream, witness, "7", "0"), end("204", "7", "0", "8")}, 0},
		"no sequence at the end":       {[]*nats.Msg{message(stream, witness, "7", "0"), end("204", "7", "0", "")}, 0},
		"another stream":               {[]*nats.Msg{message("COPY", witness, "7", "0"), end("204", "7", "0", "9")}, 0},
		"no stream":                    {[]*nats.Msg{message("", witness, "7", "0"), end("204", "7", "0", "9")}, 0},
		"no witness":                   {[]*nats.Msg{message(stream, other, "7", "0"), end("204", "7", "0", "9")}, 0},
		"nothing":                      {[]*nats.Msg{end("404", "", "", "")}, 0},
		"nothing, and a fine end":      {[]*nats.Msg{end("204", "0", "0", "9")}, 0},
		"too many":                     {[]*nats.Msg{end("413", "", "", "")}, 0},
		"broken off with an error":     {[]*nats.Msg{message(stream, witness, "7", "0"), end("404", "7", "0", "9")}, 0},
		"broken off for its size":      {[]*nats.Msg{message(stream, witness, "7", "0"), end("204", "7", "1", "9")}, 0},
		"the first is lost":            {[]*nats.Msg{message(stream, witness, "7", "3"), end("204", "7", "0", "9")}, 0},
		"one between is lost":          {[]*nats.Msg{message(stream, witness, "2", "0"), message(stream, other, "7", "3"), end("204", "7", "0", "9")}, 0},
		"the last is lost":             {[]*nats.Msg{message(stream, witness, "7", "0"), end("204", "8", "0", "9")}, 0},
		"a message that ends it":       {[]*nats.Msg{message(stream, witness, "7", "0"), {Header: nats.Header{"Status": {"204"}, "Nats-Stream": {stream}, "Nats-Subject": {other}, "Nats-Sequence": {"8"}, "Nats-Last-Sequence": {"7"}, "Nats-Num-Pending": {"0"}, "Nats-UpTo-Sequence": {"99"}}}}, 0},
		"a message without a place":    {[]*nats.Msg{message(stream, witness, "x", "0"), end("204", "x", "0", "9")}, 0},
	} {
		there, err := publisher.Present(c.replies, stream, witness, 9)
		if len(there) != c.there || (err == nil) != (c.there > 0) {
			t.Errorf("%s: %v, %v", name, there, err)
		}
	}
}

// A server that has lost its cluster refuses to read, and may list for some seconds
// more what is not so any longer.
func TestLookIsRefused(t *testing.T) {
	t.Parallel()
	nc := plain(t)
	store, err := publisher.NewStore(nc, publisher.Subjects{})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := nc.Subscribe("$JS.API.STREAM.INFO.*", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"config":{"name":"PURCHASES_PENDING","num_replicas":3},"state":{"num_subjects":1},"cluster":{"raft_group":"S","leader":"a","leader_since":"2026-11-22T20:00:00Z"}}`))
	})
	ready := make(chan struct{})
	_, err2 := nc.Subscribe("$JS.API.STREAM.MSG.GET.*", func(m *nats.Msg) {
		answer := publisher.NotThere()
		select {
		case <-ready:
			if strings.HasSuffix(m.Subject, "RESULTS") {
				break
			}
			answer = []byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`)
		default:
		}
		_ = m.Respond(answer)
	})
	if err := errors.Join(err1, err2, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := store.Look(t.Context(), "acme", names("r", 10)); err != nil {
			t.Fatal(err)
		}
	}
	close(ready)
	if all, err := store.Look(t.Context(), "acme", names("r", 10)); err == nil {
		t.Errorf("a list without a read is believed: %+v", all)
	}
}

// A list that lacks newer hand-offs is completed, or not believed: it may be that of a
// server that leads no longer.
func TestLookAsksForNewerHandoffs(t *testing.T) {
	t.Parallel()
	for _, newer := range []int{1, 3, 9} {
		nc := plain(t)
		_, err1 := nc.Subscribe("$JS.API.STREAM.INFO.*", func(m *nats.Msg) {
			_ = m.Respond([]byte(`{"config":{"name":"PURCHASES_PENDING","num_replicas":1},"state":{"last_seq":10,"num_subjects":1}}`))
		})
		_, err2 := nc.Subscribe("$JS.API.STREAM.MSG.GET.*", func(m *nats.Msg) {
			var q struct {
				Next string `json:"next_by_subj"`
				Last string `json:"last_by_subj"`
				Seq  int    `json:"seq"`
			}
			_ = json.Unmarshal(m.Data, &q)
			answer := publisher.NotThere()
			if i := q.Seq - 10; q.Next == "purchases.pending.acme.*" && i <= newer {
				answer = fmt.Appendf(nil, `{"message":{"subject":"purchases.pending.acme.r-%d","seq":%d,"data":"e30="}}`, i, 10+i)
			} else if after, ok := strings.CutPrefix(q.Last, "purchases.pending.acme.r-"); ok && after >= "1" && after <= strconv.Itoa(newer) {
				answer = []byte(`{"message":{"seq":1,"data":"e30="}}`)
			}
			_ = m.Respond(answer)
		})
		store, err3 := publisher.NewStore(nc, publisher.Subjects{})
		if err := errors.Join(err1, err2, err3, nc.Flush()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			all, err := store.Look(t.Context(), "acme", names("r", 10))
			if err != nil {
				t.Fatal(err)
			}
			for i, known := range all {
				if (known.Handoff != nil) != (i >= 1 && i <= newer) {
					t.Errorf("%d newer: r-%d: %+v", newer, i, known)
				}
			}
		}
	}
}

func TestLed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"config":{"num_replicas":1}}`:                          true,
		`{"config":{"num_replicas":1},"cluster":{"leader":"a"}}`: true,
		`{"config":{"num_replicas":3},"cluster":{"raft_group":"S","leader":"a","leader_since":"2026-11-22T20:00:00Z","replicas":[{"name":"b"},{"name":"c"}]}}`: true,
		`{"config":{"num_replicas":3},"cluster":{"raft_group":"S","leader":"b","replicas":[{"name":"b"},{"name":"c"}]}}`:                                       false,
		`{"config":{"num_replicas":3},"cluster":{"raft_group":"S","replicas":[{"name":"a"},{"name":"b"},{"name":"c"}]}}`:                                       false,
		// A server that does not say since when it leads.
		`{"config":{"num_replicas":3},"cluster":{"leader":"a","replicas":[{"name":"b"},{"name":"c"}]}}`: false,
		// On the way from one copy to three.
		`{"config":{"num_replicas":3},"cluster":{"leader":"a"}}`:                           false,
		`{"config":{"num_replicas":1},"cluster":{"raft_group":"S","leader":"a"}}`:          false,
		`{"config":{"num_replicas":1},"cluster":{"leader":"a","desired":{"name":"C"}}}`:    false,
		`{"config":{"num_replicas":1},"cluster":{"leader":"a","replicas":[{"name":"b"}]}}`: false,
		`{"config":{"num_replicas":3}}`:                                                    false,
	} {
		if led, err := publisher.Led([]byte(text)); err != nil || led != want {
			t.Errorf("%s: %v, %v", text, led, err)
		}
	}
}

// What lists no hand-off shows that there is none only if a leader says it, of all.
func TestLookBelievesWholeListsOfLeaders(t *testing.T) {
	t.Parallel()
	const one = `{"config":{"name":"PURCHASES_PENDING","num_replicas":3},"state":{"num_subjects":1%s},"total":%d,"cluster":{"raft_group":"S",%s"leader":"a"}}`
	const leads = `"leader_since":"2026-11-22T20:00:00Z",`
	for name, c := range map[string]struct {
		info  string
		reads bool // the hand-offs, one by one
	}{
		"a leader":         {fmt.Sprintf(one, "", 0, leads), false},
		"not a leader":     {fmt.Sprintf(one, "", 0, ""), true},
		"a page of a list": {fmt.Sprintf(one, `,"subjects":{"purchases.pending.acme.r-2":1}`, 2, leads), true},
		"an error":         {`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`, true},
		"not JSON":         {`{`, true},
		"an empty object":  {`{}`, true},
		"another stream":   {strings.Replace(fmt.Sprintf(one, "", 0, leads), "PENDING", "OTHER", 1), true},
	} {
		nc := plain(t)
		_, err1 := nc.Subscribe("$JS.API.STREAM.INFO.*", func(m *nats.Msg) { _ = m.Respond([]byte(c.info)) })
		_, err2 := nc.Subscribe("$JS.API.STREAM.MSG.GET.PURCHASES_PENDING", func(m *nats.Msg) {
			answer := []byte(`{"message":{"seq":1,"data":"e30="}}`)
			if strings.Contains(string(m.Data), "next_by_subj") {
				answer = publisher.NotThere()
			}
			_ = m.Respond(answer)
		})
		_, err3 := nc.Subscribe("$JS.API.STREAM.MSG.GET.PURCHASES_RESULTS", func(m *nats.Msg) { _ = m.Respond(publisher.NotThere()) })
		store, err4 := publisher.NewStore(nc, publisher.Subjects{})
		if err := errors.Join(err1, err2, err3, err4, nc.Flush()); err != nil {
			t.Fatal(err)
		}
		references := names("r", 10)
		for i := range 2 {
			all, err := store.Look(t.Context(), "acme", references)
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 && (all[1].Handoff != nil) != c.reads {
				t.Errorf("%s: %+v", name, all[1])
			}
		}
	}
}

// Replies are collected up to the first one with a status.
func TestCollect(t *testing.T) {
	t.Parallel()
	nc := plain(t)
	store, err := publisher.NewStore(nc, publisher.Subjects{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Wire.Collect(t.Context(), publisher.Ask{Subject: "nobody"}); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("nobody answers: %v", err)
	}
	if _, err := nc.Subscribe("many", func(m *nats.Msg) {
		for i := range 3 {
			_ = m.Respond([]byte{byte(i)})
		}
		end := nats.NewMsg(m.Reply)
		end.Header.Set("Status", "204")
		_ = m.RespondMsg(end)
		_ = m.Respond([]byte("late"))
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		replies, err := store.Wire.Collect(t.Context(), publisher.Ask{Subject: "many"})
		if err != nil || len(replies) != 4 {
			t.Fatalf("%d replies, %v", len(replies), err)
		}
		for i, m := range replies[:3] {
			if len(m.Data) != 1 || m.Data[0] != byte(i) {
				t.Errorf("reply %d: %q", i, m.Data)
			}
		}
	}
	if _, err := nc.Subscribe("endless", func(m *nats.Msg) { _ = m.Respond([]byte("x")) }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := store.Wire.Collect(ctx, publisher.Ask{Subject: "endless"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without an end: %v", err)
	}
}
