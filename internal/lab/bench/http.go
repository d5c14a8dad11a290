package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"
)

// HTTPOptions are what RunHTTP needs.
//
// Program is asked to be each client in turn, as
//
//	PROGRAM http --client NAME --url URL --ca FILE --in-flight N --calls M
//
// It posts to URL/warm, one body and then N at once, so that connections are there, then makes M
// calls of URL/purchase, N at a time, writes clientFigures as a line of JSON to
// standard output, and waits for SIGTERM.
type HTTPOptions struct {
	Study
	Program   string // "" builds internal/lab/others, from within this module's source
	Calls     int    // most that a run makes
	Latencies []time.Duration
	InFlight  []int
}

// httpClients are the clients; ratios are to the first.
var httpClients = []string{"net/http HTTP/1.1", "net/http HTTP/2", "fasthttp HTTP/1.1"}

// Measures of the HTTP clients.
const (
	measureCallRate        = "rate"
	measureCallCPU         = "cpu"
	measureCallAllocations = "allocations"
	measureConnections     = "connections"
)

var httpMeasures = []measure{
	{measureCallRate, "calls/s", 0},
	{measureCallCPU, "µs/call", 1}, // of the client's process alone
	{measureCallAllocations, "objects/call", 1},
	{measureMemory, "MB", 1}, // most, of the client's process
	{measureConnections, "connections", 0},
}

// clientFigures is what a client says of its calls, the warm-up left out.
type clientFigures struct {
	Calls   int     `json:"calls"` // that were answered as they should be
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"` // of its process, all threads, user and system
	Objects float64 `json:"objects"`     // put on the heap
}

// httpRun is one run of a client.
type httpRun struct {
	point
	client string
	round  int
}

func httpCase(client string, at point) string {
	return fmt.Sprintf("%s at %s, %d in flight", client, at.latency, at.inFlight)
}

// RunHTTP measures HTTP clients in turn against a vendor with TLS, and prints the
// report.
func RunHTTP(ctx context.Context, o HTTPOptions) (failed error) {
	p, leave, err := o.begin(ctx, 0, false)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, leave()) }()
	if o.Program == "" {
		if o.Program, err = o.build(ctx, p.dir); err != nil {
			return err
		}
	}
	runs := o.plan()
	values := make([]figures, len(runs))
	for i, r := range runs {
		n := r.backlog(o.Calls)
		o.say("%d of %d: round %d, %s, %d calls", i+1, len(runs), r.round+1, httpCase(r.client, r.point), n)
		values[i], err = o.run(ctx, p, r, fmt.Sprintf("%s/h%d", p.dir, i+1), n)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return o.report(runs[:i], values).spoiled(fmt.Errorf("%s: %w", httpCase(r.client, r.point), err), o.Stdout, o.Format)
		}
	}
	return o.report(runs, values).print(o.Stdout, o.Format)
}

func (o HTTPOptions) points() []point {
	var all []point
	for _, latency := range o.Latencies {
		for _, inFlight := range o.InFlight {
			all = append(all, point{latency, inFlight})
		}
	}
	return all
}

func (o HTTPOptions) plan() []httpRun {
	var runs []httpRun
	for _, at := range o.points() {
		for round := range o.Rounds {
			for _, client := range turn(round, httpClients) {
				runs = append(runs, httpRun{at, client, round})
			}
		}
	}
	return runs
}

func (o HTTPOptions) report(runs []httpRun, values []figures) *cases {
	report := &cases{measures: httpMeasures}
	for _, at := range o.points() {
		for i, client := range httpClients {
			to := ""
			if i > 0 {
				to = httpCase(httpClients[0], at)
			}
			for i, r := range runs {
				if r.point == at && r.client == client {
					report.add(httpCase(client, at), to, values[i])
				}
			}
		}
	}
	return report
}

// clientWait is how long a client may take for its calls.
const clientWait = 10 * time.Minute

// run starts a vendor and a client, whose files begin with name.
func (o HTTPOptions) run(ctx context.Context, p place, r httpRun, name string, n int) (figures, error) {
	ca := name + "-ca.pem"
	vendor, url, err := beginServer(ctx, "the vendor", name+"-vendor.log", p.self, "bench", "tls-vendor", "--latency", r.latency.String(), "--ca", ca)
	if err != nil {
		return nil, err
	}
	defer vendor.kill()
	var said clientFigures
	client, err := beginSaying(ctx, clientWait, &said, r.client, name+".log", o.Program, "http", "--client", r.client, "--url", url, "--ca", ca,
		"--in-flight", strconv.Itoa(r.inFlight), "--calls", strconv.Itoa(n))
	if err != nil {
		return nil, err
	}
	defer client.kill()
	counted, err := tlsStats(ctx, url, ca)
	if err != nil {
		return nil, err
	}
	if err := counted.check(r.client, said, n); err != nil {
		return nil, client.explain(err)
	}
	if err := errors.Join(client.stop(), vendor.stop()); err != nil {
		return nil, err
	}
	return figures{
		measureCallRate:        float64(n) / said.Seconds,
		measureCallCPU:         said.CPU * 1e6 / float64(n),
		measureCallAllocations: said.Objects / float64(n),
		measureMemory:          megabytes(client.peak),
		measureConnections:     float64(counted.Connections - 1), // that of the question itself
	}, nil
}

// check fails where the vendor did not get each call once, by the protocol that the
// client is measured with.
func (s tlsVendorStats) check(client string, said clientFigures, n int) error {
	want := tlsVendorStats{HTTP1: int64(n), Connections: s.Connections}
	if client == httpClients[1] {
		want = tlsVendorStats{HTTP2: int64(n), Connections: s.Connections}
	}
	if s != want || said.Calls != n || said.Seconds <= 0 {
		return fmt.Errorf("of %d calls %d were answered well; the vendor counted %d by HTTP/1.1 and %d by HTTP/2", n, said.Calls, s.HTTP1, s.HTTP2)
	}
	return nil
}

// tlsStats asks the vendor what it counted.
func tlsStats(ctx context.Context, url, ca string) (tlsVendorStats, error) {
	var stats tlsVendorStats
	pem, err := os.ReadFile(ca)
	if err != nil {
		return stats, fmt.Errorf("bench: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return stats, fmt.Errorf("bench: %s holds no certificate", ca)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/stats", nil)
	if err != nil {
		return stats, fmt.Errorf("bench: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return stats, fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(&stats); err != nil {
		return stats, fmt.Errorf("bench: read what the vendor counted: %w", err)
	}
	return stats, nil
}
