package runs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/failpoint"
	"github.com/vendstream/vendstream/publisher"
)

// asSubmitter makes the test binary an upstream program that submits purchases:
// its value is the server and the prefix.
const asSubmitter = "VENDSTREAM_TEST_SUBMIT"

func TestMain(m *testing.M) {
	if to := os.Getenv(asSubmitter); to != "" {
		if err := submitter(to); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// submissions is how many a submitter makes that nothing happens to.
const submissions = 10

// acked is what the submitter writes for each acknowledged request.
type acked struct {
	Sequence uint64          `json:"sequence"`
	Body     json.RawMessage `json:"body"`
}

// submitter submits what a careful upstream program would: one by one and many at
// once, a repeat, and another payload under a reference that is taken.
func submitter(to string) error {
	var url, prefix string
	if _, err := fmt.Sscan(to, &url, &prefix); err != nil {
		return err
	}
	points, err := failpoint.FromEnvironment()
	if err != nil {
		return err
	}
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	p, err := publisher.New(nc, publisher.WithSubjects(publisher.Subjects{Prefix: prefix}), publisher.WithWire(points.Wire))
	if err != nil {
		return err
	}
	h := &history{prefix: prefix}
	request := func(name, amount string) publisher.Request {
		return publisher.Request{Account: account, Body: json.RawMessage(h.electricity(name, amount))}
	}
	out := json.NewEncoder(os.Stdout)
	var errs []error
	done := func(s publisher.Submitted) {
		for again := 0; again < 3 && errors.Is(s.Err, publisher.ErrNotAcknowledged); again++ {
			s, s.Err = p.Submit(context.Background(), s.Request) // as its error says
		}
		if s.Err == nil { // also a duplicate: the same request is stored, by this or an earlier process
			s.Err = out.Encode(acked{s.Sequence, s.Request.Body})
		}
		errs = append(errs, s.Err)
	}
	for _, r := range []publisher.Request{request("one", "50"), request("two", "50"), request("one", "50"), request("one", "60"), request("sim-pending", "50")} {
		s, err := p.Submit(context.Background(), r)
		s.Err = err
		done(s)
	}
	many := []publisher.Request{request("three", "50"), request("four", "50"), request("two", "50"), request("sim-failed", "50"), request("four", "70")}
	errs = append(errs, p.SubmitMany(context.Background(), slices.Values(many), done))
	return errors.Join(errs...)
}

// submit starts a submitter and takes note of what it was told.
func (h *history) submit(orders, point string) (*process, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{asSubmitter + "=" + h.rig.natsURL + " " + h.prefix}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = write
	h.watchers.Go(func() {
		defer read.Close()
		for lines := bufio.NewScanner(read); lines.Scan(); {
			var a acked
			if json.Unmarshal(lines.Bytes(), &a) == nil { // else cut off by its death
				h.acknowledged(request{account, a.Body, a.Sequence})
			}
		}
	})
	p, err := begin(cmd, orders, point)
	_ = write.Close()
	return p, err
}

// liveSubmit is live for an upstream program: whoever takes over submits
// everything again under the same references.
func (h *history) liveSubmit(ctx context.Context, point string, action failpoint.Action, n int) (out outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all []*process
	defer func() { err = conclude(all, err) }()
	start := func(begin func(orders, point string) (*process, error), orders, point string) (*process, error) {
		p, err := begin(orders, point)
		if err == nil {
			all = append(all, p)
		}
		return p, err
	}
	if _, err := start(h.serve, "", ""); err != nil {
		return out, err
	}
	a, err := start(h.submit, orders(point, action, n), point)
	if err != nil {
		return out, err
	}
	last := a
	if point != "" {
		select {
		case <-a.struck:
		case <-a.exited:
			<-time.After(10 * time.Millisecond)
			if !a.hasStruck() {
				return out, errNotReached
			}
		case <-ctx.Done():
			return out, errNotReached
		}
	}
	if action == failpoint.Die || action == failpoint.Pause {
		if last, err = start(h.submit, "", ""); err != nil {
			return out, err
		}
	}
	for _, p := range []*process{a, last} {
		select {
		case <-p.exited:
		case <-ctx.Done():
			return out, errors.New("the submitter did not end")
		}
	}
	if code := last.cmd.ProcessState.ExitCode(); code != 0 {
		return out, fmt.Errorf("the submitter ended with %d", code)
	}
	h.watchers.Wait()
	for !h.quiet(ctx, true) {
		if ctx.Err() != nil {
			return out, fmt.Errorf("not finished in %s: %s", patience, h.unfinished())
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(h.asked()) < submissions {
		return out, fmt.Errorf("only %d submissions were acknowledged", len(h.asked()))
	}
	return h.conclude(ctx, a, point)
}
