package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A caller that hangs up over a real connection ends the handler too: if it did
// not, closing the server would wait for ever.
func TestCallerHangsUp(t *testing.T) {
	h := newHarness(t).overSockets()
	ctx, cancel := context.WithCancel(context.Background())
	answered := make(chan answer)
	go func() { answered <- h.callContext(ctx, "POST", "/purchase", body("sim-timeout-after", nil)) }()
	waitFor(h, func() bool { _, ok := h.sim.Entry("acme", "sim-timeout-after"); return ok })
	cancel()
	if a := <-answered; !errors.Is(a.err, context.Canceled) {
		t.Errorf("got %v", a.err)
	}
	waitFor(h, func() bool { return h.sim.Stats().Calls[EndpointPurchase]["none"] == 1 })
	equal(t, "stored", h.entry("sim-timeout-after").Status, Completed)
}

func TestResetOverTLS(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		h := newHarness(t)
		server := httptest.NewUnstartedServer(h.sim)
		server.EnableHTTP2 = http2
		server.StartTLS()
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
			ForceAttemptHTTP2: http2,
		}
		h.http.Transport = transport
		h.base = server.URL + "/api/v1"
		a := h.purchase("sim-reset-after")
		if a.err == nil {
			t.Errorf("HTTP/2 %v: answered with %d", http2, a.status)
		}
		equal(t, "stored", h.entry("sim-reset-after").Status, Completed)
		equal(t, "the next call", h.purchase("sim-reset-after").code(), "0")
		transport.CloseIdleConnections()
		server.Close()
	}
}
