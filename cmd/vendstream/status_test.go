package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// open stores the hand-off of a purchase, as a consumer would.
func (p *pipeline) open(account, reference string) {
	p.t.Helper()
	request, err := purchase.Parse([]byte(body(reference)), purchase.Account{Name: account})
	if err != nil {
		p.t.Fatal(err)
	}
	h := request.HandOver(purchase.Outcome{Kind: purchase.InFlight}, purchase.Submission{Attempts: 1, RequestedAt: time.Unix(1, 0), SubmittedAt: time.Unix(2, 0)})
	if _, err := p.store.PublishHandoff(p.t.Context(), &h, ""); err != nil {
		p.t.Fatal(err)
	}
}

// status runs the command and returns its rows by account.
func (p *pipeline) status(args ...string) (map[string]statusRow, string) {
	p.t.Helper()
	stdout, stderr := p.run(0, append([]string{"status", "-o", "json"}, args...)...)
	return rowsOf(p.t, stdout), stderr
}

func rowsOf(t *testing.T, stdout string) map[string]statusRow {
	t.Helper()
	var list []statusRow
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	rows := map[string]statusRow{}
	for _, r := range list {
		rows[r.Account] = r
	}
	return rows
}

const threeAccounts = `VENDSTREAM_ACCOUNTS=[{name: acme, username: u, password: p}, ` +
	`{name: free, username: u, password: p, purchase_limit: {requests: 0}}, {name: late, username: u, password: p}]`

// without is the environment without the variables of the one account.
func (e env) without(prefixes ...string) env {
	var kept []string
	for _, v := range e.Environ {
		keep := true
		for _, prefix := range prefixes {
			keep = keep && !strings.HasPrefix(v, prefix)
		}
		if keep {
			kept = append(kept, v)
		}
	}
	e.Environ = kept
	return e
}

// many makes three configured accounts, of which late has no consumer, and one
// that has a consumer alone.
func (p *pipeline) many(redisURL string) {
	p.t.Helper()
	p.env = p.env.without("VENDSTREAM_ACCOUNT", "PAGAMIO_").with(threeAccounts, "VENDSTREAM_REDIS_URL="+redisURL)
	p.run(0, "provision")
	for _, stream := range []string{"PURCHASES_REQUESTS", "PURCHASES_PENDING"} {
		if err := p.js.DeleteConsumer(p.t.Context(), stream, "late"); err != nil {
			p.t.Fatal(err)
		}
	}
	_, err := p.js.CreateConsumer(p.t.Context(), "PURCHASES_REQUESTS", jetstream.ConsumerConfig{
		Durable: "gone", FilterSubject: "purchases.requests.gone", AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipeline) request(account string, n int) {
	p.t.Helper()
	for range n {
		if _, err := p.js.Publish(p.t.Context(), "purchases.requests."+account, []byte("{}")); err != nil {
			p.t.Fatal(err)
		}
	}
}

// fetch takes requests without acknowledging them.
func (p *pipeline) fetch(account string, n int) []jetstream.Msg {
	p.t.Helper()
	consumer, err := p.js.Consumer(p.t.Context(), "PURCHASES_REQUESTS", account)
	if err != nil {
		p.t.Fatal(err)
	}
	batch, err := consumer.Fetch(n)
	if err != nil {
		p.t.Fatal(err)
	}
	var got []jetstream.Msg
	for m := range batch.Messages() {
		got = append(got, m)
	}
	if len(got) != n || batch.Error() != nil {
		p.t.Fatalf("%d messages, %v", len(got), batch.Error())
	}
	return got
}

func TestStatus(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	server := servertest.Redis(t)
	p.many(server.URL())

	rows, stderr := p.status()
	if len(rows) != 4 || stderr != "" {
		t.Fatalf("%+v, stderr %q", rows, stderr)
	}
	for name, r := range rows {
		if r.Backlog+r.InFlight+r.Pending.Total+r.Rate != 0 || r.HeldBy != "" || r.DoneIn == nil || *r.DoneIn != 0 || r.Pending.Oldest != nil {
			t.Errorf("%s has nothing to do: %+v", name, r)
		}
	}

	p.request("acme", 5)
	p.request("free", 3)
	p.request("late", 2)
	p.request("gone", 1)
	if err := p.fetch("acme", 3)[0].DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		p.open("acme", fmt.Sprint("open-", i))
	}
	for i := range 2 {
		p.settle(body(fmt.Sprint("done-", i)), purchase.Outcome{Kind: purchase.Completed})
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	limiter := quota.New(client, "purchases", "acme", quota.Limit{Requests: 10, Per: time.Minute})
	if _, _, err := limiter.Take(t.Context(), 7); err != nil {
		t.Fatal(err)
	}

	rows, stderr = p.status()
	if stderr != "" {
		t.Errorf("stderr %q", stderr)
	}
	a := rows["acme"]
	if a.Backlog != 4 || a.InFlight != 2 || a.Pending.Total != 4 || a.Pending.Under1 != 4 || a.Pending.Under5 != 0 ||
		a.Pending.Older == nil || *a.Pending.Older != 0 || a.Pending.Oldest == nil || a.Pending.Capped || a.Rate != 2 {
		t.Errorf("%+v", a)
	}
	if a.Limit == nil || a.Limit.Requests != 10 || a.Limit.Per != 60 || a.Used == nil || *a.Used != 7 || *a.Share != 0.7 {
		t.Errorf("%+v", a)
	}
	if a.HeldBy != heldAtVendor || a.DoneIn == nil || *a.DoneIn != 120 || a.Time.IsZero() {
		t.Errorf("%+v", a)
	}
	if r := rows["free"]; r.Backlog != 3 || r.InFlight != 0 || r.Limit != nil || r.Used != nil || r.HeldBy != heldNoWorker || r.DoneIn != nil {
		t.Errorf("%+v", r)
	}
	if r := rows["late"]; r.Backlog != 2 || r.HeldBy != heldNotSetUp || r.DoneIn != nil || r.Limit == nil {
		t.Errorf("%+v", r)
	}
	if r := rows["gone"]; r.Backlog != 1 || r.HeldBy != heldNoWorker || r.Limit != nil {
		t.Errorf("%+v", r)
	}

	// The limit is used up, and the same as a penalty.
	if _, _, err := limiter.Take(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if rows, _ = p.status("--account", "acme"); len(rows) != 1 || rows["acme"].HeldBy != heldLimit || *rows["acme"].DoneIn != 24 {
		t.Errorf("%+v", rows)
	}
	if err := limiter.Penalize(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if rows, _ = p.status(); rows["acme"].HeldBy != heldPenalty || *rows["acme"].DoneIn < 3500 {
		t.Errorf("%+v", rows["acme"])
	}

	// Nothing that it counted with is left behind.
	for stream, want := range map[string]int{"PURCHASES_REQUESTS": 3, "PURCHASES_PENDING": 2, "PURCHASES_RESULTS": 0} {
		s, err := p.js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.CachedInfo().State.Consumers; n != want {
			t.Errorf("%s has %d consumers, want %d", stream, n, want)
		}
	}
	stdout, _ := p.run(0, "status", "-o", "csv", "--account", "acme")
	if !strings.HasPrefix(stdout, strings.Join(statusColumns, ",")+"\nacme,4,2,4,4,0,0,") || !strings.Contains(stdout, ",2,10/1m0s,10,100%,"+heldPenalty+",") {
		t.Errorf("%s", stdout)
	}
	stdout, _ = p.run(0, "status", "--account", "gone")
	if lines := strings.Split(stdout, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "ACCOUNT ") || !strings.Contains(lines[1], heldNoWorker+"  -  ") {
		t.Errorf("%s", stdout)
	}
	if stdout, _ = p.run(0, "status", "--account", "nobody", "-o", "json"); stdout != "[]\n" {
		t.Errorf("%s", stdout)
	}
}

// Without Redis everything else is told.
func TestStatusWithoutRedis(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.env = p.env.with("VENDSTREAM_REDIS_URL=redis://user:hidden@127.0.0.1:1/0")
	p.request("acme", 1)
	rows, stderr := p.status()
	if r := rows["acme"]; r.Backlog != 1 || r.Limit == nil || r.Used != nil || r.Share != nil {
		t.Errorf("%+v", r)
	}
	if !strings.HasPrefix(stderr, "what is used of the limits is not known: Redis at redis://") || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "hidden") {
		t.Errorf("stderr %q", stderr)
	}
	// An account without a limit needs none.
	p.env = p.env.without("VENDSTREAM_ACCOUNT", "PAGAMIO_").with(threeAccounts)
	if _, stderr := p.status("--account", "free"); stderr != "" {
		t.Errorf("stderr %q", stderr)
	}
}

// The counts by age are exact around their borders, over gaps and other accounts'
// hand-offs, and the old ones are not read.
func TestPendingByAge(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.run(0, "provision")
	const all = 40
	for i := range all {
		p.open("acme", fmt.Sprint("r-", i))
		p.open("other", fmt.Sprint("r-", i))
	}
	stream, err := p.js.Stream(t.Context(), "PURCHASES_PENDING")
	if err != nil {
		t.Fatal(err)
	}
	for _, sequence := range []uint64{1, 11, 12, 79} { // three of acme's: r-0, r-5 and r-39
		if err := stream.DeleteMsg(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
	}
	const left = all - 3
	m, err := stream.GetMsg(t.Context(), 21) // the ninth of acme's that are left
	if err != nil {
		t.Fatal(err)
	}
	const before = 8
	l := &looker{session: &session{js: p.js}, most: pendingCap}
	consumer, err := p.js.Consumer(t.Context(), "PURCHASES_PENDING", "acme")
	if err != nil {
		t.Fatal(err)
	}
	for name, info := range map[string]*jetstream.ConsumerInfo{"by the consumer": consumer.CachedInfo(), "by the subjects": nil} {
		for _, c := range []struct {
			now                   time.Time
			most                  uint64
			under1, under5, older uint64
			capped                bool
		}{
			{m.Time, pendingCap, left, 0, 0, false},
			{m.Time.Add(young), pendingCap, left - before - 1, before + 1, 0, false},
			{m.Time.Add(middleAge), pendingCap, 0, left - before, before, false},
			{m.Time.Add(time.Hour), pendingCap, 0, 0, left, false},
			{m.Time.Add(time.Hour), 1, 0, 0, left, false},
			{m.Time.Add(-time.Hour), left, left, 0, 0, false},
			{m.Time, 5, 5, 0, 0, true},
		} {
			l.most = c.most
			fresh, err := p.js.Stream(t.Context(), "PURCHASES_PENDING")
			if err != nil {
				t.Fatal(err)
			}
			got, err := l.pending(t.Context(), fresh, info, "acme", c.now)
			if err != nil {
				t.Fatal(err)
			}
			if got.Total != left || got.Under1 != c.under1 || got.Under5 != c.under5 || got.Capped != c.capped ||
				(got.Older == nil) != c.capped || got.Older != nil && *got.Older != c.older {
				t.Errorf("%s, %+v: %+v", name, c, got)
			}
			if c.capped {
				r := statusRow{Pending: got}
				if cells := r.cells(); cells[4] != "5+" || cells[5] != "0+" || cells[6] != "" {
					t.Errorf("%q", cells)
				}
			}
		}
	}
}

func TestHeldByAndDoneIn(t *testing.T) {
	t.Parallel()
	minute := &statusLimit{Requests: 10, Per: 60, per: time.Minute}
	share := func(s float64) *float64 { return &s }
	recent, idle := signs{setUp: true, since: time.Second}, signs{setUp: true, since: 2 * time.Minute}
	for name, c := range map[string]struct {
		row  statusRow
		held string
		done float64 // -1: not known
	}{
		"nothing to do":               {statusRow{signs: idle}, heldNothing, 0},
		"only open purchases":         {statusRow{Pending: statusPending{Total: 2}, signs: idle}, heldAtVendor, 0},
		"no consumer":                 {statusRow{Backlog: 5, Rate: 5}, heldNotSetUp, -1},
		"no worker":                   {statusRow{Backlog: 5, InFlight: 5, Rate: 5, signs: idle}, heldNoWorker, -1},
		"an idle worker is there":     {statusRow{Backlog: 5, signs: signs{setUp: true, waiting: 1, since: time.Hour}}, heldNothing, -1},
		"on its way":                  {statusRow{Backlog: 100, Rate: 60, signs: recent}, heldNothing, 100},
		"rounded up":                  {statusRow{Backlog: 1, Rate: 7, signs: recent}, heldNothing, 9},
		"at the vendor":               {statusRow{Backlog: 5, InFlight: 2, signs: recent}, heldAtVendor, -1},
		"limit":                       {statusRow{Backlog: 100, Rate: 1, Limit: minute, Share: share(1), signs: recent}, heldLimit, 600},
		"limit, nearly":               {statusRow{Backlog: 100, Rate: 1, Limit: minute, Share: share(0.95), signs: recent}, heldLimit, 600},
		"below the limit":             {statusRow{Backlog: 100, Rate: 20, Limit: minute, Share: share(0.9), signs: recent}, heldNothing, 300},
		"penalty":                     {statusRow{Backlog: 10, Limit: minute, Share: share(0), paused: 30 * time.Second, signs: recent}, heldPenalty, 90},
		"penalty, with nothing to do": {statusRow{Limit: minute, Share: share(1), paused: time.Minute, signs: recent}, heldNothing, 0},
	} {
		r := c.row
		r.HeldBy = heldBy(&r)
		r.DoneIn = doneIn(&r)
		if r.HeldBy != c.held || (r.DoneIn == nil) != (c.done < 0) || r.DoneIn != nil && *r.DoneIn != c.done {
			t.Errorf("%s: %q, %s; want %q, %v", name, r.HeldBy, seconds(r.DoneIn), c.held, c.done)
		}
	}
	if never := toDuration(1e300); never <= 0 {
		t.Errorf("%v", never)
	}
}

func TestStatusWatch(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.env = p.env.with("VENDSTREAM_REDIS_URL=redis://127.0.0.1:1/0")
	heading := strings.ToUpper(statusColumns[0]) + " "
	for format, c := range map[string]struct {
		twice string // what is seen twice once there were two looks
		check func(stdout string) bool
	}{
		"table": {heading, func(s string) bool { return strings.Count(s, "\n\n"+heading) == strings.Count(s, heading)-1 }},
		"jsonl": {`{"account":"acme",`, func(s string) bool { return strings.Count(s, "\n") == strings.Count(s, `{"account":"acme",`) }},
		"csv":   {"\nacme,", func(s string) bool { return strings.Count(s, "account,") == 1 && !strings.Contains(s, "\n\n") }},
		"json":  {"[\n", func(s string) bool { return strings.HasSuffix(s, "\n]\n") }},
	} {
		ctx, signal := context.WithCancelCause(t.Context())
		two := &counter{text: c.twice, times: 2, reached: func() { signal(lifecycle.ErrStopped) }}
		e := p.env
		e.Stdout = two
		stdout, stderr, code := runUntil(ctx, e, "status", "--watch", "--interval", "10ms", "-o", format)
		if code != lifecycle.Interrupted || !c.check(stdout) {
			t.Errorf("%s: code %d, stdout %s", format, code, stdout)
		}
		// The note is not repeated with every look.
		if strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "Redis at") {
			t.Errorf("%s: stderr %q", format, stderr)
		}
	}
}

// counter calls reached once the text was written so many times.
type counter struct {
	text    string
	times   int
	all     bytes.Buffer
	reached func()
}

func (c *counter) Write(b []byte) (int, error) {
	c.all.Write(b)
	if strings.Count(c.all.String(), c.text) >= c.times {
		c.reached()
	}
	return len(b), nil
}

// A watch goes on where NATS was away for a while.
func TestStatusWatchSurvives(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.env = p.env.without("VENDSTREAM_ACCOUNT", "PAGAMIO_").with(threeAccounts)
	ctx, signal := context.WithCancelCause(t.Context())
	begun, again := when("\n"), make(chan struct{}, 1)
	failed := when("this look failed")
	e := p.env
	e.Stdout = writers{begun, &counter{text: `"backlog":0,`, times: 1, reached: func() {
		select {
		case <-failed.seen:
			select {
			case again <- struct{}{}:
			default:
			}
		default:
		}
	}}}
	e.Stderr = failed
	ended := make(chan int)
	go func() {
		_, _, code := runUntil(ctx, e, "status", "--watch", "--interval", "10ms", "-o", "jsonl", "--account", "free")
		ended <- code
	}()
	<-begun.seen
	p.nats.Stop()
	<-failed.seen
	p.nats.Start()
	<-again
	signal(lifecycle.ErrStopped)
	if code := <-ended; code != lifecycle.Interrupted {
		t.Errorf("code %d", code)
	}
}

// writers writes to each.
type writers []interface{ Write([]byte) (int, error) }

func (w writers) Write(b []byte) (int, error) {
	for _, one := range w {
		if n, err := one.Write(b); err != nil {
			return n, err
		}
	}
	return len(b), nil
}

func TestStatusFailures(t *testing.T) {
	t.Parallel()
	empty := acme(servertest.NATS(t))
	for _, c := range []struct {
		env  env
		args string
		code int
		want string
	}{
		{acme(nil), "status now", lifecycle.Usage, "unknown command"},
		{acme(nil), "status --account A", lifecycle.Usage, "is no account's name"},
		{acme(nil), "status --interval 1s", lifecycle.Usage, "--interval must be above zero and needs --watch"},
		{acme(nil), "status --watch --interval 0s", lifecycle.Usage, "--interval must be above zero"},
		{acme(nil).with("VENDSTREAM_NATS_URL=nats://127.0.0.1:1"), "status", lifecycle.NotConnected, "could not connect to NATS"},
		{acme(nil).with("VENDSTREAM_NATS_URL=nats://127.0.0.1:1"), "status --watch", lifecycle.NotConnected, "could not connect to NATS"},
		{empty, "status", lifecycle.Failed, "is missing: run `vendstream provision`"},
		{empty.with("VENDSTREAM_REDIS_URL=redis+sentinel://127.0.0.1:1"), "status", lifecycle.Usage, "redis.url"},
	} {
		stdout, stderr, code := runCommand(t, c.env, strings.Split(c.args, " ")...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: code %d, stdout %q, stderr %q; want %d and %q", c.args, code, stdout, stderr, c.code, c.want)
		}
	}
}

// With a daemon at work.
func TestStatusOfADaemon(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	s.replaceInConfig("acme-secret, channel_id: \"7\", purchase_limit: {requests: 0}", "acme-secret, channel_id: \"7\", purchase_limit: {requests: 2, per: 1h}")
	s.daemon("serve")
	for i := range 5 {
		s.publish("acme", airtime(fmt.Sprint("status-", i)))
	}
	s.publish("beta", airtime("status"))
	s.result("beta", "status")
	eventually(t, "the limit holds acme up", func() error {
		stdout, stderr, code := runCommand(t, env{}, "status", "--config", s.config, "-o", "json")
		if code != 0 || stderr != "" {
			return fmt.Errorf("code %d, stderr %q", code, stderr)
		}
		rows := rowsOf(t, stdout)
		a, b := rows["acme"], rows["beta"]
		if a.Backlog != 3 || a.Rate != 2 || a.HeldBy != heldLimit || *a.Used != 2 || *a.DoneIn != 5400 || b.Backlog != 0 || b.Rate != 1 || b.HeldBy != "" {
			return fmt.Errorf("%s", stdout)
		}
		return nil
	})
}

// An account that is neither configured nor served is listed with the requests
// that have not become dead letters.
func TestStatusOfAnUnknownAccount(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.run(0, "provision")
	p.request("nobody", 3)
	rows, _ := p.status()
	if r := rows["nobody"]; len(rows) != 2 || r.Backlog != 3 || r.HeldBy != heldUnknown || r.DoneIn != nil {
		t.Errorf("%+v", rows)
	}
	for sequence := range uint64(3) {
		err := p.store.PublishDead(t.Context(), publisher.DeadLetter{
			Account: "nobody", Sequence: sequence + 1, Reason: purchase.ReasonUnknownAccount, Body: []byte("{}"),
		})
		if err != nil {
			t.Fatal(err)
		}
		rows, _ := p.status("--account", "nobody")
		if r := rows["nobody"]; len(rows) != 1 || r.Backlog != 2-sequence || r.HeldBy != heldUnknown {
			t.Errorf("%d dead letters: %+v", sequence+1, rows)
		}
	}
}
