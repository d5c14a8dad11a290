package simulator

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// expectation is what a caller sees of a fault, and what is stored behind it.
type expectation struct {
	status  int    // 0: no answer, the connection is reset
	code    any    // responseCode of a flat answer
	inBody  string // somewhere in the body
	readErr error
	stored  State // after the call; empty: nothing
	told    bool  // a repeat of the call is counted as a repost of an open purchase
}

var conventionTable = map[string]expectation{
	"flat":                 {status: 200, code: "0", stored: Completed},
	"enveloped":            {status: 200, inBody: `"responseCode":0,`, stored: Completed},
	"failed":               {status: 200, code: "1203", stored: Failed},
	"failed-enveloped":     {status: 200, inBody: `{"success":false,"error":{"code":1203,`, stored: Failed},
	"rejected":             {status: 200, code: "1203", inBody: `"rejectionCode":"1203","rejectionReason"`, stored: Failed},
	"fail-1103":            {status: 200, code: "1103", stored: Failed},
	"fail-7777":            {status: 200, code: "7777", stored: Failed},
	"answer-1203":          {status: 200, code: "1203", stored: Completed},
	"code-999":             {status: 200, code: "999", stored: Failed},
	"code-1006":            {status: 200, code: "1006", stored: Completed},
	"code-1200":            {status: 200, code: "1200"},
	"code-1201":            {status: 200, code: "1201"},
	"code-1202":            {status: 200, code: "1202"},
	"code-1204":            {status: 200, code: "1204", stored: Completed},
	"code-1205":            {status: 200, code: "1205", stored: Completed},
	"code-1206":            {status: 200, code: "1206", stored: Failed},
	"code-4711":            {status: 200, code: "4711", stored: Completed},
	"pending":              {status: 200, code: "PENDING", stored: Pending, told: true},
	"pending-failed":       {status: 200, code: "PENDING", stored: Pending, told: true},
	"pending-forever":      {status: 200, code: "PENDING", stored: Pending, told: true},
	"pending-late":         {status: 200, code: "PENDING", stored: Pending, told: true},
	"pending-enveloped":    {status: 200, inBody: `{"success":true,"data":{"transactionId":"VAS-000000000001","status":"PENDING"`, stored: Pending, told: true},
	"processing":           {status: 200, code: "PROCESSING", stored: Processing, told: true},
	"processing-failed":    {status: 200, code: "PROCESSING", stored: Processing, told: true},
	"accepted":             {status: 202, code: "PENDING", stored: Pending, told: true},
	"accepted-failed":      {status: 202, code: "PENDING", stored: Pending, told: true},
	"accepted-empty":       {status: 202, stored: Pending, told: true},
	"late":                 {stored: Completed},
	"receipt-repost":       {status: 200, code: "PENDING", stored: Pending, told: true},
	"receipt-none":         {status: 200, code: "PENDING", stored: Pending, told: true},
	"reset":                {},
	"reset-after":          {stored: Completed},
	"reset-after-failed":   {stored: Failed},
	"reset-after-pending":  {stored: Pending},
	"401":                  {status: 401, code: "401"},
	"403":                  {status: 403, code: "403"},
	"400":                  {status: 400, code: "1300"},
	"409":                  {status: 409, code: "1006"},
	"409-after":            {status: 409, code: "1006", stored: Completed},
	"429":                  {status: 429, inBody: `{"error":"Too Many Requests","message":"Rate limit exceeded for /purchase"}`},
	"500":                  {status: 500, inBody: "Internal Server Error"},
	"503-after":            {status: 503, inBody: "Service Unavailable", stored: Completed},
	"garbage":              {status: 200, inBody: "<html>", stored: Completed},
	"garbage-before":       {status: 200, inBody: "<html>"},
	"truncated":            {status: 200, readErr: io.ErrUnexpectedEOF, stored: Completed},
	"empty":                {status: 200, stored: Completed},
	"oversized":            {status: 200, inBody: `{"padding":"xxx`, stored: Completed},
	"redirect":             {status: 307},
	"contradiction":        {status: 200, code: "1203", inBody: `"successful":true`, stored: Completed},
	"contradiction-failed": {status: 200, code: "1203", inBody: `"successful":true`, stored: Failed},
	"forget":               {status: 200, code: "0", stored: Completed},
}

func TestReferenceConvention(t *testing.T) {
	for _, name := range FaultNames() {
		if _, ok := conventionTable[name]; !ok && name != "slow" && !strings.HasPrefix(name, "timeout") {
			t.Errorf("the table has no row for %s", name)
		}
	}
	for name, want := range conventionTable {
		for _, sockets := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				h := newHarness(t)
				if sockets {
					h.overSockets()
				}
				reference := "demo-sim-" + name + "-0017"
				got := h.purchase(reference)
				checkAnswer(t, got, want)
				e := h.entry(reference)
				equal(t, "stored", e.Status, want.stored)
				equal(t, "calls", e.Calls, 1)
				h.purchase(reference)
				e = h.entry(reference)
				equal(t, "reposted while open", e.RepostedWhileOpen, map[bool]int{true: 1}[want.told])
				if want.stored == "" {
					equal(t, "stored by the second call", e.Status, Completed)
				}
				if name != "forget" && e.Vends > 1 {
					t.Errorf("%d vends", e.Vends)
				}
			})
		}
	}
}

func checkAnswer(t *testing.T, got answer, want expectation) {
	t.Helper()
	if want.status == 0 {
		if !isReset(got.err) {
			t.Errorf("got %d and %v, want a reset connection", got.status, got.err)
		}
		return
	}
	if got.err != nil {
		t.Fatal(got.err)
	}
	equal(t, "status", got.status, want.status)
	if !errors.Is(got.readErr, want.readErr) {
		t.Errorf("reading the body: got %v, want %v", got.readErr, want.readErr)
	}
	if want.code != nil {
		equal(t, "code", got.code(), want.code)
	}
	if !strings.Contains(string(got.body), want.inBody) {
		t.Errorf("%q does not hold %q", got.body, want.inBody)
	}
	if got.header.Get("Retry-After") != "" {
		t.Error("the vendor never sends Retry-After")
	}
}

func TestConventionNames(t *testing.T) {
	for reference, want := range map[string]struct {
		found    bool
		endpoint Endpoint
		times    int
		step     Step
	}{
		"order-17":                 {},
		"sim-":                     {},
		"sim-nothing":              {},
		"sim-pendings":             {},
		"sim-399":                  {},
		"sim-5000":                 {},
		"sim-503":                  {true, EndpointPurchase, 1, Step{Status: 503}},
		"a-sim-503-x3":             {true, EndpointPurchase, 3, Step{Status: 503}},
		"sim-503-x0-b":             {true, EndpointPurchase, -1, Step{Status: 503}},
		"sim-503-x3y":              {true, EndpointPurchase, 1, Step{Status: 503}},
		"sim-503-after-x2":         {true, EndpointPurchase, 2, Step{Status: 503, Stored: StoredCompleted}},
		"sim-503-aftermath":        {true, EndpointPurchase, 1, Step{Status: 503}},
		"sim-fail-1203-9":          {true, EndpointPurchase, 1, Step{Stored: StoredFailed, Code: "1203"}},
		"sim-pending-0001":         {true, EndpointPurchase, 1, Step{Stored: StoredPending, For: Duration(time.Second)}},
		"sim-pending-failed_0001":  {true, EndpointPurchase, 1, Step{Stored: StoredPending, For: Duration(time.Second), Then: Failed, ThenCode: "1203"}},
		"sim-poll-500-x2":          {true, EndpointTransactions, 2, Step{Status: 500}},
		"sim-poll-":                {},
		"sim-forget":               {true, EndpointPurchase, -1, Step{Forget: true}},
		"x sim-reset-after-failed": {true, EndpointPurchase, 1, Step{Answer: AnswerReset, Stored: StoredFailed, Code: "1203"}},
	} {
		t.Run(reference, func(t *testing.T) {
			f, ok := referenceFault(reference, Duration(time.Second))
			equal(t, "found", ok, want.found)
			if !ok {
				return
			}
			equal(t, "endpoint", f.endpoint, want.endpoint)
			equal(t, "times", f.times, want.times)
			equal(t, "step", f.steps[0], want.step)
		})
	}
}

func TestReferenceConventionCanBeSwitchedOff(t *testing.T) {
	off := false
	h := newHarness(t, func(c *Config) { c.ReferenceFaults = &off })
	equal(t, "code", h.purchase("sim-500").code(), "0")
}

func TestConventionTimes(t *testing.T) {
	h := newHarness(t)
	for i, want := range []int{503, 503, 200, 200} {
		if got := h.purchase("sim-503-x2").status; got != want {
			t.Errorf("call %d: got %d, want %d", i, got, want)
		}
	}
}

func TestForgetVendsAgain(t *testing.T) {
	h := newHarness(t)
	first := h.purchase("sim-forget").field("transactionId")
	second := h.purchase("sim-forget").field("transactionId")
	if first == second {
		t.Error("both calls have one transaction")
	}
	e := h.entry("sim-forget")
	equal(t, "vends", e.Vends, 2)
	equal(t, "digests", len(e.Digests), 1)
	equal(t, "second vends", h.sim.Stats().SecondVends, int64(1))
}

func TestPollFaultOfAReference(t *testing.T) {
	h := newHarness(t)
	id := h.purchase("sim-poll-500").field("transactionId").(string)
	equal(t, "first poll", h.poll("transactionId", id).status, 500)
	equal(t, "second poll", len(h.poll("transactionId", id).items()), 1)
}
