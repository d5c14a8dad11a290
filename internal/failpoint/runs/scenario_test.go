package runs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/failpoint"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// Every history asks for the same purchases: one of each kind that leads through
// other effects. So each point is come by in each history, in the midst of all
// the others.

// longOpen is still open when another process has taken over, so that a purchase
// call of that process would be seen.
const (
	longOpen = "longopen"
	openFor  = 5 * time.Second
)

func (h *history) ref(name string) string { return h.prefix + "-" + name }

func (h *history) electricity(name, amount string) string {
	return fmt.Sprintf(`{"productCode":"ELE-FLS-001","amount":%q,"paymentMethod":"cash","meterNumber":"000001020001","merchantReference":%q}`, amount, h.ref(name))
}

// preludes are the faults that bring a process to points which it otherwise
// never comes by: those for a server that was away, and for a lost answer.
var preludes = map[string]string{
	"consumer.records.ping":   "consumer.claims.claim:before=error@1",
	"consumer.claims.release": "consumer.ledger.handoff:before=error@3",
	"consumer.read.dead":      "consumer.publish.dead:after=lose@1",
	"poller.read.dead":        "poller.publish.dead:after=lose@1",
	"strays.read.dead":        "strays.publish.dead:after=lose@1",
}

// orders arms a process. Without a point it traces all of them.
func orders(point string, action failpoint.Action, n int) string {
	if point == "" {
		all := []string{"trace"}
		for _, prelude := range preludes {
			all = append(all, prelude)
		}
		return strings.Join(all, ";")
	}
	what := string(action)
	if action == failpoint.Pause {
		what += ":" + pauseFor
	}
	effect, _, _ := strings.Cut(point, ":")
	return fmt.Sprintf("%s=%s@%d;%s", point, what, n, preludes[effect])
}

// before is what there is before the first process starts.
func (h *history) before(ctx context.Context) error {
	// Redis remembers a purchase of which the streams hold nothing.
	reopened, err := purchase.Parse([]byte(h.electricity("reopened", "50")), purchase.Account{Name: account, ChannelID: "7"})
	if err != nil {
		return err
	}
	if _, err := h.claims.MarkSettled(ctx, dedupe.Key{Account: account, Reference: reopened.Reference}, reopened.Digest); err != nil {
		return err
	}
	const ms = simulator.Duration(time.Millisecond)
	fault := func(name string, steps ...simulator.Step) simulator.Fault {
		return simulator.Fault{Match: simulator.Match{Reference: h.ref(name)}, Steps: steps}
	}
	slowPoll := fault("slowpoll", simulator.Step{Latency: 800 * ms})
	slowPoll.Match.Endpoint = simulator.EndpointTransactions
	err = h.vendor.Order(
		fault("slow", simulator.Step{Latency: 800 * ms}),
		fault("slowpoll", simulator.Step{Stored: simulator.StoredPending, For: 300 * ms}), slowPoll,
		fault("limited", simulator.Step{Answer: simulator.AnswerReset}, simulator.Step{Answer: simulator.AnswerReset}, simulator.Step{Status: 429}),
		fault(longOpen, simulator.Step{Stored: simulator.StoredPending, For: simulator.Duration(openFor)}),
		fault("noreceipt", simulator.Step{Stored: simulator.StoredCompleted, Receipt: simulator.ReceiptNone}),
		fault("handedover", simulator.Step{Stored: simulator.StoredPending, For: 300 * ms}),
	)
	if err != nil {
		return err
	}
	if err := h.beforePauses(ctx); err != nil {
		return err
	}
	return h.first(ctx)
}

// first is on the stream when the process starts.
func (h *history) first(ctx context.Context) error {
	if _, err := h.publish(ctx, ghost, h.electricity("ghost", "50")); err != nil {
		return err
	}
	return h.all(ctx, 0, "slow", "slow", "noreceipt", longOpen, "plain", "sim-failed", "sim-pending", "sim-receipt-repost", "sim-accepted-empty",
		"sim-reset-x2", "limited", "slowpoll", "reopened", "sim-401")
}

// ask publishes the rest while the process works.
func (h *history) ask(ctx context.Context) error {
	if err := h.all(ctx, 30*time.Millisecond, "plain-2", "sim-pending-failed", "handedover", "settled", "sim-code-1009", "sim-reset-after",
		"sim-reset-after-pending", "conflict"); err != nil {
		return err
	}
	inAnHour := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for _, m := range [][]string{
		{h.electricity("conflict", "60")},
		{h.electricity("plain", "50")}, // a repeat
		{`{"productCode":`},
		{h.electricity("expires", "50"), publisher.HeaderExpiresAt, inAnHour},
		{h.electricity("looked-up", "50"), publisher.HeaderLookup, "true"},
	} {
		if _, err := h.publish(ctx, account, m[0], m[1:]...); err != nil {
			return err
		}
		time.Sleep(30 * time.Millisecond)
	}
	if err := h.lowPriority(ctx); err != nil {
		return err
	}
	if err := h.resume(ctx); err != nil {
		return err
	}
	// The last: for as long as the account is limited, nothing is asked that can be
	// done without.
	if err := h.all(ctx, 0, "sim-429"); err != nil {
		return err
	}
	return h.afterwards(ctx)
}

func (h *history) all(ctx context.Context, apart time.Duration, names ...string) error {
	for _, name := range names {
		if _, err := h.publish(ctx, account, h.electricity(name, "50")); err != nil {
			return err
		}
		time.Sleep(apart)
	}
	return nil
}

// afterwards asks for a settled purchase with another payload, which some other
// worker then hands over: the poller finds out.
func (h *history) afterwards(ctx context.Context) error {
	for {
		r, err := h.store.Result(ctx, account, h.ref("settled"))
		if err != nil {
			return err
		}
		if r != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	body := h.electricity("settled", "70")
	sequence, err := h.publish(ctx, account, body)
	if err != nil {
		return err
	}
	return h.handOver(ctx, body, sequence)
}

// handOver does what another worker could have done that knew less.
func (h *history) handOver(ctx context.Context, body string, sequence uint64) error {
	p, err := purchase.Parse([]byte(body), purchase.Account{Name: account, ChannelID: "7"})
	if err != nil {
		return err
	}
	now := time.Now()
	handoff := p.HandOver(purchase.Outcome{Kind: purchase.Unknown}, purchase.Submission{
		Attempts: 1, RequestSequence: sequence, RequestedAt: now, SubmittedAt: now,
	})
	_, err = h.store.PublishHandoff(ctx, &handoff, "")
	return err
}

// interfere happens while a purchase is on its way to the vendor.
func (h *history) interfere(ctx context.Context, p *purchase.Request) {
	if p.Reference != h.ref("handedover") {
		return
	}
	h.mu.Lock()
	again := h.seen[p.Reference]
	h.seen[p.Reference] = true
	h.mu.Unlock()
	if again {
		return
	}
	for _, r := range h.asked() {
		if string(r.body) == h.electricity("handedover", "50") {
			if err := h.handOver(ctx, string(r.body), r.sequence); err != nil && ctx.Err() == nil {
				h.complain("%w", err)
			}
		}
	}
}
