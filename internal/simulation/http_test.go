package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// transport is a process's way to the vendor: what the real client's connections
// are. It calls the hooks that prove whether anything was sent.
type transport struct {
	process *process
	vendor  *vendorModel
	// posting, where set, is told when a purchase call begins, and by the function
	// that it returns when the call is over.
	posting func(p *process, reference, value string) (over func())
}

var (
	errDial = errors.New("simulation: no connection")
	errCut  = errors.New("simulation: the connection was cut")
)

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	switch path := request.URL.Path; {
	case path == "/auth/token" || path == "/auth/token/refresh":
		return t.exchange(request, "login", "", func(*dice) (int, string) { return t.login() })
	case path == "/transactions":
		q := request.URL.Query()
		id, reference := q.Get("transactionId"), q.Get("merchantReference")
		return t.exchange(request, "transactions", strings.TrimPrefix(id, "T-")+reference, func(d *dice) (int, string) { return t.list(d, id, reference) })
	}
	var asked struct {
		Reference string `json:"merchantReference"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		panic(err)
	}
	if strings.HasPrefix(request.URL.Path, "/lookup/") {
		return t.exchange(request, "lookup", asked.Reference, func(*dice) (int, string) { return t.lookUp(asked.Reference) })
	}
	value := value(body)
	if t.posting != nil {
		defer t.posting(t.process, asked.Reference, value)()
	}
	return t.exchange(request, "purchase", asked.Reference, func(d *dice) (int, string) { return t.purchase(d, asked.Reference, value) })
}

// exchange is one call, with all that can befall it on the way.
func (t *transport) exchange(request *http.Request, name, key string, act func(*dice) (int, string)) (*http.Response, error) {
	f := t.process.fate
	d := f.dice(t.process.name, "call", name, key)
	hooks := httptrace.ContextClientTrace(request.Context())
	hooks.GetConn("vendor")
	calm := f.isCalm()
	if f.isAway("vendor") || !calm && d.intn(200) < f.weather.vendor {
		f.note(t.process.name, name, key, "no connection")
		return nil, errDial
	}
	hooks.GotConn(httptrace.GotConnInfo{})
	status, answer := 0, ""
	err := t.process.effect(request.Context(), "vendor", name, key, func() error {
		status, answer = act(d)
		return nil
	})
	if err != nil {
		return nil, errors.Join(errCut, err)
	}
	if !calm {
		time.Sleep(d.upTo(time.Second))
	}
	var reader io.Reader = strings.NewReader(answer)
	// It may break off in the middle; not that of a 202, which would hold no id then.
	if !calm && status != 202 && d.intn(400) < f.weather.vendor {
		reader = io.MultiReader(io.LimitReader(reader, int64(len(answer)/2)), brokenReader{})
	}
	f.note(t.process.name, name+" answer", key, fmt.Sprintf("%d %s", status, answer))
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(reader), ContentLength: -1, Request: request,
	}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (t *transport) login() (int, string) {
	f := t.process.fate
	if f.weather.logins && !f.isCalm() && f.dice(t.process.name, "login").percent(20) {
		return 500, ""
	}
	t.vendor.mu.Lock()
	defer t.vendor.mu.Unlock()
	if t.vendor.isLocked() {
		return 401, `{"responseCode":"401","responseMessage":"m"}`
	}
	t.vendor.tokens++
	return 200, fmt.Sprintf(`{"accessToken":"token-%d","refreshToken":"r","expiresIn":1800,"userTypeId":"1"}`, t.vendor.tokens)
}

// disturbed is an answer that says nothing of the purchase, or 0. acted says
// whether the vendor has done what it was asked all the same.
func (t *transport) disturbed(d *dice) (status int, body string, acted bool) {
	f := t.process.fate
	if f.isCalm() {
		return 0, "", false
	}
	t.vendor.mu.Lock()
	locked := t.vendor.isLocked()
	t.vendor.mu.Unlock()
	if locked {
		return 401, `{"responseCode":"401","responseMessage":"m"}`, false
	}
	if !d.percent(f.weather.vendor) {
		return 0, "", false
	}
	switch acted = d.percent(50); d.intn(10) {
	case 0:
		return 429, `{"error":"Too Many Requests","message":"Rate limit exceeded for /purchase"}`, false
	case 1:
		if f.weather.logins {
			return 401, `{"responseCode":"401","responseMessage":"m"}`, false
		}
		return 503, "", acted
	case 2:
		return 500, `{"responseCode":"1203","successful":false}`, acted
	case 3:
		return 408, "", acted
	case 4:
		return 409, "", acted
	case 5:
		return 200, `{"responseCode":"` + []string{"1006", "1204", "1205"}[d.intn(3)] + `","successful":false}`, acted
	case 6:
		return 200, `{"responseCode":"` + []string{"1200", "1201", "1202"}[d.intn(3)] + `","successful":false}`, acted
	case 7:
		return 200, `<html>` + strings.Repeat("x", d.intn(3)), acted
	case 8:
		return 403, `{"responseCode":"403","responseMessage":"m"}`, false
	default:
		return 200, `{"responseCode":"0","successful":false}`, acted
	}
}

func (t *transport) purchase(d *dice, reference, value string) (int, string) {
	status, body, acted := t.disturbed(d)
	t.vendor.mu.Lock()
	forbids := t.vendor.forbidsAll()
	t.vendor.mu.Unlock()
	if forbids && status != 401 {
		status, body, acted = 403, `{"responseCode":"403","responseMessage":"m"}`, false
	}
	if status == 403 {
		t.vendor.mu.Lock()
		t.vendor.forbidden[reference] = true
		t.vendor.mu.Unlock()
	}
	if status != 0 && !acted {
		return status, body
	}
	tx := t.vendor.act(reference, value)
	if status != 0 {
		return status, body
	}
	return tx.answer(d, t.process.fate.weather.bears)
}

func (t *transport) list(d *dice, id, reference string) (int, string) {
	if status, body, _ := t.disturbed(d); status != 0 {
		return status, body
	}
	items := []string{}
	if tx, there := t.vendor.find(id, reference); there {
		items = append(items, tx.item(t.process.fate.weather.bears))
	}
	if d.percent(30) { // the filter is not documented: others are shown too
		items = append(items, `{"status":{"code":0},"transactionId":"another","merchantReference":"another"}`)
	}
	return 200, `{"content":[` + strings.Join(items, ",") + `],"page":0}`
}

func (t *transport) lookUp(reference string) (int, string) {
	f := t.process.fate
	if newDice(f.seed, "look-up", reference).percent(30) {
		t.vendor.mu.Lock()
		t.vendor.refused[reference] = true
		t.vendor.mu.Unlock()
		return 200, `{"responseCode":"1101","successful":false}`
	}
	return 200, `{"responseCode":"0","successful":true,"data":{"customer":"x"}}`
}
