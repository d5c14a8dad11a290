package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vendstream/vendstream/publisher"
)

const (
	// stuckWait is how long a run may go on without a new result.
	stuckWait = time.Minute
	// looks is how many samples there are between looks at the results.
	looks = 4
	// allocationsMetric counts the objects that a Go program has put on its heap.
	allocationsMetric = "go_memstats_mallocs_total"
)

// subject is what is measured.
type subject int

const (
	vendstream subject = iota
	bare
)

func (s subject) String() string {
	if s == bare {
		return "bare loop"
	}
	return "vendstream"
}

// point is where both are measured.
type point struct {
	latency  time.Duration // of the vendor
	inFlight int
}

// one is a single run: a subject at a point, on streams of its own.
type one struct {
	point
	subject subject
	prefix  string
	binary  string // path of vendstream, or of the other program
	profile string // directory for profiles; "": none
	whole   bool   // the bare loop publishes whole results
	// other is what binary is asked to be, where it is a program of others; "": it is
	// the subject. See OthersOptions.
	other string
}

func (o one) name() string {
	if o.other != "" {
		return o.other
	}
	return o.subject.String()
}

// running is a run while it is under way.
type running struct {
	one
	w       *world
	vendor  *process
	program *process
	client  *http.Client
	url     string // of the vendor
	metrics string // URL
}

// start starts the vendor and the program.
func (w *world) start(ctx context.Context, o one) (_ *running, err error) {
	r := &running{one: o, w: w, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}}
	defer func() {
		if err != nil {
			r.kill()
		}
	}()
	r.vendor, r.url, err = beginServer(ctx, "the vendor", w.file(o.prefix+"-vendor.log"), w.self, "bench", "vendor", "--latency", o.latency.String())
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	r.metrics = "http://" + addr + "/metrics"
	flags := []string{"--nats-url", w.natsURL, "--vendor-url", r.url, "--prefix", o.prefix,
		"--in-flight", strconv.Itoa(o.inFlight), "--http-addr", addr}
	path, args := w.self, append([]string{"bench", "loop"}, flags...)
	switch {
	case o.subject == bare && o.whole:
		args = append(args, "--whole-result")
	case o.other != "":
		path, args = o.binary, append([]string{o.other, "--redis-url", w.redisURL}, flags...)
	case o.subject == vendstream:
		config, err := w.configure(o.prefix, r.url, addr, o.inFlight)
		if err != nil {
			return nil, err
		}
		path, args = o.binary, []string{"consumer", "--config", config}
		if o.profile != "" {
			path, args = w.self, []string{"bench", "consumer", "--config", config}
		}
	}
	if o.profile != "" {
		dir := fmt.Sprintf("%s/%s-%s-%d", o.profile, strings.ReplaceAll(o.subject.String(), " ", "-"), o.latency, o.inFlight)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		args = append(args, "--profile", dir)
	}
	r.program, err = begin(o.name(), w.file(o.prefix+".log"), nil, path, args...)
	return r, err
}

// Places of the processes whose processor time is sampled.
const (
	ofProgram = iota
	ofVendor
	ofNATS
	ofRedis
)

func (r *running) processes() []*process {
	return []*process{r.program, r.vendor, r.w.nats, r.w.redis}
}

func (r *running) kill() {
	r.program.kill()
	r.vendor.kill()
}

// finish stops the program, which has to end well, and then the vendor.
func (r *running) finish() error {
	return errors.Join(r.program.stop(), r.vendor.stop())
}

func (r *running) sample() (sample, error) {
	s := sample{at: time.Now()}
	for _, p := range r.processes() {
		used, err := p.used()
		if err != nil {
			return s, err
		}
		s.cpu = append(s.cpu, used)
	}
	return s, nil
}

// watch samples until there are n results, and calls each after every look at
// them with how many there are.
func (r *running) watch(ctx context.Context, n int, each func(results int) error) ([]sample, error) {
	stream := publisher.Subjects{Prefix: r.prefix}.ResultsStream()
	var samples []sample
	results, moved := 0, time.Now()
	for turn := 1; ; turn++ {
		s, err := r.sample()
		if err != nil {
			return nil, err
		}
		samples = append(samples, s)
		if turn%looks == 0 {
			now, err := r.w.stored(ctx, stream)
			if err != nil {
				return nil, err
			}
			if now > results {
				results, moved = now, time.Now()
			} else if time.Since(moved) > stuckWait {
				return nil, r.program.explain(fmt.Errorf("no new result for %s; there are %d of %d", stuckWait, results, n))
			}
			if err := each(results); err != nil {
				return nil, err
			}
			if results >= n {
				return samples, nil
			}
		}
		if err := sleep(ctx, samplePeriod); err != nil {
			return nil, err
		}
	}
}

// vendorStats is what the lean vendor counts.
type vendorStats struct {
	Calls int64 `json:"calls"`
	First int64 `json:"first"` // Unix nanoseconds
}

func (r *running) vendorStats(ctx context.Context) (vendorStats, error) {
	var stats vendorStats
	err := r.get(ctx, r.url+"/stats", func(body io.Reader) error { return json.NewDecoder(body).Decode(&stats) })
	return stats, err
}

// allocations is how many objects the program has put on its heap so far.
func (r *running) allocations(ctx context.Context) (float64, error) {
	return r.metric(ctx, allocationsMetric)
}

// metric is one of the program's, which has no labels.
func (r *running) metric(ctx context.Context, name string) (float64, error) {
	value, err := 0.0, errors.New("bench: /metrics does not have "+name)
	failed := r.get(ctx, r.metrics, func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		for lines.Scan() {
			if rest, found := strings.CutPrefix(lines.Text(), name+" "); found {
				value, err = strconv.ParseFloat(rest, 64)
			}
		}
		return lines.Err()
	})
	return value, errors.Join(failed, err)
}

func (r *running) get(ctx context.Context, url string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := read(response.Body); err != nil {
		return fmt.Errorf("bench: read %s: %w", url, err)
	}
	return nil
}
