package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// Every shape of answer and every kind of outcome, each to its end.
func TestEveryOutcome(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{Transactions: simulator.Transactions{BearReference: true, FilterByReference: true}}, "")
	addr, _ := s.daemon("serve")
	type want struct {
		status purchase.Status
		code   string
		class  purchase.Class
		source purchase.Source // "" where more than one is right
	}
	completed := func(source purchase.Source) want { return want{purchase.StatusCompleted, "0", "", source} }
	failed := func(code string, class purchase.Class, source purchase.Source) want {
		return want{purchase.StatusFailed, code, class, source}
	}
	cases := map[string]want{
		"sim-flat":               completed("purchase"),
		"sim-enveloped":          completed("purchase"),
		"sim-slow":               completed("purchase"),
		"sim-failed":             failed("1203", "provider", "purchase"),
		"sim-failed-enveloped":   failed("1203", "provider", "purchase"),
		"sim-rejected":           failed("1203", "provider", "purchase"),
		"sim-fail-999":           failed("999", "other", "purchase"),
		"sim-fail-1000":          failed("1000", "validation", "purchase"),
		"sim-fail-1009":          failed("1009", "account", "purchase"),
		"sim-fail-1103":          failed("1103", "balance", "purchase"),
		"sim-fail-1104":          failed("1104", "account", "purchase"),
		"sim-fail-1206":          failed("1206", "provider", "purchase"),
		"sim-fail-1300":          failed("1300", "validation", "purchase"),
		"sim-code-1200":          completed("purchase"),
		"sim-code-1201":          completed("purchase"),
		"sim-code-1202":          completed("purchase"),
		"sim-code-1204":          completed("poll"),
		"sim-code-1205":          completed("poll"),
		"sim-code-1006":          completed("poll"),
		"sim-code-4711":          completed("purchase"),
		"sim-pending":            completed("poll"),
		"sim-processing":         completed("poll"),
		"sim-pending-enveloped":  completed("poll"),
		"sim-pending-failed":     failed("999", "other", "poll"),
		"sim-processing-failed":  failed("999", "other", "poll"),
		"sim-pending-late":       completed("poll"),
		"sim-accepted":           completed("poll"),
		"sim-accepted-failed":    failed("999", "other", "poll"),
		"sim-accepted-empty":     completed("poll"),
		"sim-late":               completed("purchase"),
		"sim-receipt-repost":     completed("poll"),
		"sim-receipt-none":       completed("poll"),
		"sim-reset":              completed("purchase"),
		"sim-reset-after":        completed("purchase"),
		"sim-reset-after-failed": failed("1203", "provider", "purchase"),
		"sim-reset-after-x0":     completed("poll"),
		"sim-timeout":            completed("purchase"),
		"sim-timeout-after":      completed("purchase"),
		"sim-401":                completed("purchase"),
		"sim-403":                failed("403", "authorization", "purchase"),
		"sim-409":                completed("purchase"),
		"sim-409-after":          completed("poll"),
		"sim-429":                completed("purchase"),
		"sim-429-x4":             completed("purchase"),
		"sim-500":                completed("purchase"),
		"sim-503-after":          completed("purchase"),
		"sim-503-after-x0":       completed("poll"),
		"sim-garbage":            completed("purchase"),
		"sim-garbage-before":     completed("purchase"),
		"sim-truncated":          completed("purchase"),
		"sim-empty":              completed("purchase"),
		"sim-oversized":          completed("purchase"),
		"sim-redirect":           completed("purchase"),
		"sim-contradiction":      completed("purchase"),
	}
	for ref := range cases {
		s.publish("acme", electricity(ref))
	}
	for ref, want := range cases {
		r := s.result("acme", ref)
		var class purchase.Class
		if r.Failure != nil {
			class = r.Failure.Class
		}
		if r.Status != want.status || r.ResponseCode != want.code || class != want.class || (want.source != "" && r.Source != want.source) {
			t.Errorf("%s: %s %s %q by %s, want %+v", ref, r.Status, r.ResponseCode, class, r.Source, want)
		}
		if r.Status == purchase.StatusCompleted {
			// Where every answer of /purchase is lost the receipt is not to be had.
			none := ref == "sim-receipt-none" || strings.HasSuffix(ref, "-x0")
			if has := len(r.Receipt) > 0; has == none {
				t.Errorf("%s: receipt %s", ref, r.Receipt)
			}
			if r.TransactionID == "" {
				t.Errorf("%s: no transaction", ref)
			}
		}
		e := s.entry("acme", ref)
		if acted := e.Calls - e.Unauthorized - e.Limited; r.Attempts != acted {
			t.Errorf("%s: %d attempts, the vendor counts %d", ref, r.Attempts, acted)
		}
		if e.RepostedWhileOpen > 0 {
			t.Errorf("%s was posted again while it was open", ref)
		}
	}
	s.settled()
	if got := s.vendor.Stats(); got.IdempotencyKeys != 0 || got.Redirected != 0 || got.SecondVends != 0 {
		t.Errorf("the vendor saw %+v", got)
	}
	if code, body := get(t, "http://"+addr+"/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %d %s", code, body)
	}
	if n := metric(t, addr, `vendstream_results_total{account="acme",class="",source="poll",status="COMPLETED"}`); n < 5 {
		t.Errorf("metrics tell of %v results by polling", n)
	}
	for _, secret := range []string{"acme-secret", "000001020001", "sim-flat", "12341234123412341234"} {
		if _, body := get(t, "http://"+addr+"/metrics"); strings.Contains(body, secret) || strings.Contains(s.logs.String(), secret) {
			t.Errorf("%q is in the logs or metrics", secret)
		}
	}
}

// The result is what the vendor said, with all that the contract adds to it.
func TestResultMessage(t *testing.T) {
	s := newStack(t, simulator.Config{}, "")
	s.daemon("serve")
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	const ref = "réf 1/%" // neither a token nor ASCII
	before := time.Now().Add(-time.Second)
	s.publish("acme", electricity(ref), "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01", "Nats-Msg-Id", "acme/1")
	r := s.result("acme", ref)

	stream, err := s.js.Stream(t.Context(), "PURCHASES_RESULTS")
	if err != nil {
		t.Fatal(err)
	}
	token := "~csOpZiAxLyU"
	m, err := stream.GetLastMsgForSubject(t.Context(), "purchases.results.acme."+token)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Nats-Msg-Id": "acme/" + token, "ce-specversion": "1.0", "ce-type": "vendstream.purchase.completed",
		"ce-subject": "r%C3%A9f%201/%25", "content-type": "application/json",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"ce-id", "ce-source", "ce-time"} {
		if m.Header.Get(name) == "" {
			t.Errorf("header %s is missing", name)
		}
	}
	if got := m.Header.Get("traceparent"); !strings.HasPrefix(got, "00-"+trace+"-") || strings.Contains(got, "00f067aa0ba902b7") {
		t.Errorf("traceparent %s", got)
	}
	body, _ := s.vendor.Body("acme", ref)
	var sent map[string]json.RawMessage
	if err := json.Unmarshal(body, &sent); err != nil {
		t.Fatal(err)
	}
	if string(sent["amount"]) != "200.00" || string(sent["channelId"]) != `"7"` || string(sent["meterNumber"]) != `"000001020001"` {
		t.Errorf("the vendor got %s", body)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(m.Data, &fields); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"merchantReference": `"` + ref + `"`, "account": `"acme"`, "status": `"COMPLETED"`, "responseCode": `"0"`,
		"productCode": `"ELE-FLS-001"`, "amount": `"200.00"`, "channelId": `"7"`, "source": `"purchase"`, "attempts": "1",
	} {
		if got := string(fields[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if _, there := fields["failure"]; there {
		t.Error("failure stands in a COMPLETED result")
	}
	if !strings.HasPrefix(string(r.RequestDigest), "sha256:") || r.RequestedAt.Before(before) || r.ResolvedAt.Before(r.RequestedAt) {
		t.Errorf("%s, %s to %s", r.RequestDigest, r.RequestedAt, r.ResolvedAt)
	}
	if !strings.Contains(string(r.Receipt), "12341234123412341234") && !strings.Contains(string(r.Receipt), ".0000") {
		t.Errorf("numbers have lost their spelling: %s", r.Receipt)
	}
}

// What is wrong with single fields ends as FAILED, without a call.
func TestRefusedHere(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	s.daemon("serve")
	past := time.Now().Add(-time.Minute).Format(time.RFC3339)
	cases := map[string]struct {
		fields, expires string
		code            string
		class           purchase.Class
		source          purchase.Source
	}{
		"missing":  {`"productCode":"AIR-VOD-001","amount":5,"mobileNumber":"+27821234567"`, "", "1001", "validation", "validation"},
		"phone":    {`"productCode":"AIR-VOD-001","amount":5,"paymentMethod":"cash","mobileNumber":"0821234567"`, "", "1005", "validation", "validation"},
		"amount":   {`"productCode":"GAM-PSN-001","amount":"5,0","paymentMethod":"cash"`, "", "1004", "validation", "validation"},
		"zero":     {`"productCode":"GAM-PSN-001","amount":0,"paymentMethod":"cash"`, "", "1004", "validation", "validation"},
		"type":     {`"productCode":7,"amount":5,"paymentMethod":"cash"`, "", "1008", "validation", "validation"},
		"meter":    {`"productCode":"ELE-FLS-001","amount":5,"paymentMethod":"cash"`, "", "1001", "validation", "validation"},
		"expired":  {`"productCode":"GAM-PSN-001","amount":5,"paymentMethod":"cash"`, past, "EXPIRED", "expired", "expiry"},
		"deadline": {`"productCode":"GAM-PSN-001","amount":5,"paymentMethod":"cash"`, "tomorrow", "1008", "validation", "validation"},
	}
	for ref, c := range cases {
		var headers []string
		if c.expires != "" {
			headers = []string{publisher.HeaderExpiresAt, c.expires}
		}
		s.publish("acme", fmt.Sprintf(`{%s,"merchantReference":%q}`, c.fields, ref), headers...)
	}
	for ref, c := range cases {
		r := s.result("acme", ref)
		if r.Status != purchase.StatusFailed || r.ResponseCode != c.code || r.Failure.Class != c.class || r.Source != c.source || r.Attempts != 0 {
			t.Errorf("%s: %+v %+v", ref, r, r.Failure)
		}
		if e := s.entry("acme", ref); e.Calls != 0 {
			t.Errorf("%s reached the vendor", ref)
		}
	}
	s.settled()
}

// A purchase whose request, or account, asks for it is validated first.
func TestLookupFirst(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	s.replaceInConfig("{name: beta,", "{name: beta, lookup: {electricity: true},")
	s.daemon("serve")
	unknown := strings.Replace(electricity("unknown-meter"), "000001020001", "42", 1)
	s.publish("acme", electricity("asked"), publisher.HeaderLookup, "true")
	s.publish("acme", electricity("not-asked"))
	s.publish("beta", electricity("always"))
	s.publish("beta", unknown)
	for account, refs := range map[string][]string{"acme": {"asked", "not-asked"}, "beta": {"always"}} {
		for _, ref := range refs {
			r := s.result(account, ref)
			if r.Status != purchase.StatusCompleted || (len(r.Lookup) > 0) != (ref != "not-asked") {
				t.Errorf("%s: %s, look-up %s", ref, r.Status, r.Lookup)
			}
		}
	}
	r := s.result("beta", "unknown-meter")
	if r.Status != purchase.StatusFailed || r.Failure.Class != "lookup" || r.Source != "lookup" || r.ResponseCode != "1104" || r.Attempts != 0 {
		t.Errorf("%+v %+v", r, r.Failure)
	}
	if e := s.entry("beta", "unknown-meter"); e.Calls != 0 {
		t.Errorf("the vendor counts %+v", e)
	}
	s.settled()
}
