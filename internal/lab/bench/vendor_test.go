package bench

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/vendor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startVendor(t *testing.T, latency time.Duration) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&leanVendor{latency: latency}).serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// The real client understands the lean vendor, on one connection after another
// call, and the vendor counts what it was asked.
func TestLeanVendor(t *testing.T) {
	url := startVendor(t, 30*time.Millisecond)
	client, err := vendor.New(vendor.Config{Account: account, BaseURL: url, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range 3 {
		r := asked(i)
		start := time.Now()
		outcome := client.Purchase(t.Context(), reference(i), r.Body)
		if outcome.Kind != purchase.Completed || outcome.TransactionID != "VAS-"+reference(i) || len(outcome.Receipt) == 0 {
			t.Errorf("%+v", outcome)
		}
		if took := time.Since(start); took < 30*time.Millisecond {
			t.Errorf("answered after %s", took)
		}
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(url + "/stats")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	var stats vendorStats
	if err := json.Unmarshal(text, &stats); err != nil || stats.Calls != 3 || time.Since(time.Unix(0, stats.First)) > time.Minute {
		t.Errorf("%s: %v", text, err)
	}
	if err != nil {
		t.Error(err)
	}
}

// What is no HTTP ends the connection, and the vendor goes on.
func TestLeanVendorOnNonsense(t *testing.T) {
	url := startVendor(t, 0)
	for _, text := range []string{
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
		strings.Repeat("x", 10<<10),
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("%.40q: %d bytes, %v", text, n, err)
		}
		_ = conn.Close()
	}
}

func TestReferenceOf(t *testing.T) {
	r := asked(7)
	if got := string(referenceOf(r.Body)); got != reference(7) {
		t.Errorf("%q", got)
	}
	for _, none := range []string{"", "{}", `{"merchantReference":"open`} {
		if got := referenceOf([]byte(none)); got != nil {
			t.Errorf("%q: %q", none, got)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// Until the clock of the system shows it.
	for late := time.Now().Add(20 * time.Second); time.Now().Before(late); {
		after, err := cpuOf(os.Getpid())
		if err != nil || after < before {
			t.Fatalf("%s after %s: %v", after, before, err)
		}
		if after > before {
			if peak, err := peakOf(os.Getpid()); err != nil || peak < 0 || peak > 1<<40 {
				t.Errorf("peak %d: %v", peak, err)
			}
			return
		}
	}
	t.Error("working takes no processor time")
}
