package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"
)

func TestEveryCodeOfTheTable(t *testing.T) {
	for code := range codes {
		if code == codeSuccess {
			continue
		}
		h := newHarness(t)
		h.order(Fault{Match: Match{Reference: "flat"}, Steps: []Step{{Code: code, Message: "as ordered"}}},
			Fault{Match: Match{Reference: "enveloped"}, Steps: []Step{{Code: code, Shape: Enveloped, Status: 422}}})
		flat := h.purchase("flat")
		equal(t, "code", flat.code(), code)
		equal(t, "message", flat.field("responseMessage"), "as ordered")
		enveloped := h.purchase("enveloped")
		equal(t, "status", enveloped.status, 422)
		equal(t, "code", enveloped.field("error", "code"), json.Number(code))
		want := map[class]State{classTerminal: Failed, classTransient: "", classUnknown: Completed}[classOf(code)]
		equal(t, "stored with "+code, h.entry("flat").Status, want)
	}
}

func TestCodeOnARepeatLeavesTheOriginal(t *testing.T) {
	h := newHarness(t)
	h.order(Fault{Steps: []Step{{}, {Code: "1205"}, {Status: 409, Stored: StoredCompleted}}})
	equal(t, "first", h.purchase("r").code(), "0")
	equal(t, "second", h.purchase("r").code(), "1205")
	equal(t, "third", h.purchase("r").status, 409)
	equal(t, "fourth", h.purchase("r").code(), "0")
	equal(t, "vends", h.entry("r").Vends, 1)
}

func TestStepsOfAFault(t *testing.T) {
	two := []Step{{Status: 500}, {Status: 502}}
	for name, test := range map[string]struct {
		fault Fault
		want  []int // statuses of consecutive calls
	}{
		"as many calls as steps": {Fault{Steps: two}, []int{500, 502, 200}},
		"the last one repeats":   {Fault{Steps: two, Times: 3}, []int{500, 502, 502, 200}},
		"for ever":               {Fault{Steps: two, Times: -1}, []int{500, 502, 502, 502}},
		"cut short":              {Fault{Steps: two, Times: 1}, []int{500, 200}},
		"from the third call":    {Fault{Steps: two, Match: Match{Call: 3}}, []int{200, 200, 500, 502, 200}},
		"by name":                {Fault{Use: "504-x2"}, []int{504, 504, 200}},
		"another account":        {Fault{Steps: two, Match: Match{Account: "other"}}, []int{200}},
		"this account":           {Fault{Steps: two, Match: Match{Account: "acme"}}, []int{500, 502, 200}},
		"another reference":      {Fault{Steps: two, Match: Match{Reference: "r"}}, []int{200}},
		"this reference":         {Fault{Steps: two, Match: Match{Reference: "ref-1"}}, []int{500, 502, 200}},
		"another prefix":         {Fault{Steps: two, Match: Match{Prefix: "x"}}, []int{200}},
		"this prefix":            {Fault{Steps: two, Match: Match{Prefix: "ref"}}, []int{500, 502, 200}},
		"another product":        {Fault{Steps: two, Match: Match{Product: "AIR-MTN-001"}}, []int{200}},
		"this product":           {Fault{Steps: two, Match: Match{Product: "AIR-VOD-001"}}, []int{500, 502, 200}},
		"another endpoint":       {Fault{Steps: two, Match: Match{Endpoint: EndpointLookup}}, []int{200}},
		"any endpoint":           {Fault{Steps: two, Match: Match{Endpoint: EndpointAny}}, []int{500, 502, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.order(test.fault)
			for i, want := range test.want {
				if got := h.purchase("ref-1").status; got != want {
					t.Errorf("call %d: got %d, want %d", i+1, got, want)
				}
			}
			want := 1
			if test.fault.Times == -1 {
				want = 0
			}
			equal(t, "vends", h.entry("ref-1").Vends, want)
		})
	}
}

func TestFaultForEachReference(t *testing.T) {
	h := newHarness(t)
	h.order(Fault{Match: Match{Prefix: "r"}, Steps: []Step{{Status: 500}}, EachReference: true})
	for _, want := range []struct {
		reference string
		status    int
	}{{"r1", 500}, {"r2", 500}, {"r1", 200}, {"r2", 200}, {"x", 200}} {
		equal(t, want.reference, h.purchase(want.reference).status, want.status)
	}
	equal(t, "faults left", len(h.sim.Faults()), 1)
	h.sim.ClearFaults()
	equal(t, "faults left", len(h.sim.Faults()), 0)
}

func TestFaultsStrikeInOrder(t *testing.T) {
	h := newHarness(t)
	h.order(Fault{Steps: []Step{{Status: 500}}}, Fault{Steps: []Step{{Status: 501}}})
	equal(t, "first", h.purchase("r").status, 500)
	equal(t, "second", h.purchase("r").status, 501)
	equal(t, "third", h.purchase("r").status, 200)
}

func TestFaultsOnEveryEndpoint(t *testing.T) {
	calls := map[Endpoint]func(*harness) answer{
		EndpointToken: func(h *harness) answer {
			return h.call("POST", "/auth/token", `{"username":"acme","password":"acme-secret"}`)
		},
		EndpointRefresh:      func(h *harness) answer { return h.call("POST", "/auth/token/refresh", `{"refreshToken":"x"}`) },
		EndpointPurchase:     func(h *harness) answer { return h.purchase("r") },
		EndpointTransactions: func(h *harness) answer { return h.poll() },
		EndpointProducts:     func(h *harness) answer { return h.call("GET", "/merchants/1001/products", "") },
		EndpointCategories:   func(h *harness) answer { return h.call("GET", "/products/categories", "") },
		EndpointFields:       func(h *harness) answer { return h.call("GET", "/products/categories/4/fields", "") },
		EndpointLookup:       func(h *harness) answer { return h.call("POST", "/lookup/electricity", `{"meterNumber":"00001100000"}`) },
	}
	for endpoint, call := range calls {
		t.Run(string(endpoint), func(t *testing.T) {
			h := newHarness(t)
			h.order(Fault{Match: Match{Endpoint: endpoint}, Steps: []Step{
				{Status: 503}, {Status: 429}, {Answer: AnswerReset}, {Answer: AnswerGarbage, Body: "{"},
				{Answer: AnswerTruncated}, {Code: "1202"}, {Answer: AnswerRedirect, Location: "/elsewhere"},
				{Answer: AnswerOversized, Size: 1000},
			}})
			equal(t, "503", call(h).status, 503)
			equal(t, "429", call(h).status, 429)
			if a := call(h); !isReset(a.err) {
				t.Errorf("reset: %v", a.err)
			}
			equal(t, "garbage", string(call(h).body), "{")
			if a := call(h); !errors.Is(a.readErr, io.ErrUnexpectedEOF) {
				t.Errorf("truncated: %v", a.readErr)
			}
			equal(t, "code", call(h).code(), "1202")
			equal(t, "location", call(h).header.Get("Location"), "/elsewhere")
			if a := call(h); len(a.body) < 1000 || a.readErr != nil {
				t.Errorf("oversized: %d bytes, %v", len(a.body), a.readErr)
			}
			equal(t, "faults left", len(h.sim.Faults()), 0)
		})
	}
}

func TestLatencyAndTimeout(t *testing.T) {
	h := newHarness(t)
	h.order(Fault{Steps: []Step{{Latency: Duration(time.Minute)}}})
	answered := make(chan answer)
	go func() { answered <- h.purchase("slow") }()
	waitFor(h, func() bool { return h.clock.Sleepers() == 1 })
	h.clock.Advance(time.Minute)
	equal(t, "code", (<-answered).code(), "0")

	ctx, cancel := context.WithCancel(context.Background())
	for reference, want := range map[string]State{"sim-timeout-1": "", "sim-timeout-after-1": Completed} {
		go func() { answered <- h.callContext(ctx, "POST", "/purchase", body(reference, nil)) }()
		waitFor(h, func() bool { e, ok := h.sim.Entry("acme", reference); return ok && e.Refused+e.Acted > 0 })
		equal(t, reference, h.entry(reference).Status, want)
	}
	cancel()
	for range 2 {
		if a := <-answered; !errors.Is(a.err, context.Canceled) {
			t.Errorf("got %v, want the context's error", a.err)
		}
	}
}

// waitFor yields until a condition holds; the test's own time limit ends it.
func waitFor(h *harness, holds func() bool) {
	for !holds() {
		select {
		case <-h.t.Context().Done():
			h.t.Fatal("the condition never held")
		default:
			runtime.Gosched()
		}
	}
}

func TestCallerLeavesDuringLatency(t *testing.T) {
	h := newHarness(t)
	h.order(Fault{Steps: []Step{{Latency: Duration(time.Minute)}}})
	ctx, cancel := context.WithCancel(context.Background())
	answered := make(chan answer)
	go func() { answered <- h.callContext(ctx, "POST", "/purchase", body("r", nil)) }()
	waitFor(h, func() bool { return h.clock.Sleepers() == 1 })
	cancel()
	if a := <-answered; !errors.Is(a.err, context.Canceled) {
		t.Errorf("got %v", a.err)
	}
	equal(t, "refused", h.entry("r").Refused, 1)
	equal(t, "sleepers", h.clock.Sleepers(), 0)
}

func TestCloseReleasesHungCalls(t *testing.T) {
	for _, sockets := range []bool{false, true} {
		h := newHarness(t)
		if sockets {
			h.overSockets()
		}
		h.order(Fault{Steps: []Step{{Answer: AnswerHang}}, Times: -1},
			Fault{Match: Match{Endpoint: EndpointTransactions}, Steps: []Step{{Latency: Duration(time.Hour)}}})
		answered := make(chan answer)
		go func() { answered <- h.purchase("r") }()
		go func() { answered <- h.poll() }()
		waitFor(h, func() bool {
			e, _ := h.sim.Entry("acme", "r")
			return e.Refused == 1 && h.clock.Sleepers() == 1
		})
		h.sim.Close()
		h.sim.Close()
		for range 2 {
			if a := <-answered; !isReset(a.err) {
				t.Errorf("got %d and %v, want a reset", a.status, a.err)
			}
		}
	}
}

func TestOrderRefusesNonsense(t *testing.T) {
	h := newHarness(t)
	for name, fault := range map[string]Fault{
		"no steps":          {},
		"unknown name":      {Use: "pendings"},
		"name with rest":    {Use: "pending-17"},
		"name and steps":    {Use: "pending", Steps: []Step{{}}},
		"endpoint":          {Match: Match{Endpoint: "other"}, Steps: []Step{{}}},
		"negative times":    {Times: -2, Steps: []Step{{}}},
		"stored":            {Steps: []Step{{Stored: "perhaps"}}},
		"answer":            {Steps: []Step{{Answer: "shout"}}},
		"receipt":           {Steps: []Step{{Receipt: "paper"}}},
		"then":              {Steps: []Step{{Then: Pending}}},
		"shape":             {Steps: []Step{{Shape: "round"}}},
		"status":            {Steps: []Step{{Status: 100}}},
		"size":              {Steps: []Step{{Size: -1}}},
		"negative duration": {Steps: []Step{{For: -1}}},
	} {
		if err := h.sim.Order(Fault{Steps: []Step{{Status: http.StatusTeapot}}}, fault); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	equal(t, "faults", len(h.sim.Faults()), 0)
}
