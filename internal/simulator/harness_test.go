package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 4, 21, 12, 57, 51, 831786006, time.UTC)

const base = "http://vendor.test/api/v1"

// harness is a simulator, a clock that stands still, and a client.
type harness struct {
	t     *testing.T
	sim   *Simulator
	clock *ManualClock
	http  *http.Client
	base  string
	token string
}

// newHarness calls the simulator in process.
func newHarness(t *testing.T, change ...func(*Config)) *harness {
	t.Helper()
	clock := NewManualClock(start)
	cfg := Config{Clock: clock, KeepBodies: true}
	for _, f := range change {
		f(&cfg)
	}
	sim, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	h := &harness{t: t, sim: sim, clock: clock, base: base, http: &http.Client{
		Transport:     sim.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	h.login("acme", "acme-secret")
	return h
}

// overSockets moves the harness to a real server.
func (h *harness) overSockets() *harness {
	h.t.Helper()
	server := httptest.NewServer(h.sim)
	transport := &http.Transport{}
	h.t.Cleanup(func() {
		transport.CloseIdleConnections()
		h.sim.Close()
		server.Close()
	})
	h.base = server.URL + "/api/v1"
	h.http.Transport = transport
	return h
}

// answer is what a call brought.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	err     error // of the call
	readErr error // of the body
}

// field digs a value out of the body by names; numbers are json.Number.
func (a answer) field(path ...string) any {
	var v any
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil
	}
	for _, name := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

func (a answer) code() any { return a.field("responseCode") }

func (h *harness) call(method, path, body string) answer {
	return h.callContext(context.Background(), method, path, body)
}

func (h *harness) callContext(ctx context.Context, method, path, body string) answer {
	h.t.Helper()
	target := path
	if !strings.HasPrefix(path, "http") {
		target = h.base + path
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if h.token != "" {
		req.Header.Set("Authorization", "Bearer "+h.token)
	}
	resp, err := h.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	read, readErr := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: read, readErr: readErr}
}

func (h *harness) login(username, password string) {
	h.t.Helper()
	a := h.call("POST", "/auth/token", `{"username":"`+username+`","password":"`+password+`"}`)
	if token, ok := a.field("data", "token").(string); ok {
		h.token = token
	} else if token, ok := a.field("accessToken").(string); ok {
		h.token = token
	} else {
		h.t.Fatalf("login as %s: %d %s %v", username, a.status, a.body, a.err)
	}
}

// body is a purchase of airtime with changes; a nil value removes a field.
func body(reference string, changes map[string]any) string {
	fields := map[string]any{
		"productCode": "AIR-VOD-001", "amount": json.Number("50.00"), "mobileNumber": "+27821234567",
		"paymentMethod": "cash", "channelId": "web", "merchantReference": reference,
	}
	maps.Copy(fields, changes)
	maps.DeleteFunc(fields, func(_ string, v any) bool { return v == nil })
	return string(marshal(fields))
}

func (h *harness) purchase(reference string) answer {
	h.t.Helper()
	return h.call("POST", "/purchase", body(reference, nil))
}

// poll asks /transactions as acme.
func (h *harness) poll(params ...string) answer {
	h.t.Helper()
	q := url.Values{"userType": {"MERCHANT"}, "userTypeId": {"1001"}}
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	return h.call("POST", "/transactions?"+q.Encode(), "")
}

// items are the items of a page or of a bare array.
func (a answer) items() []map[string]any {
	v := a.field()
	if page, ok := v.(map[string]any); ok {
		v = page["content"]
	}
	list, _ := v.([]any)
	items := make([]map[string]any, 0, len(list))
	for _, item := range list {
		items = append(items, item.(map[string]any))
	}
	return items
}

func (h *harness) order(faults ...Fault) {
	h.t.Helper()
	if err := h.sim.Order(faults...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) entry(reference string) Entry {
	h.t.Helper()
	e, ok := h.sim.Entry("acme", reference)
	if !ok {
		h.t.Fatalf("no entry for %s", reference)
	}
	return e
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v (%T), want %v (%T)", what, got, got, want, want)
	}
}

func isReset(err error) bool {
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && strings.Contains(err.Error(), "connection reset")
}
