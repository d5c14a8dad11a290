package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
	"github.com/vendstream/vendstream/publisher"
)

// pipeline is a provisioned NATS server on which the test does the daemons' work.
type pipeline struct {
	t     *testing.T
	env   env
	nats  *servertest.NATSServer
	js    jetstream.JetStream
	store *publisher.Store
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	s := servertest.NATS(t)
	nc, js := s.Connect()
	store, err := publisher.NewStore(nc, publisher.Subjects{})
	if err != nil {
		t.Fatal(err)
	}
	p := &pipeline{t: t, env: acme(s), nats: s, js: js, store: store}
	p.run(0, "provision")
	return p
}

// run runs a command that must end with that code.
func (p *pipeline) run(code int, args ...string) (stdout, stderr string) {
	p.t.Helper()
	stdout, stderr, got := runCommand(p.t, p.env, args...)
	if got != code {
		p.t.Fatalf("%s: code %d, want %d; stdout %q, stderr %q", args, got, code, stdout, stderr)
	}
	return stdout, stderr
}

// settle publishes a result, as a daemon would.
func (p *pipeline) settle(body string, o purchase.Outcome) *purchase.Result {
	p.t.Helper()
	request, err := purchase.Parse([]byte(body), purchase.Account{Name: "acme"})
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := request.Settle(o, purchase.Ending{Source: purchase.SourcePurchase, Attempts: 1, RequestedAt: time.Unix(1, 0), ResolvedAt: time.Unix(2, 0)})
	if err != nil {
		p.t.Fatal(err)
	}
	there, err := p.store.PublishResult(p.t.Context(), &r, "")
	if err != nil || there != nil {
		p.t.Fatal(there, err)
	}
	return &r
}

func (p *pipeline) bury(account string, sequence uint64, reason purchase.Reason, body string) {
	p.t.Helper()
	d := publisher.DeadLetter{
		Account: account, Sequence: sequence, Reason: reason, Detail: "said\x1b[2J why",
		Header: map[string][]string{"Nats-Msg-Id": {"acme/r"}}, Body: []byte(body),
	}
	if err := p.store.PublishDead(p.t.Context(), d); err != nil {
		p.t.Fatal(err)
	}
}

// requested is the body and headers of a request.
func (p *pipeline) requested(sequence uint64) publisher.DeadLetter {
	p.t.Helper()
	m, err := p.store.Original(p.t.Context(), "acme", sequence)
	if err != nil || m.Body == nil {
		p.t.Fatal(m, err)
	}
	return m
}

type submitted struct {
	Account           string
	MerchantReference string
	Sequence          uint64
	Duplicate         bool
}

func (p *pipeline) submit(args ...string) (submitted, string) {
	p.t.Helper()
	stdout, stderr := p.run(0, append([]string{"submit"}, args...)...)
	var s submitted
	if err := json.Unmarshal([]byte(stdout), &s); err != nil {
		p.t.Fatalf("%v: %s", err, stdout)
	}
	return s, stderr
}

func body(reference string) string {
	return fmt.Sprintf(`{"productCode":"AIR","amount":5.50,"paymentMethod":"cash","channelId":"c","merchantReference":%q}`, reference)
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)

	one, stderr := p.submit("--product-code", "AIR<", "--amount", "5.50", "--mobile-number", "+27820000000",
		"--channel-id", "c", "--additional-info", `{"n":1.0}`, "--lookup", "--expires-at", "2030-01-01T02:00:00+02:00",
		"--traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if one.Account != "acme" || one.Sequence != 1 || one.Duplicate || stderr != "merchantReference "+one.MerchantReference+"\n" {
		t.Errorf("%+v, stderr %q", one, stderr)
	}
	m := p.requested(1)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(m.Body, &fields); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"amount": "5.50", "paymentMethod": `"cash"`, "mobileNumber": `"+27820000000"`, "additionalInfo": `{"n":1.0}`,
		"merchantReference": `"` + one.MerchantReference + `"`, "channelId": `"c"`,
	} {
		if string(fields[name]) != want {
			t.Errorf("%s is %s, want %s", name, fields[name], want)
		}
	}
	if _, has := fields["meterNumber"]; has {
		t.Error("an empty field is sent")
	}
	for name, want := range map[string]string{
		"Nats-Msg-Id": "acme/" + one.MerchantReference, "Vendstream-Lookup": "true", "Vendstream-Expires-At": "2030-01-01T00:00:00Z",
	} {
		if got := publisher.Header(m.Header, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := publisher.Header(m.Header, "traceparent"); !strings.HasPrefix(got, "00-0af7651916cd43dd8448eb211c80319c-") {
		t.Errorf("traceparent %q", got)
	}

	two, stderr := p.submit("--body", body("two"), "--expires-in", "1h")
	if two.MerchantReference != "two" || two.Sequence != 2 || stderr != "" {
		t.Errorf("%+v, stderr %q", two, stderr)
	}
	if again, _ := p.submit("--body", " "+body("two")); !again.Duplicate || again.Sequence != 2 {
		t.Errorf("%+v", again)
	}
	// The server would drop another payload for its message id: it is stored all
	// the same, and becomes the dead letter that it has to.
	other := strings.Replace(body("two"), "5.50", "6", 1)
	for range 2 {
		if got, _ := p.submit("--body", other); got.Sequence != 3 {
			t.Errorf("%+v", got)
		}
	}
	_, stderr = p.run(lifecycle.Usage, "submit", "--product-code", "A", "--amount", "1", "--reference", "")
	if !strings.Contains(stderr, "--reference: is empty") {
		t.Errorf("stderr %q", stderr)
	}

	p.env.Stdin = strings.NewReader(body("three"))
	if three, _ := p.submit("--file", "-", "-o", "jsonl"); three.Sequence != 4 {
		t.Errorf("%+v", three)
	}
	if got := p.requested(4).Body; string(got) != body("three") {
		t.Errorf("the body is changed: %s", got)
	}
	if stdout, _ := p.run(0, "submit", "--body", body("four"), "-o", "csv"); stdout != "account,merchantReference,sequence,duplicate\nacme,four,5,false\n" {
		t.Errorf("%s", stdout)
	}
}

func TestSubmitRefuses(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	two := `VENDSTREAM_ACCOUNTS=[{name: a, username: u, password: p}, {name: b, username: u, password: p}]`
	server := env{Environ: []string{"VENDSTREAM_NATS_URL=" + p.nats.URL()}}
	for _, c := range []struct {
		env  env
		args []string
		want string
	}{
		{p.env, []string{"--body", "["}, "nothing was submitted: publisher: the request is not valid (malformed)"},
		{p.env, []string{"--body", "{}"}, "(invalid_reference): merchantReference is missing"},
		{p.env, []string{"--product-code", "A", "--amount", "1", "--reference", " r"}, "(invalid_reference)"},
		{p.env.withStdin(strings.Repeat(" ", purchase.MaxBody+10)), []string{"--file", "-"}, "(too_large)"},
		{p.env, []string{"--body", body("r"), "--account", "other"}, "--account: other is not configured"},
		{server.with(two), []string{"--body", body("r")}, "2 accounts are configured: name one with --account"},
		{server, []string{"--body", body("r")}, "no account is configured: name one with --account"},
		{server, []string{"--body", body("r"), "--account", "acme", "--wait"}, "--wait needs account acme in the configuration"},
	} {
		stdout, stderr, code := runCommand(t, c.env, append([]string{"submit"}, c.args...)...)
		if code != lifecycle.Usage || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: code %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
	}
	// A machine that only publishes has no credentials.
	if _, stderr, code := runCommand(t, server, "submit", "--body", body("r"), "--account", "acme"); code != 0 {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

func (e env) withStdin(text string) env {
	e.Stdin = strings.NewReader(text)
	return e
}

func TestSubmitWaits(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	receipt := json.RawMessage(`{"units":30.0000,"token":12341234123412341234}`)
	p.settle(body("done"), purchase.Outcome{Kind: purchase.Completed, TransactionID: "t-1", Receipt: receipt})
	stdout, stderr := p.run(0, "submit", "--wait", "--body", strings.Replace(body("done"), "5.50", "5.5", 1))
	if !strings.Contains(stdout, `"receipt":`+string(receipt)) || !strings.Contains(stdout, `"amount":5.50,`) || stderr != "" {
		t.Errorf("stdout %s, stderr %q", stdout, stderr)
	}

	p.settle(body("failed"), purchase.Outcome{Kind: purchase.Failed, Code: "1100", Message: "no\x1b[2J funds", Class: purchase.ClassBalance})
	stdout, stderr = p.run(lifecycle.FailedPurchases, "submit", "--wait", "--body", body("failed"), "-o", "table")
	for _, want := range []string{"STATUS             FAILED\n", `no\x1b[2J funds`, "balance", "5.50"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in %s", want, stdout)
		}
	}
	if stderr != "" {
		t.Errorf("stderr %q", stderr)
	}
}

func TestSubmitWaitsForAResultThatComesLater(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	consumer, err := p.js.Consumer(t.Context(), "PURCHASES_REQUESTS", "acme")
	if err != nil {
		t.Fatal(err)
	}
	type end struct {
		stdout, stderr string
		code           int
	}
	ended := make(chan end, 1)
	go func() {
		stdout, stderr, code := runUntil(t.Context(), p.env, "submit", "--wait", "--body", body("late"))
		ended <- end{stdout, stderr, code}
	}()
	m, err := consumer.Next()
	if err != nil {
		t.Fatal(err)
	}
	p.settle(string(m.Data()), purchase.Outcome{Kind: purchase.Completed})
	if got := <-ended; got.code != 0 || !strings.Contains(got.stdout, `"status":"COMPLETED"`) {
		t.Errorf("%+v", got)
	}
}

func TestSubmitWaitEndsWithADeadLetter(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	// Another purchase has the reference: its result is not this one's.
	p.settle(strings.Replace(body("r"), "5.50", "6", 1), purchase.Outcome{Kind: purchase.Completed})
	p.bury("acme", 1, purchase.ReasonConflict, body("r"))
	stdout, stderr := p.run(lifecycle.Failed, "submit", "--wait", "--body", body("r"))
	if stdout != "" || !strings.HasSuffix(stderr, "vendstream: request 1 became a dead letter, conflict: said\\x1b[2J why\n") {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func TestSubmitWaitEndsUnknown(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.settle(strings.Replace(body("r"), "5.50", "6", 1), purchase.Outcome{Kind: purchase.Completed})
	stdout, stderr := p.run(lifecycle.OutcomeUnknown, "submit", "--wait", "--timeout", "100ms", "--body", body("r"))
	for _, want := range []string{"request 1, merchantReference r", neverAnother, "--timeout is over", "another digest"} {
		if stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("no %q in stderr %q; stdout %q", want, stderr, stdout)
		}
	}

	ctx, signal := context.WithCancelCause(t.Context())
	consumer, err := p.js.Consumer(t.Context(), "PURCHASES_REQUESTS", "acme")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 2 { // the first request is the one above
			if _, err := consumer.Next(); err != nil {
				t.Error(err)
			}
		}
		signal(&lifecycle.Stopped{Signal: syscall.SIGTERM})
	}()
	stdout, stderr, code := runUntil(ctx, p.env, "submit", "--wait", "--body", body("s"))
	if code != lifecycle.Interrupted || stdout != "" || !strings.Contains(stderr, "stopped by signal") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}
